# %% [markdown]
# # 4.1 What Llama changed: RMSNorm, SwiGLU, grouped queries
#
# **Eight accelerators hold Llama 3 70B with room to spare. How many conversations fit into that room?** The weights
# take 141 GB of the 640 GB. The rest belongs to the *KV cache*: the keys and values of past tokens, which attention
# reads again for every new token. With the attention that you wrote last week, one conversation of 8,192 tokens takes
# 20 GiB of cache, and 23 of them fit. With Llama's it takes 2.5 GiB, and 185 fit. The difference is one line.
#
# Between GPT-2 (2019) and Llama (2023) the Transformer block changed in four places, each small, each decided by
# bytes or by an experiment:
#
# | | GPT-2 | Llama | who |
# |---|---|---|---|
# | normalisation | LayerNorm | RMSNorm: no mean, no bias | Zhang and Sennrich 2019 |
# | MLP | two matrices around GELU | SwiGLU: three matrices, one of them a gate | Shazeer 2020 |
# | keys and values | a head for each query head | one for each *group* of them (Llama 2 70B, 3) | Ainslie et al. 2023 |
# | positions | learned, added to the input | RoPE: rotations of queries and keys | Su et al. 2021 |
#
# This lesson builds the first three and the block around them; the next one, RoPE and the whole model. In order:
#
# 1. RMSNorm, with the casts where Llama has them; its backward pass by hand, which keeps one number a row
# 2. what it saves over LayerNorm: count first, then measure
# 3. the GLU family, and why Llama 7B has a width of 11008
# 4. grouped-query attention and its cache
# 5. the block, and a count that reproduces the published sizes of Llama 1 and 3
# 6. an ablation with error bars, to see which of this you can prove in a minute of training
#
# You need last week's attention, LayerNorm and pre-norm block, and week 2's `autograd.Function`. Nine exercises of
# about 130 minutes together, and one question: 39 points. Beside the tests that you see there are hidden ones, which
# check the whole docstring: read each to its end.

# %%
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, Literal, NamedTuple
from weakref import WeakSet

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from rich.progress import track
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from llmsys import check, corpus, plots, train

plots.style()
torch.set_num_threads(1)  # steadier timings on a machine that others use


def normal(rng: np.random.Generator, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Normal random numbers of any shape and dtype."""
    return torch.from_numpy(rng.standard_normal(shape)).to(dtype)


@torch.no_grad()
def fill(module: nn.Module, rng: np.random.Generator) -> nn.Module:
    """Give every parameter of `module` random values, in the order of their names; matrices keep the scale of x."""
    for _, parameter in sorted(module.named_parameters()):
        scale = parameter.shape[-1] ** -0.5 if parameter.ndim > 1 else 1.0
        parameter.copy_(scale * normal(rng, *parameter.shape))
    return module


def shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    """Name -> shape of everything that `module` would save."""
    return {name: tuple(value.shape) for name, value in sorted(module.state_dict().items())}


NORMS = (  # what the tests do not let you call in part 1
    "torch.nn.functional.rms_norm",
    "torch.rms_norm",
    "torch.nn.RMSNorm.forward",
    "torch.nn.functional.layer_norm",
    "llmsys.llama.RMSNorm.forward",
)
MLPS = ("llmsys.llama.MLP.forward", "torch.nn.GLU.forward", "torch.nn.functional.glu")  # of part 3
ATTENTIONS = (  # of part 4: you wrote them last week
    "torch.nn.functional.scaled_dot_product_attention",
    "torch.nn.functional.multi_head_attention_forward",
    "llmsys.llama.Attention.forward",
)

# %% explore
room = 8 * 80e9 - 141e9  # bytes beside the weights of Llama 3 70B in bf16
caches = {"64 (as in GPT)": 20.0, "8 (Llama 3)": 2.5, "1 (one for all)": 20 / 64}  # GiB; part 4 derives them
fits = {name: int(room / (size * 2**30)) for name, size in caches.items()}
figure, axis = plt.subplots(figsize=(7.2, 2.4))
bars = axis.barh(list(fits), list(fits.values()), color=[plots.RED, plots.BLUE, plots.GREY])
axis.bar_label(bars, fmt="%d", padding=4)
axis.invert_yaxis()
axis.grid(visible=False)
axis.set(
    xlim=(0, 1.12 * max(fits.values())),
    xlabel="conversations of 8,192 tokens that fit",
    ylabel="key and value heads",
    title="Llama 3 70B on eight accelerators of 80 GB",
)
plots.show(figure, alt="Bars: with 64 key and value heads 23 conversations fit, with 8 heads 185, with one head 1487.")

# %% [markdown]
# ## 1. RMSNorm
#
# ### 1.1 Half of LayerNorm
#
# LayerNorm takes a vector $x$ of $d$ features, subtracts their mean, divides by their standard deviation, multiplies
# by a weight and adds a bias. Subtracting the mean makes the layer blind to a *shift* of all features, dividing makes
# it blind to their *scale*. Zhang and Sennrich ask which of the two helps training, and find that the second does.
# RMSNorm keeps only it:
#
# $$y_i = w_i \, \hat x_i, \qquad \hat x = \frac{x}{\operatorname{rms}(x)}, \qquad
# \operatorname{rms}(x) = \sqrt{\frac{1}{d} \sum_{j=1}^{d} x_j^2 + \varepsilon}$$
#
# $w$ is a learned **weight** with one number for each feature, and $\varepsilon$ a small constant, so that a row of
# zeros is not divided by zero. It stands *inside* the root. There is no bias.
#
# **A worked example.** $x = (1, 2, 2, 5)$, $\varepsilon = 0.5$. The mean square is $(1 + 4 + 4 + 25)/4 = 8.5$, with
# $\varepsilon$ it is 9, so the rms is 3 and $\hat x = (\tfrac13, \tfrac23, \tfrac23, \tfrac53)$. The mean of $\hat x$
# is not 0, and need not be.
#
# ### 1.2 Which number is rounded when
#
# Models are trained in 16-bit numbers. Two things can go wrong there:
#
# - **fp16** ends at 65504. The square of 300 is 90000, which is infinity; the row becomes all zeros. At the other end,
#   $(10^{-4})^2$ is less than the smallest fp16 number, and becomes 0.
# - **bf16** has the range of fp32 but only 8 significant bits. A sum that is kept in bf16 always stands still when what
#   is added is under 1/512 of it, and often when it is under 1/256.
#
# So squares, sum, root and division are done in fp32. Then the result has to get back to 16 bits, and here
# implementations part ways. Llama, both in Meta's code and in `transformers`, casts $\hat x$ back **first** and then
# multiplies by $w$ in the 16-bit dtype. Gemma multiplies in fp32 and casts **last**. On paper the two are the same
# thing. In bf16 many entries differ in the last bit, in every layer, and a model that was trained with one order
# and is run with the other no longer gives the logits it was released with.
#
# The order here is Llama's:
#
# 1. `x` to fp32 (what is wider already, float64, stays as it is)
# 2. $\hat x$ in that dtype
# 3. $\hat x$ to the dtype of `x`: the first rounding
# 4. times `weight`, in the dtype of `x`: the second rounding
#
# **Build** `rms_norm`, from elementary operations.
#
# <details><summary>Hint 1</summary>
#
# `torch.promote_types(x.dtype, torch.float32)` is the wider of the two dtypes.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `keepdim=True` keeps the axis over which you take a mean, with length 1, so that the result still fits beside `x`.
#
# </details>


# %% exercise="rms_norm" minutes=15 difficulty=2
def rms_norm(x: Float[Tensor, "... dim"], weight: Float[Tensor, " dim"], eps: float = 1e-5) -> Float[Tensor, "... dim"]:
    """RMSNorm over the last axis, rounded as Llama rounds it (Zhang and Sennrich 2019, arXiv 1910.07467).

    Args:
        x: any number of leading axes, any of them possibly of length 0; any strides; fp16, bf16, fp32 or fp64, with
            magnitudes up to 1e15 (or what the dtype holds), so that fp32 can hold the squares.
        weight: of the dtype of `x`.
        eps: added to the mean square, inside the root.

    Returns:
        A new tensor of the shape and dtype of `x`. The normalised row is computed in fp32, or in fp64 where `x` is
        fp64; it is cast to the dtype of `x` before it is multiplied by `weight`.

    Neither `x` nor `weight` is written to. PyTorch can differentiate the result.
    """
    ### BEGIN SOLUTION
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    normalised = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
    return normalised.to(x.dtype) * weight
    ### END SOLUTION


# %% test="rms_norm" points=5
x = torch.tensor([[1.0, 2.0, 2.0, 5.0], [0.0, 0.0, 0.0, 0.0]])
weight = torch.tensor([1.0, 1.0, 2.0, 3.0])
with (
    check.forbid(*NORMS, because="write it with squares, a mean and a root"),
    check.unchanged("rms_norm(x, weight, eps=0.5)", x, weight),
):
    y = rms_norm(x, weight, eps=0.5)
check.close(
    y,
    torch.tensor([[1 / 3, 2 / 3, 4 / 3, 5.0], [0.0, 0.0, 0.0, 0.0]]),
    "rms_norm([[1, 2, 2, 5], [0, 0, 0, 0]], weight=[1, 1, 2, 3], eps=0.5)",
    terms=4,
    likely={
        "eps belongs inside the root": x / (x.square().mean(-1, keepdim=True).sqrt() + 0.5) * weight,
        "RMSNorm subtracts no mean": F.layer_norm(x, (4,), weight, eps=0.5),
        "the mean over all rows: each row has an rms of its own": x * torch.rsqrt(x.square().mean() + 0.5) * weight,
        "the sum of the squares, not their mean": x * torch.rsqrt(x.square().sum(-1, keepdim=True) + 0.5) * weight,
        "1 + weight is Gemma's convention; Llama multiplies by weight": x / 3 * (1 + weight),
        "the weight is missing": x / torch.tensor([[3.0], [1.0]]),
        "divided by the mean square, without the root": x / 9 * weight,
        "the first axis, not the last": x * torch.rsqrt(x.square().mean(0, keepdim=True) + 0.5) * weight,
        "the variance has the mean subtracted; the mean square has not": (
            x * torch.rsqrt(x.var(-1, keepdim=True, correction=0) + 0.5) * weight
        ),
    },
)
# The squares must not be taken in 16 bits.
check.close(
    rms_norm(torch.full((1, 4), 300.0, dtype=torch.float16), torch.ones(4, dtype=torch.float16)),
    torch.ones(1, 4, dtype=torch.float16),
    "rms_norm([[300, 300, 300, 300]], weight=[1, 1, 1, 1]) in fp16",
    terms=2,
    dtype=torch.float16,
    likely={"300 squared is 90000, which is infinite in fp16; square in fp32": torch.zeros(1, 4)},
)
# Mean square and eps sum to 24 * 24. A 24th of a short integer is never near the middle of two bf16 numbers, so by
# whatever route it is computed in fp32, it rounds to the same one: the result can be compared bit for bit.
x = torch.tensor([[5.0, 7.0, 11.0, 13.0, 17.0, 19.0, 23.0, 25.0]], dtype=torch.bfloat16)  # mean square 271
weight = (torch.tensor([145, 157, 171, 183, 197, 211, 225, 241]) / 128).bfloat16()
y = rms_norm(x, weight, eps=576.0 - 271.0)
check.close(
    y,
    (x.float() / 24).bfloat16() * weight,
    "rms_norm of a bf16 row, bit for bit",
    rtol=0,  # see above
    dtype=torch.bfloat16,
    likely={
        "multiplied by the weight in fp32 and cast last: that is Gemma's order": (x.float() / 24 * weight).bfloat16()
    },
)
### BEGIN HIDDEN TESTS
_rng = check.rng(1)


def _exact(x, weight, eps):
    """The formula in float64, without any rounding in between."""
    x = x.detach().double()
    return x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt() * weight.detach().double()


with check.forbid(*NORMS, because="write it with squares, a mean and a root"):
    for _shape, _dtype, _scale, _eps in [
        ((7,), torch.float32, 1.0, 1e-5),
        ((3, 5), torch.float64, 1.0, 1e-6),
        ((2, 3, 5, 9), torch.float32, 1.0, 0.3),
        ((0, 4), torch.float32, 1.0, 1e-5),
        ((3, 1), torch.float32, 1.0, 0.1),
        ((4, 6), torch.float32, 1e-4, 1e-5),
        ((4, 6), torch.float32, 1e14, 1e-5),
        ((2, 4, 33), torch.bfloat16, 1.0, 1e-5),
        ((2, 4, 33), torch.float16, 1.0, 1e-5),
        ((5, 6), torch.float16, 8000.0, 1e-5),
        ((5, 6), torch.float16, 1e-4, 1e-9),
        ((5, 6), torch.bfloat16, 1e14, 1e-5),
        ((3, 4096), torch.bfloat16, 1.0, 1e-5),
    ]:
        _x = (_scale * normal(_rng, *_shape)).to(_dtype)
        _w = (1 + 0.5 * normal(_rng, _shape[-1])).to(_dtype)
        with check.unchanged("rms_norm(x, weight)", _x, _w):
            _y = rms_norm(_x, _w, _eps)
        check.close(
            _y,
            _exact(_x, _w, _eps).to(_dtype),
            f"rms_norm(x, weight, eps={_eps:g}) of {_dtype} numbers near {_scale:g}, shape {_shape}",
            terms=_shape[-1] if _dtype == torch.float64 else 2,  # the mean is summed in fp32 or wider
            scale=1.0,
            dtype=_dtype,
            likely={
                "a square overflowed: inf in the root gives zeros; square in fp32": torch.zeros(_shape, dtype=_dtype),
                "eps is added after the root": _x / (_x.double().pow(2).mean(-1, keepdim=True).sqrt() + _eps) * _w,
            },
            hint="squares, mean and root in fp32 (fp64 for fp64), over the last axis only",
        )
    # Llama's two roundings, bit for bit, as above: integers whose mean square and eps sum to 192 * 192; and to
    # 387 * 387, since bf16 has no 387, so that an rms which was rounded to it shows
    for _dtype, _rms in [(torch.bfloat16, 192), (torch.float16, 192), (torch.bfloat16, 387)]:
        _row = _rng.integers(1, 200, 64)
        _x = np.stack([_rng.permutation(_row) * _rng.choice([-1, 1], 64) for _ in range(6)])
        _x = torch.from_numpy(_x).to(_dtype).reshape(2, 3, 64)
        _w = (1 + 0.5 * normal(_rng, 64)).to(_dtype)
        _y = rms_norm(_x, _w, eps=float(_rms**2 - (_row**2).mean()))  # exact in fp32: the mean is a sum over 64
        check.close(
            _y,
            (_x.float() / _rms).to(_dtype) * _w,
            f"rms_norm of {_dtype} rows with an rms of {_rms}, bit for bit",
            rtol=0,  # as above
            dtype=_dtype,
            likely={
                "multiplied by the weight in fp32 and cast last: Gemma's order": (_x.float() / _rms * _w).to(_dtype),
                "the rms was rounded to 16 bits; divide in fp32": _x / torch.tensor(float(_rms)).to(_dtype) * _w,
            },
            hint="cast to the dtype of x first, then multiply by weight",
        )
    # strides, and a row of zeros
    _x = normal(_rng, 6, 4, 5).transpose(0, 2)[1:]
    _w = normal(_rng, 12)[::2]
    check.close(rms_norm(_x, _w, 0.1), _exact(_x, _w, 0.1), "rms_norm of a transposed tensor", terms=6)
    check.close(
        rms_norm(torch.zeros(2, 3), torch.ones(3)), torch.zeros(2, 3), "rms_norm of rows of zeros", hint="0 / sqrt(eps)"
    )
    # what torch's autograd makes of it
    _x, _w = normal(_rng, 3, 2, 5).requires_grad_(), normal(_rng, 5).requires_grad_()
    _out = normal(_rng, 3, 2, 5)
    _got = torch.autograd.grad(rms_norm(_x, _w, 0.2), (_x, _w), _out)
_x2, _w2 = _x.detach().clone().requires_grad_(), _w.detach().clone().requires_grad_()
_want = torch.autograd.grad(F.rms_norm(_x2, (5,), _w2, 0.2), (_x2, _w2), _out)
check.close(_got[0], _want[0], "the gradient of x through rms_norm", terms=40, hint="no detach, no .data, no no_grad")
check.close(_got[1], _want[1], "the gradient of weight through rms_norm", terms=40)
check.close(
    rms_norm(_x2.detach(), _w2.detach()),
    F.rms_norm(_x2, (5,), _w2, 1e-5).detach(),
    "rms_norm(x, weight) with its default eps, against torch",
    terms=10,
)
### END HIDDEN TESTS

# %% [markdown]
# How much do the casts matter? Below, your function meets two that skip one: all of it in fp16, and the fp32 version
# with the cast *last*. The input is the same row, made larger and smaller; $\varepsilon$ is $10^{-12}$.
# RMSNorm is blind to scale, so the curves should be flat.

# %% explore
rng = check.rng()
row, ones = normal(rng, 512), 1 + 0.5 * normal(rng, 512)
row /= row.abs().max()
scales = np.logspace(-4.5, 4.5, 55)


def all_in_16_bits(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + eps) * weight


def cast_last(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return (x.float() * torch.rsqrt(x.float().square().mean(-1, keepdim=True) + eps) * weight.float()).to(x.dtype)


def relative_error(norm: Callable[..., Tensor], scale: float, dtype: torch.dtype) -> float:
    x, weight = (scale * row).to(dtype), ones.to(dtype)
    exact = F.rms_norm(x.double(), (512,), weight.double(), 1e-12)
    return ((norm(x, weight, 1e-12).double() - exact).norm() / exact.norm()).item()


figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.8), width_ratios=[3, 2])
for name, norm, color, line in [
    ("all in fp16", all_in_16_bits, plots.RED, "-"),
    ("yours", rms_norm, plots.BLUE, "-"),
    ("fp32, cast last", cast_last, plots.ORANGE, "--"),
]:
    left.loglog(scales, [relative_error(norm, s, torch.float16) for s in scales], line, color=color, label=name)
left.axvline(256, color=plots.GREY, lw=1, ls=":")
left.text(330, 3e-3, "256² = 65536\nis infinite", fontsize=9, color=plots.GREY)
left.set(xlabel="largest number in x", ylabel="relative error of the result", title="fp16: where a square fits")
left.legend(loc="center", bbox_to_anchor=(0.44, 0.74))

x, weight = normal(rng, 512, 512).bfloat16(), ones.bfloat16()
ulps = (rms_norm(x, weight).double() - cast_last(x, weight, 1e-5).double()).ne(0).double().mean().item()
bars = right.bar(["equal", "one bit apart"], [100 * (1 - ulps), 100 * ulps], color=[plots.GREEN, plots.RED], width=0.6)
right.bar_label(bars, fmt="%.0f %%", padding=3)
right.grid(visible=False)
right.set(ylim=(0, 100), ylabel="entries of the result (%)", title="bf16: cast first or last?")
plots.show(
    figure,
    alt="Left: relative error in fp16 against the largest number in x; the all-fp16 version fails above 256 and for "
    "small numbers, the others are flat. Right: share of bf16 entries in which casting first and casting last differ.",
)

# %% [markdown]
# The red curve fails at both ends. On the right, squares are infinite and the row becomes zeros. On the left, squares
# lose their digits and then become 0; where the curve ends, the root is 0 too, and the result infinite. Yours is flat.
# Casting last is flat too, and a little more exact, since it rounds once instead of twice. The right side shows what
# that little means when weights are loaded that were trained with the other order.
#
# The class below wraps your function as a module, with Llama's names. The block will use it.


# %%
class RMSNorm(nn.Module):
    """`rms_norm` with its weight, which starts as ones."""

    def __init__(self, dim: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        return rms_norm(x, self.weight, self.eps)


# %% [markdown]
# ### 1.3 The backward pass, by hand
#
# PyTorch differentiates `rms_norm` by itself. But count what it keeps: week 2's rule is that each operation saves what
# its own derivative needs. The square saves the fp32 copy of $x$, the product saves that copy and the root, the last
# product saves $\hat x$ in 16 bits. For a bf16 input of $n$ numbers (2 bytes each) that is $4n + 2n$ bytes
# beside $x$ itself. All of it can be had from $x$ and one number per row.
#
# Call $r = 1/\operatorname{rms}(x)$, so that $\hat x = r x$. Let $g = \partial L / \partial y$ be the gradient that
# arrives, and $\tilde g_i = g_i w_i$ what of it reaches $\hat x$. Every $x_j$ acts in two ways: through its own place
# in $\hat x_j = r x_j$, and through $r$, in which all features meet:
#
# $$\frac{\partial r}{\partial x_j} = -\frac{r^3 x_j}{d} \qquad \Rightarrow \qquad
# \frac{\partial L}{\partial x_j} = r \tilde g_j + \frac{\partial r}{\partial x_j} \sum_i \tilde g_i x_i$$
#
# Write the second term with $\hat x$ instead of $x$ and the powers of $r$ nearly vanish. Do this on paper before you
# type. The gradient of the weight is a sum over all rows:
# $\partial L / \partial w_i = \sum_{\text{rows}} g_i \hat x_i$.
#
# **A worked example.** $x = (3, 4)$, $\varepsilon = 0$, $w = (1, 1)$, $g = (1, 0)$: $r = 0.2828$,
# $\hat x = (0.8485, 1.1314)$ and $\partial L/\partial x = (0.1810, -0.1358)$. Its product with $x$ is 0, and must be:
# a longer $x$ gives the same $y$, so the loss can't change in the direction of $x$ (with $\varepsilon = 0$).
#
# **Build** `RMSNormFunction`. `Memory` below measures, as in week 2, how much of what the forward pass allocates is
# still alive at its end.
#
# <details><summary>Hint 1</summary>
#
# In the second term, replace $x$ by $\hat x / r$ in both places: of $r^3$ one factor is left, as in the first term.
# A sum over the features of a row, divided by $d$, is a mean.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# $\bar x = r \, (\tilde g - \hat x \cdot \operatorname{mean}(\tilde g \hat x))$, the mean over the features of a row.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# To keep `x.float()` costs 4 bytes for each number, where `x` is bf16. Keep `x`, and cast it again in backward.
#
# </details>
#
# <details><summary>Hint 4</summary>
#
# The gradient of the weight sums over every axis but the last. For a vector there is no such axis, and `sum(dim=())`
# would sum over all of them.
# `torch.Tensor.sum_to_size` takes the shape that shall come out.
#
# </details>


# %%
class Memory(TorchDispatchMode):
    """Watch the storages that operations inside the block create: how many of their bytes are alive now?"""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:  # or the compiler would be loaded first, which takes seconds
        return False

    def __init__(self) -> None:
        super().__init__()
        self._made: WeakSet[torch.UntypedStorage] = WeakSet()
        self._given: WeakSet[torch.UntypedStorage] = WeakSet()  # came from outside

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._given |= self._storages((args, kwargs)) - set(self._made)
        result = op(*args, **(kwargs or {}))
        self._made |= self._storages(result) - set(self._given)
        return result

    def alive(self) -> int:
        """Bytes of the storages made in the block that somebody still holds."""
        return sum(storage.nbytes() for storage in self._made)

    @staticmethod
    def _storages(tree: Any) -> set[torch.UntypedStorage]:
        return {leaf.untyped_storage() for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)}


x = torch.ones(64, 512, dtype=torch.bfloat16, requires_grad=True)
with Memory() as memory:
    y = x.float().square().mean(-1)
print(f"{x.nbytes} bytes go in; {memory.alive() - y.nbytes} bytes are kept for the backward pass of the mean square")


# %% exercise="RMSNormFunction" minutes=25 difficulty=4
class RMSNormFunction(torch.autograd.Function):
    """RMSNorm over the last axis, whose backward pass needs `x`, `weight` and one number a row."""

    @staticmethod
    def forward(
        ctx: Any, x: Float[Tensor, "... dim"], weight: Float[Tensor, " dim"], eps: float
    ) -> Float[Tensor, "... dim"]:
        """As `rms_norm`: same values, dtypes and order of casts.

        Kept for backward, with ``ctx.save_for_backward`` and in no other way: `x` and `weight` as they came, which
        others hold anyway, and of new memory at most one number (of 4 bytes, or 8 where `x` is fp64) for each row.
        Plain Python numbers may be attributes of `ctx`.
        """
        ### BEGIN SOLUTION
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        r = torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)  # (..., 1)
        ctx.save_for_backward(x, weight, r)
        return (wide * r).to(x.dtype) * weight
        ### END SOLUTION

    @staticmethod
    def backward(ctx: Any, grad: Float[Tensor, "... dim"]) -> tuple[Tensor | None, Tensor | None, None]:
        """The gradients of `x`, `weight` and `eps` (which has none), given that of the output.

        They have the shapes and dtypes of `x` and `weight`, and are computed in fp32 (fp64 where `x` is fp64). An input
        for which ``ctx.needs_input_grad`` is False gets None. `grad` is not written to. Nobody differentiates a second
        time.
        """
        ### BEGIN SOLUTION
        x, weight, r = ctx.saved_tensors
        normalised, grad = x * r, grad.to(r.dtype)  # r is wide, and so is the product
        grad_x = grad_weight = None
        if ctx.needs_input_grad[0]:
            inner = grad * weight
            grad_x = (r * (inner - normalised * (inner * normalised).mean(-1, keepdim=True))).to(x.dtype)
        if ctx.needs_input_grad[1]:
            grad_weight = (grad * normalised).sum_to_size(weight.shape).to(weight.dtype)
        return grad_x, grad_weight, None
        ### END SOLUTION


# %% test="RMSNormFunction" points=6
x, weight = torch.tensor([[3.0, 4.0]], dtype=torch.float64), torch.ones(2, dtype=torch.float64)
x.requires_grad_(), weight.requires_grad_()
grad = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
r = 1 / math.sqrt(12.5)
with check.forbid(*NORMS, because="write it with squares, a mean and a root"):
    y = RMSNormFunction.apply(x, weight, 0.0)
    check.close(y, [[3 * r, 4 * r]], "RMSNormFunction.apply([[3, 4]], [1, 1], 0.0)", terms=4)
    got = torch.autograd.grad(y, (x, weight), grad)
check.close(
    got[0],
    [[0.64 * r, -0.48 * r]],
    "the gradient of x for x = [3, 4], weight = [1, 1], eps = 0 and grad = [1, 0]",
    terms=8,
    likely={
        "r was taken for a constant; every x also acts through the rms": [[r, 0.0]],
        "the sum over the features, where the formula has their mean": [[0.28 * r, -0.96 * r]],
        "nothing subtracted the mean of x, so nothing subtracts that of the gradient": [[0.56 * r, -0.42 * r]],
        "the sign of the second term: r falls when x grows": [[1.36 * r, 0.48 * r]],
        "r**2 x where the formula has r**3 x": [[r - 0.36, -0.48]],
    },
    hint="the product of this gradient and x is 0: the loss can't change along x",
)
check.close(
    got[1],
    [3 * r, 0.0],
    "the gradient of weight",
    terms=8,
    likely={
        "the sum of the gradients alone, without the normalised x": [1.0, 0.0],
        "x is to be normalised": [3.0, 0.0],
    },
)
# two rows, a weight that is not 1, eps; and the same in bf16
x, weight = torch.tensor([[[3.0, 4.0]], [[-1.0, 2.0]]], dtype=torch.float64), torch.tensor([2.0, 1.0]).double()
grad = torch.tensor([[[1.0, 0.0]], [[2.0, -1.0]]], dtype=torch.float64)
x.requires_grad_(), weight.requires_grad_()
want = torch.autograd.grad(F.rms_norm(x, (2,), weight, 0.5), (x, weight), grad)
normalised = (x / (x.square().mean(-1, keepdim=True) + 0.5).sqrt()).detach()
for dtype in (torch.float64, torch.bfloat16):
    inputs = [t.detach().to(dtype).requires_grad_() for t in (x, weight)]
    got = torch.autograd.grad(RMSNormFunction.apply(*inputs, 0.5), inputs, grad.to(dtype))
    call = f"for {dtype} x = [[[3, 4]], [[-1, 2]]], weight = [2, 1], eps = 0.5 and grad = [[[1, 0]], [[2, -1]]]"
    check.close(
        got[0],
        want[0].to(dtype),
        f"the gradient of x {call}",
        terms=8,
        dtype=dtype,
        likely={
            "what reaches the normalised x is grad times weight": torch.autograd.grad(
                F.rms_norm(x, (2,), None, 0.5), x, grad
            )[0],
            "weight belongs into both terms": torch.autograd.grad(F.rms_norm(x, (2,), None, 0.5), x, grad)[0]
            + (grad * (weight - 1) * normalised / x).detach(),
            "eps counts in backward too": torch.autograd.grad(F.rms_norm(x, (2,), weight, 0.0), x, grad)[0],
        },
    )
    check.close(
        got[1],
        want[1].to(dtype),
        f"the gradient of weight {call}",
        terms=8,
        dtype=dtype,
        likely={
            "the sum over all rows, not their mean": want[1] / 2,
            "eps counts in backward too": torch.autograd.grad(F.rms_norm(x, (2,), weight, 0.0), weight, grad)[0],
        },
    )
rows, scales = (torch.ones(*shape, dtype=torch.bfloat16, requires_grad=True) for shape in [(64, 512), (512,)])
with Memory() as memory:
    y = RMSNormFunction.apply(rows, scales, 1e-5)
check.equal(
    max(0, memory.alive() - y.nbytes - 64 * 4),
    0,
    "bytes kept beside x, weight, the result, and 4 bytes for each of 64 rows of 512 bf16 numbers",
    likely={
        "a copy of x in fp32 was kept; cast x again in backward": 64 * 512 * 4,
        "the normalised x was kept, in fp32; it is x times r": 64 * 512 * 4 - 64 * 4,
        "the normalised x was kept, in bf16": 64 * 512 * 2,
    },
)
### BEGIN HIDDEN TESTS
_rng = check.rng(2)


def _formula(x, weight, eps):
    return x * (x.pow(2).mean(-1, keepdim=True) + eps).rsqrt() * weight


def _llama(x, weight, eps=1e-5):
    """Stands in for rms_norm, where an answer calls it."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    return (wide * (wide.pow(2).mean(-1, keepdim=True) + eps).rsqrt()).to(x.dtype) * weight


with check.using(rms_norm=_llama), check.forbid(*NORMS, because="write it with squares, a mean and a root"):
    for _shape, _dtype, _scale, _eps in [
        ((5,), torch.float64, 1.0, 0.1),
        ((3, 4), torch.float64, 1.0, 0.5),
        ((2, 3, 4, 5), torch.float64, 1.0, 1e-6),
        ((0, 4), torch.float32, 1.0, 1e-5),
        ((6, 1), torch.float64, 1.0, 0.3),
        ((2, 3, 17), torch.float32, 1.0, 1e-5),
        ((4, 9), torch.float32, 100.0, 1e-5),
        ((2, 3, 33), torch.bfloat16, 1.0, 1e-5),
        ((2, 3, 33), torch.float16, 1.0, 1e-5),
        ((5, 12), torch.float16, 3000.0, 1e-5),
    ]:
        _x = (_scale * normal(_rng, *_shape)).to(_dtype).requires_grad_()
        _w = (1 + 0.5 * normal(_rng, _shape[-1])).to(_dtype).requires_grad_()
        _out = normal(_rng, *_shape).to(_dtype)
        with check.unchanged("RMSNormFunction and its backward", _x, _w, _out):
            _y = RMSNormFunction.apply(_x, _w, _eps)
            _got = torch.autograd.grad(_y, (_x, _w), _out)
        _x2, _w2 = (t.detach().double().requires_grad_() for t in (_x, _w))
        _ref = _formula(_x2, _w2, _eps)
        _want = torch.autograd.grad(_ref, (_x2, _w2), _out.double())
        _call = f"for {_dtype} x of shape {_shape}, numbers near {_scale:g}, eps={_eps:g}"
        check.close(_y.detach(), _ref.detach().to(_dtype), f"RMSNormFunction.apply {_call}", terms=40, dtype=_dtype)
        check.close(_got[0], _want[0].to(_dtype), f"the gradient of x {_call}", terms=40, dtype=_dtype)
        check.close(
            _got[1],
            _want[1].to(_dtype),
            f"the gradient of weight {_call}",
            terms=40,
            scale=float(_out.abs().double().sum(tuple(range(_out.ndim - 1))).max()) if _out.numel() else 1.0,
            dtype=_dtype,
        )
    # the order of casts is Llama's, bit for bit: mean square and eps sum to 192 * 192, as in the test of rms_norm
    _row = _rng.integers(1, 200, 64)
    _x = torch.from_numpy(np.stack([_rng.permutation(_row) for _ in range(5)])).bfloat16()
    _w = (1 + 0.5 * normal(_rng, 64)).bfloat16()
    check.close(
        RMSNormFunction.apply(_x, _w, float(192**2 - (_row**2).mean())),
        (_x.float() / 192).bfloat16() * _w,
        "RMSNormFunction.apply of bf16 rows, bit for bit",
        rtol=0,  # as in the test of rms_norm
        dtype=torch.bfloat16,
        likely={"multiplied by the weight in fp32 and cast last": (_x.float() / 192 * _w).bfloat16()},
    )
    # in 16 bits only the last rounding shows: half a unit in the last place is at most 2^-8 of a bf16 number, 2^-11 of
    # one in fp16; atol is for what fp32 may lose where the two terms cancel
    for _dtype, _half in [(torch.bfloat16, 2**-8), (torch.float16, 2**-11)]:
        _x = normal(_rng, 4, 8, 33).to(_dtype).requires_grad_()
        _w, _out = (1 + 0.5 * normal(_rng, 33)).to(_dtype), normal(_rng, 4, 8, 33).to(_dtype)
        _got = torch.autograd.grad(RMSNormFunction.apply(_x, _w, 0.1), _x, _out)[0]
        _x2 = _x.detach().double().requires_grad_()
        check.close(
            _got,
            torch.autograd.grad(_formula(_x2, _w.double(), 0.1), _x2, _out.double())[0],
            f"the gradient of {_dtype} x, which is computed in fp32 and rounded once",
            rtol=1.01 * _half,
            atol=2e-5,
            dtype=_dtype,
            hint="x, grad and weight to fp32, r kept in fp32, and the cast to the dtype of x at the very end",
        )
    # strides; what is kept; what is not computed
    _x = normal(_rng, 7, 4, 6).transpose(0, 2).requires_grad_()
    _w, _out = normal(_rng, 7).requires_grad_(), normal(_rng, 7, 4, 6).transpose(0, 2)
    _got = torch.autograd.grad(RMSNormFunction.apply(_x, _w, 0.2), (_x, _w), _out)
    _want = torch.autograd.grad(_formula(_x, _w, 0.2), (_x, _w), _out)
    check.close(_got[0], _want[0], "the gradient of a transposed x", terms=40)
    check.close(_got[1], _want[1], "the gradient of weight for a transposed x", terms=40, scale=40.0)
    _x = normal(_rng, 65, 5, 6).bfloat16().transpose(0, 2).requires_grad_()
    with Memory() as _memory:
        _y = RMSNormFunction.apply(_x, torch.ones(65, dtype=torch.bfloat16), 1e-5)
    check.equal(
        max(0, _memory.alive() - _y.nbytes - 65 * 2 - 30 * 4),
        0,
        "bytes kept beside x, weight, the result, and 4 bytes a row, for a transposed bf16 x of 30 rows of 65",
        likely={"a contiguous copy of x was kept; keep x as it came": 30 * 65 * 2},
    )
    for _needs in [(True, True), (True, False), (False, True)]:
        for _dtype, _width in [(torch.bfloat16, 4), (torch.float16, 4), (torch.float32, 4), (torch.float64, 8)]:
            _x = normal(_rng, 6, 5, 65).to(_dtype).requires_grad_(_needs[0])
            _w = normal(_rng, 65).to(_dtype).requires_grad_(_needs[1])
            with Memory() as _memory:
                _y = RMSNormFunction.apply(_x, _w, 1e-5)
            _call = f"for 30 rows of 65 {_dtype} numbers, x.requires_grad={_needs[0]}, weight.requires_grad={_needs[1]}"
            check.equal(
                max(0, _memory.alive() - _y.nbytes - 30 * _width),
                0,
                f"bytes kept beside x, weight, the result, and {_width} bytes a row, {_call}",
                hint="keep x as it came (no copy, no cast) and one number a row; compute the rest again in backward",
            )
        check.equal(
            len([t for t in tree_leaves(dict(vars(_y.grad_fn))) if isinstance(t, Tensor)]),
            0,
            "the number of tensors that are attributes of ctx",
            hint="autograd neither sees nor frees such a tensor: use ctx.save_for_backward",
        )
        _out = normal(_rng, 6, 5, 65)
        with check.unchanged("RMSNormFunction.backward(ctx, grad)", _out):
            _result = RMSNormFunction.backward(_y.grad_fn, _out)
        check.equal(
            tuple(part is not None for part in _result),
            (*_needs, False),
            f"which gradients backward computes when x.requires_grad={_needs[0]}, weight.requires_grad={_needs[1]}",
            hint="look at ctx.needs_input_grad; backward returns as many values as forward has arguments after ctx",
        )
    _x, _w = normal(_rng, 3, 5).bfloat16().requires_grad_(), normal(_rng, 5).bfloat16().requires_grad_()
    check.equal(
        [
            str(t.dtype)
            for t in RMSNormFunction.backward(RMSNormFunction.apply(_x, _w, 0.1).grad_fn, normal(_rng, 3, 5).bfloat16())
            if t is not None
        ],
        ["torch.bfloat16", "torch.bfloat16"],
        "the dtypes of the gradients that backward returns for bf16 x and weight",
        hint="compute in fp32, and cast at the end",
    )
    # finite differences, so that a wrong forward can't hide behind its own derivative
    _x, _w = normal(_rng, 2, 3).requires_grad_(), normal(_rng, 3).requires_grad_()
    check.equal(
        torch.autograd.gradcheck(lambda x, w: RMSNormFunction.apply(x, w, 0.3), (_x, _w), raise_exception=False),
        True,
        "torch.autograd.gradcheck of RMSNormFunction",
    )
    # two calls in one graph
    _x, _w = normal(_rng, 4, 6).requires_grad_(), normal(_rng, 6).requires_grad_()
    _got = torch.autograd.grad(
        (RMSNormFunction.apply(RMSNormFunction.apply(_x, _w, 0.1) + _x, _w, 0.4) ** 2).sum(), (_x, _w)
    )
    _want = torch.autograd.grad((_formula(_formula(_x, _w, 0.1) + _x, _w, 0.4) ** 2).sum(), (_x, _w))
    check.close(_got[0], _want[0], "the gradient of x through two calls", terms=200, hint="every call has its own ctx")
    check.close(_got[1], _want[1], "the gradient of weight through two calls", terms=200)
### END HIDDEN TESTS

# %% [markdown]
# Below, the bytes that three ways to compute the same thing leave behind, for a bf16 input: your `rms_norm`, which
# PyTorch differentiates for you; PyTorch's LayerNorm, which is one operator with a backward pass of its own; and
# your `RMSNormFunction`. The input and the result are not counted.

# %% explore
x = normal(check.rng(), 256, 1024).bfloat16().requires_grad_()
weight, bias = (torch.ones(1024, dtype=torch.bfloat16, requires_grad=True) for _ in range(2))
ways = {
    "rms_norm, autograd": lambda: rms_norm(x, weight),
    "torch's LayerNorm": lambda: F.layer_norm(x, (1024,), weight, bias),
    "RMSNormFunction": lambda: RMSNormFunction.apply(x, weight, 1e-5),
}
kept = {}
for name, way in ways.items():
    with Memory() as memory:
        y = way()
    kept[name] = (memory.alive() - y.nbytes) / x.numel()

figure, axis = plt.subplots(figsize=(7.2, 2.3))
bars = axis.barh(list(kept), list(kept.values()), color=[plots.RED, plots.ORANGE, plots.BLUE])
axis.bar_label(bars, fmt="%.3f", padding=4)
axis.invert_yaxis()
axis.grid(visible=False)
axis.set(xlim=(0, 1.15 * max(kept.values())), xlabel="bytes kept for each number of x", title="Kept beside x, in bf16")
plots.show(
    figure, alt="Bars: autograd keeps several bytes for each number of x, LayerNorm and RMSNormFunction almost none."
)

# %% [markdown]
# Autograd keeps three times the size of $x$, in each of two norms a layer. What the other two keep can hardly be seen:
# a number or two for each row. (On a CPU, PyTorch's LayerNorm keeps its two in the dtype of $x$; its CUDA kernel in
# fp32, as the count below has it.)
#
# ## 2. What is saved over LayerNorm?
#
# "RMSNorm is faster because it does less" is half of the truth. Which half depends on what the machine waits for:
# arithmetic, or memory. So count both, on paper, for the best possible program: a **fused kernel**, which does the
# whole layer in one go. It loads each row of $x$ from memory once, does everything on the chip, and stores each row
# of the result once.
#
# The rules of the count, for an input of `rows` × `dim` numbers:
#
# - **Read**: every number of $x$ once; the weight once for all rows together, and LayerNorm's bias too. A number takes
#   `element_size` bytes.
# - **Written**: the result, and for the backward pass the statistics of each row in fp32, 4 bytes each: RMSNorm's $r$;
#   LayerNorm's mean and $r$.
# - **Operations**: every addition, subtraction, multiplication, division and reciprocal root counts one. A sum of $d$
#   numbers starts from 0, so it is $d$ additions. Casts are free.
# - LayerNorm in two passes over the row: the mean; then the differences from it; the mean of their squares; and so on:
#   $m = \frac1d\sum_j x_j$, $\;c = x - m$, $\;r = 1/\sqrt{\frac1d\sum_j c_j^2 + \varepsilon}$,
#   $\;y_i = c_i\, r\, w_i + b_i$.
#   RMSNorm: $r = 1/\sqrt{\frac1d\sum_j x_j^2 + \varepsilon}$, $\;y_i = x_i\, r\, w_i$.
#
# **A worked example.** RMSNorm of 2 rows of 4 bf16 numbers reads $2 \cdot 4 \cdot 2 + 4 \cdot 2 = 24$ bytes and writes
# $16 + 2 \cdot 4 = 24$. For each row: 4 squares, 4 additions, one division, one addition of $\varepsilon$, one
# reciprocal root, 4 products with $r$, 4 with $w$: 19 operations, 38 in all.
#
# **Build** `norm_cost`.
#
# <details><summary>Hint 1</summary>
#
# Write down the operations of LayerNorm line by line, once those that happen for each feature, once those that happen
# for each row.
#
# </details>


# %%
class NormCost(NamedTuple):
    read: int  # bytes
    written: int  # bytes
    operations: int


# %% exercise="norm_cost" minutes=10 difficulty=2
def norm_cost(norm: Literal["rms", "layer"], rows: int, dim: int, element_size: int = 2) -> NormCost:
    """What the forward pass of a fused normalisation reads, writes and computes, by the rules above.

    Args:
        norm: "rms" for RMSNorm (with weight), "layer" for LayerNorm (with weight and bias).
        rows, dim: the input has `rows` rows of `dim` numbers; both are at least 1.
        element_size: bytes of a number of the input, the parameters and the result.

    Returns:
        NormCost(read, written, operations), three integers.

    Raises:
        ValueError: `norm` is neither of the two, letter for letter.
    """
    ### BEGIN SOLUTION
    if norm not in ("rms", "layer"):
        raise ValueError(f"norm is {norm!r}, but must be 'rms' or 'layer'")
    layer = norm == "layer"
    parameters, statistics = (2, 2) if layer else (1, 1)
    operations = 7 * dim + 4 if layer else 4 * dim + 3
    return NormCost(
        read=(rows + parameters) * dim * element_size,
        written=rows * dim * element_size + rows * statistics * 4,
        operations=rows * operations,
    )
    ### END SOLUTION


# %% test="norm_cost" points=3
check.equal(
    tuple(norm_cost("rms", 2, 4)),
    (24, 24, 38),
    "norm_cost('rms', rows=2, dim=4): read, written, operations",
    likely={
        "the weight is read once for all rows, not once for each": (32, 24, 38),
        "r is kept for backward: 4 bytes a row are written": (24, 16, 38),
        "r is kept in fp32: 4 bytes, whatever the element_size": (24, 20, 38),
        "the weight is read too": (16, 24, 38),
        "the three operations that happen once a row are missing": (24, 24, 32),
        "the product with the weight is missing": (24, 24, 30),
        "the operations of all rows, not of one": (24, 24, 19),
    },
)
check.equal(
    tuple(norm_cost("layer", 2, 4)),
    (32, 32, 64),
    "norm_cost('layer', rows=2, dim=4): read, written, operations",
    likely={
        "the bias is read too": (24, 32, 64),
        "the mean is kept for backward as well": (32, 24, 64),
        "the difference from the mean is computed once and used twice": (32, 32, 72),
        "the addition of the bias is missing": (32, 32, 56),
        "a row that is on the chip is not read again for the second pass": (48, 32, 64),
    },
)
check.raises(ValueError, "norm_cost('batch', 2, 4)", norm_cost, "batch", 2, 4)
### BEGIN HIDDEN TESTS
_rng = check.rng(3)


class _Number:
    """Counts what is done with it."""

    operations = 0

    def _one(self, *_):
        _Number.operations += 1
        return self

    __add__ = __radd__ = __sub__ = __mul__ = __truediv__ = _one
    reciprocal_root = _one


def _count(norm, rows, dim, size):
    """Run the kernel on numbers and a memory that count."""
    traffic = {"read": 0, "written": 0}

    def load(many, bytes):
        traffic["read"] += many * bytes
        return [_Number() for _ in range(many)]

    def store(values, bytes):
        traffic["written"] += len(values) * bytes

    _Number.operations, zero, eps = 0, _Number(), _Number()
    w = load(dim, size)
    b = load(dim, size) if norm == "layer" else None
    for _ in range(rows):
        x = load(dim, size)
        if norm == "layer":
            total = zero
            for value in x:
                total = total + value
            mean = total / dim
            x = [value - mean for value in x]
            store([mean], 4)
        total = zero
        for value in x:
            total = total + value * value
        r = (total / dim + eps).reciprocal_root()
        store([r], 4)
        y = [value * r * scale for value, scale in zip(x, w, strict=True)]
        if norm == "layer":
            y = [value + shift for value, shift in zip(y, b, strict=True)]
        store(y, size)
    return traffic["read"], traffic["written"], _Number.operations


for _norm in ("rms", "layer"):
    for _rows, _dim, _size in [
        (1, 1, 4),
        (3, 5, 4),
        *(tuple(int(n) for n in _rng.integers(2, 40, 3)) for _ in range(3)),
    ]:
        check.equal(
            tuple(norm_cost(_norm, _rows, _dim, _size)),
            _count(_norm, _rows, _dim, _size),
            f"norm_cost({_norm!r}, {_rows}, {_dim}, {_size}): read, written, operations",
            hint="count line by line: once for each number, once for each row, once for all",
        )
for _norm, _kept, _each, _once in [("rms", 1, 4, 3), ("layer", 2, 7, 4)]:
    _rows, _dim = 2**20, 8192  # beyond what 32 bits hold
    check.equal(
        tuple(norm_cost(_norm, _rows, _dim, 4)),
        (
            4 * _dim * (_rows + _kept),
            4 * _rows * (_dim + _kept),
            _rows * (_each * _dim + _once),
        ),
        f"norm_cost({_norm!r}, {_rows}, {_dim}, 4), which no 32-bit integer holds",
    )
for _norm in ("RMS", "Layer", "lay", ""):
    check.raises(ValueError, f"norm_cost({_norm!r}, 2, 4)", norm_cost, _norm, 2, 4)
check.equal(
    [type(value) for value in norm_cost("layer", 3, 5)], [int, int, int], "the types in norm_cost('layer', 3, 5)"
)
### END HIDDEN TESTS

# %% [markdown]
# Now the answer to "how much faster". For 4096 rows of 4096 bf16 numbers:

# %% explore
costs = {norm: norm_cost(norm, 4096, 4096) for norm in ("layer", "rms")}
for norm, cost in costs.items():
    moved = cost.read + cost.written
    print(
        f"{norm:>5}: {cost.operations / 1e6:6.1f} M operations, {moved / 1e6:.2f} MB moved, "
        f"{cost.operations / moved:.2f} operations per byte"
    )

# %% [markdown]
# RMSNorm does 43 % less arithmetic and moves the same bytes to a tenth of a percent. An H100 does
# [67 trillion fp32 operations and moves 3.35 trillion bytes a second](https://www.nvidia.com/en-us/data-center/h100/),
# so it does 20 operations in the time in which it moves one byte. Both layers need about one or two. Both wait for
# memory, and **fused, both take about the same time**. What RMSNorm saves there is the bias, and a second statistic.
#
# Zhang and Sennrich measured 7 % to 64 % less running time, in 2019, in frameworks where each line of the formula is
# an operator of its own. Each reads its operands from memory and writes its result back. Then every line that is
# left out saves a trip. `Traffic` counts these trips: the bytes that every operator reads and writes (views are free,
# nothing moves).


# %% explore
class Traffic(TorchDispatchMode):
    """Add up the bytes that the operators inside the block read and write."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = op(*args, **(kwargs or {}))
        ins, outs = ([t for t in tree_leaves(tree) if isinstance(t, Tensor)] for tree in ((args, kwargs), result))
        memory = {t.untyped_storage().data_ptr() for t in ins}
        if not outs or outs[0].untyped_storage().data_ptr() not in memory:  # else a view
            self.bytes += sum(t.nbytes for t in ins + outs)
        return result


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float = 1e-5) -> Tensor:
    """LayerNorm, one operator for each line of the formula."""
    wide = x.float()
    centred = wide - wide.mean(-1, keepdim=True)
    normalised = centred * torch.rsqrt(centred.square().mean(-1, keepdim=True) + eps)
    return normalised.to(x.dtype) * weight + bias


def milliseconds(run: Callable[[], Any], repeat: int = 40) -> float:
    """The shortest of several runs: what else the machine does can only add."""
    times = []
    for _ in range(repeat):
        start = perf_counter()
        run()
        times.append(perf_counter() - start)
    return 1e3 * min(times)


x = normal(check.rng(), 256, 1024).bfloat16()
weight, bias = torch.ones(1024, dtype=torch.bfloat16), torch.zeros(1024, dtype=torch.bfloat16)
ways = {
    "LayerNorm, line by line": lambda: layer_norm(x, weight, bias),
    "yours: RMSNorm, line by line": lambda: rms_norm(x, weight),
    "LayerNorm, fused (torch)": lambda: F.layer_norm(x, (1024,), weight, bias),
}
moved, time = {}, {}
with torch.no_grad():
    for name, way in ways.items():
        with Traffic() as traffic:
            way()
        moved[name], time[name] = traffic.bytes / x.numel(), milliseconds(way)
cost = norm_cost("rms", *x.shape)
moved["RMSNorm, fused (your count)"] = (cost.read + cost.written) / x.numel()

figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 2.8), sharey=True)
colors = [plots.ORANGE, plots.BLUE, plots.ORANGE, plots.BLUE]
left.bar_label(left.barh(list(moved), list(moved.values()), color=colors), fmt="%.1f", padding=4)
right.bar_label(right.barh(list(time), list(time.values()), color=colors), fmt="%.2f", padding=4)
left.invert_yaxis()
for axis, values, label in [(left, moved, "bytes moved per number of x"), (right, time, "time on this machine (ms)")]:
    axis.grid(visible=False)
    axis.set(xlim=(0, 1.2 * max(values.values())), xlabel=label)
left.set_title("Bytes: counted", fontsize=11)
right.set_title("Time: measured (the last is a count only)", fontsize=11)
plots.show(
    figure,
    alt="Bars: line by line LayerNorm moves more bytes per number than RMSNorm; a fused layer moves about four.",
)

# %% [markdown]
# Line by line, RMSNorm saves a good part of the bytes. But fusing saves far more than leaving out the mean does, for
# either layer, and then the difference is gone. Week 7 writes that kernel.
#
# So why did everybody change? Nothing is lost: models with RMSNorm train as well. And it is less to get wrong: no bias,
# no second statistic, no cancellation in $x - m$, and one number to add up instead of two where a row is spread over
# several devices.
#
# ## 3. The gate
#
# ### 3.1 Three matrices for the price of two
#
# The MLP of GPT-2 has two matrices: up to $4d$ features, GELU, down to $d$. That is $2 \cdot 4d^2 = 8d^2$ parameters.
# A **gated** MLP replaces the first by two, the gate and the up projection, and multiplies their results feature by
# feature. For equal cost its width $h$ must shrink until $3dh = 8d^2$, so $h = \tfrac83 d$: this is the **2/3 rule**
# ($\tfrac83 d$ is two thirds of $4d$).
#
# For $d = 4096$ that is 10922.67. A matrix of such a width is slow: GPU kernels work on tiles of 64, 128 or 256
# numbers, and with tensor parallelism (week 9) the width is split over 8 devices and more. So Meta rounds **up** to
# the next multiple of 256: 11008. That number stands in every Llama 7B config, and now you know where it comes from.
#
# Llama 3 makes the MLP wider than the rule says, and rounds to larger multiples. Its configs hold a multiplier (1.3
# for 8B and 70B, 1.2 for 405B) and `multiple_of` (1024 for 8B, 4096 for the others). In order, as in Meta's code:
#
# 1. two thirds of $4d$, the fraction cut off: $\lfloor 8d/3 \rfloor$
# 2. if there is a multiplier, times it, the fraction cut off again
# 3. up to the next multiple of `multiple_of`; a multiple stays as it is
#
# **A worked example.** $d = 4096$, multiplier 1.3, multiples of 1024: $10922$; $1.3 \cdot 10922 = 14198.6$, so
# $14198$; the next multiple of 1024 is $14 \cdot 1024 = 14336$.
#
# **Build** `swiglu_hidden`.
#
# <details><summary>Hint 1</summary>
#
# `-(-n // m)` is $n / m$ rounded up, for integers.
#
# </details>


# %% exercise="swiglu_hidden" minutes=10 difficulty=1
def swiglu_hidden(dim: int, multiple_of: int = 256, multiplier: float | None = None) -> int:
    """The width of Llama's MLP, by the three steps above.

    Args:
        dim: features of the model, at least 1.
        multiple_of: the result is a multiple of it; at least 1.
        multiplier: widens the MLP (`ffn_dim_multiplier` in Meta's configs); None for Llama 1 and small Llama 2.

    Returns:
        An int.
    """
    ### BEGIN SOLUTION
    hidden = 8 * dim // 3
    if multiplier is not None:
        hidden = int(multiplier * hidden)
    return -(-hidden // multiple_of) * multiple_of
    ### END SOLUTION


# %% test="swiglu_hidden" points=2
check.equal(
    [swiglu_hidden(dim) for dim in (4096, 5120, 6656, 8192)],
    [11008, 13824, 17920, 22016],
    "swiglu_hidden of 4096, 5120, 6656, 8192: Llama 1 with 7B, 13B, 33B and 65B parameters",
    likely={
        "rounded down; it is the next multiple up": [10752, 13568, 17664, 21760],
        "rounded to the nearest multiple; it is the next one up": [11008, 13568, 17664, 21760],
        "not rounded to a multiple": [10922, 13653, 17749, 21845],
        "4 dim, without the 2/3 rule": [16384, 20480, 26624, 32768],
        "two thirds of dim, not of 4 dim": [2816, 3584, 4608, 5632],
    },
)
check.equal(
    swiglu_hidden(8192, multiple_of=4096, multiplier=1.3),
    28672,
    "swiglu_hidden(8192, multiple_of=4096, multiplier=1.3): Llama 3 70B",
    likely={
        "the multiplier is not used": 24576,
        "the multiple is not used; 256 is only its default": 28416,
        "rounded to a multiple before the multiplier, and not after it": 31948,
        "rounded to a multiple both before and after the multiplier": 32768,
    },
)
check.equal(
    swiglu_hidden(4096, multiple_of=1, multiplier=1.3),
    14198,
    "swiglu_hidden(4096, multiple_of=1, multiplier=1.3)",
    likely={"the fraction is cut off after step 1, and again after step 2": 14199},
)
### BEGIN HIDDEN TESTS
_rng = check.rng(4)
check.equal(swiglu_hidden(4096, 1024, 1.3), 14336, "swiglu_hidden(4096, 1024, 1.3): Llama 3 8B")
check.equal(swiglu_hidden(16384, 4096, 1.2), 53248, "swiglu_hidden(16384, 4096, 1.2): Llama 3 405B")
check.equal(
    swiglu_hidden(96, 256), 256, "swiglu_hidden(96): 8 * 96 / 3 is 256 already", likely={"a multiple stays": 512}
)
for _dim in (3, 4, 5, 7, 8, *(int(n) for n in _rng.integers(20, 3000, 6))):
    _thirds = (8 * _dim - 8 * _dim % 3) // 3
    check.equal(
        swiglu_hidden(_dim, 1),
        _thirds,
        f"swiglu_hidden({_dim}, multiple_of=1)",
        likely={"the fraction of 8 dim / 3 is cut off": _thirds + 1},
    )
    for _multiple in (7, 32):
        _least = next(n for n in range(_thirds, _thirds + _multiple) if n % _multiple == 0)
        check.equal(swiglu_hidden(_dim, _multiple), _least, f"swiglu_hidden({_dim}, multiple_of={_multiple})")
    _wide = math.floor(1.5 * _thirds)  # exact in float64
    check.equal(
        swiglu_hidden(_dim, 1, 1.5),
        _wide,
        f"swiglu_hidden({_dim}, multiple_of=1, multiplier=1.5)",
        likely={"the fraction is cut off before the multiplication too": math.floor(1.5 * 8 * _dim / 3)},
        hint="cut off the fraction after step 1, and again after step 2",
    )
check.equal(swiglu_hidden(300, 10, 0.5), 400, "swiglu_hidden(300, multiple_of=10, multiplier=0.5)")
check.equal(type(swiglu_hidden(300, 10, 1.3)), int, "the type of swiglu_hidden(300, multiple_of=10, multiplier=1.3)")
### END HIDDEN TESTS

# %% [markdown]
# ### 3.2 The GLU family
#
# A hidden unit of an ordinary MLP is $\sigma(u \cdot x)$: it looks at $x$ along *one* direction $u$, and its values
# form a ridge. A gated unit is $\sigma(u \cdot x)\,(v \cdot x)$: two directions, multiplied. With no activation at
# all, one gated unit computes $x_1 x_2$ exactly; ordinary units can only approximate it, several at a time.
#
# Dauphin et al. (2017) introduced the gated linear unit (GLU) with a sigmoid as the gate. Shazeer (2020) tried other
# functions in its place:
#
# $$\operatorname{MLP}(x) = W_2 \bigl( \operatorname{act}(W_1 x) \odot W_3 x \bigr)$$
#
# Here $\odot$ is the product feature by feature. The names of the matrices are Meta's, and easily swapped: $W_1$ is
# the **gate**, of shape $(h, d)$, and the activation acts on it alone; $W_3$ is **up**, $(h, d)$, and stays linear;
# $W_2$ is **down**, $(d, h)$. In `transformers` they are `gate_proj`, `up_proj` and `down_proj`. None has a bias.
#
# | `variant` | $\operatorname{act}(z)$ |
# |---|---|
# | `"glu"` | $\operatorname{sigmoid}(z)$ |
# | `"bilinear"` | $z$ |
# | `"reglu"` | $\max(z, 0)$ |
# | `"geglu"` | $\operatorname{GELU}(z) = z\,\Phi(z)$, exact, with the normal distribution function $\Phi$ |
# | `"swiglu"` | $\operatorname{SiLU}(z) = z \operatorname{sigmoid}(z)$, also called Swish |
#
# **A worked example.** $d = h = 1$, $W_1 = 1$, $W_3 = 2$, $W_2 = 3$ and $x = 1$: SwiGLU gives
# $3 \cdot (0.7311 \cdot 2) = 4.386$. With gate and up swapped it would be $3 \cdot (2 \cdot 0.8808 \cdot 1) = 5.285$.
#
# **Build** `GatedMLP`. PyTorch's activations and `nn.Linear` are there to be used.
#
# <details><summary>Hint 1</summary>
#
# `nn.Linear(a, b)` has a weight of shape `(b, a)`, and a bias unless you say otherwise.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# A dictionary from the name to a function (`torch.sigmoid`, `F.relu`, ...) saves a chain of `if`.
#
# </details>


# %% exercise="GatedMLP" minutes=15 difficulty=2
class GatedMLP(nn.Module):
    """A gated MLP of the GLU family (Shazeer 2020, arXiv 2002.05202), without biases.

    Its parameters are `w1.weight` (the gate, hidden × dim), `w3.weight` (up, hidden × dim) and `w2.weight` (down,
    dim × hidden), and nothing else is in its `state_dict()`.
    """

    def __init__(self, dim: int, hidden: int, variant: str = "swiglu") -> None:
        """A ValueError if `variant` is not in the table above, letter for letter."""
        super().__init__()
        ### BEGIN SOLUTION
        activations = {
            "glu": torch.sigmoid,
            "bilinear": nn.Identity(),
            "reglu": F.relu,
            "geglu": F.gelu,
            "swiglu": F.silu,
        }
        if variant not in activations:
            raise ValueError(f"variant is {variant!r}, but must be one of {', '.join(activations)}")
        self.activation = activations[variant]
        self.w1 = nn.Linear(dim, hidden, bias=False)
        self.w2 = nn.Linear(hidden, dim, bias=False)
        self.w3 = nn.Linear(dim, hidden, bias=False)
        ### END SOLUTION

    def forward(self, x: Float[Tensor, "... dim"]) -> Float[Tensor, "... dim"]:
        """w2(act(w1(x)) * w3(x)), in the dtype of `x` and the weights, over the last axis."""
        ### BEGIN SOLUTION
        return self.w2(self.activation(self.w1(x)) * self.w3(x))
        ### END SOLUTION


# %% test="GatedMLP" points=4
mlp = GatedMLP(5, 7)
check.equal(
    shapes(mlp),
    {"w1.weight": (7, 5), "w2.weight": (5, 7), "w3.weight": (7, 5)},
    "the state_dict of GatedMLP(dim=5, hidden=7): names and shapes",
    likely={
        "w2 is down, w3 is up": {"w1.weight": (7, 5), "w2.weight": (7, 5), "w3.weight": (5, 7)},
        "there are no biases": {
            **{"w1.weight": (7, 5), "w2.weight": (5, 7), "w3.weight": (7, 5)},
            **{"w1.bias": (7,), "w2.bias": (5,), "w3.bias": (7,)},
        },
    },
)
fill(mlp, check.rng(5))
x = normal(check.rng(6), 2, 3, 5, dtype=torch.float32)
gate, up, down = mlp.w1.weight.detach(), mlp.w3.weight.detach(), mlp.w2.weight.detach()
with check.forbid(*MLPS, because="write the gate with an activation and a product"):
    y = mlp(x)
check.close(
    y,
    (F.silu(x @ gate.T) * (x @ up.T)) @ down.T,
    "GatedMLP(5, 7)(x), which is SwiGLU, for x of shape (2, 3, 5)",
    terms=60,
    likely={
        "gate and up are swapped: the activation acts on w1(x)": ((x @ gate.T) * F.silu(x @ up.T)) @ down.T,
        "the activation acts on w1(x) alone, not on the product": F.silu((x @ gate.T) * (x @ up.T)) @ down.T,
        "the sum of gate and up, where the product belongs": (F.silu(x @ gate.T) + x @ up.T) @ down.T,
        "silu(z) is z sigmoid(z); with the sigmoid alone it is GLU": ((x @ gate.T).sigmoid() * (x @ up.T)) @ down.T,
        "this is GEGLU; the default is SwiGLU": (F.gelu(x @ gate.T) * (x @ up.T)) @ down.T,
        "up is not used: this is an ordinary MLP": F.silu(x @ gate.T) @ down.T,
        "w3(x) stays linear": (F.silu(x @ gate.T) * F.silu(x @ up.T)) @ down.T,
    },
)
check.close(
    fill(GatedMLP(5, 7, variant="geglu"), check.rng(5))(x).detach(),
    (F.gelu(x @ gate.T) * (x @ up.T)) @ down.T,
    "GatedMLP(5, 7, variant='geglu')(x) with the same weights",
    terms=60,
    likely={
        "this is SwiGLU: `variant` chooses the activation": (F.silu(x @ gate.T) * (x @ up.T)) @ down.T,
        "GELU's approximation by tanh, where the table has the exact one": (
            (F.gelu(x @ gate.T, approximate="tanh") * (x @ up.T)) @ down.T
        ),
    },
)
check.raises(ValueError, "GatedMLP(5, 7, variant='gelu')", GatedMLP, 5, 7, "gelu")
### BEGIN HIDDEN TESTS
_rng = check.rng(7)
# closed forms in float64, from exp, erf and comparisons, not from torch's activations
_forms = {
    "glu": lambda z: 1 / (1 + torch.exp(-z)),
    "bilinear": lambda z: z,
    "reglu": lambda z: torch.where(z > 0, z, 0 * z),
    "geglu": lambda z: z * (1 + torch.erf(z / math.sqrt(2))) / 2,
    "swiglu": lambda z: z / (1 + torch.exp(-z)),
}
for _variant, _form in _forms.items():
    for _shape, _hidden, _dtype in [
        ((4,), 9, torch.float64),
        ((2, 3, 6), 5, torch.float32),
        ((3, 0, 4), 2, torch.float64),
    ]:
        _mlp = fill(GatedMLP(_shape[-1], _hidden, variant=_variant).to(_dtype), _rng)
        check.equal(
            shapes(_mlp),
            {
                "w1.weight": (_hidden, _shape[-1]),
                "w2.weight": (_shape[-1], _hidden),
                "w3.weight": (_hidden, _shape[-1]),
            },
            f"the state_dict of GatedMLP({_shape[-1]}, {_hidden}, {_variant!r}): names and shapes",
        )
        _x = (2 * normal(_rng, *_shape)).to(_dtype).requires_grad_()
        _w1, _w2, _w3 = (w.weight.detach().double() for w in (_mlp.w1, _mlp.w2, _mlp.w3))
        _x2 = _x.detach().double().requires_grad_()
        _want = (_form(_x2 @ _w1.T) * (_x2 @ _w3.T)) @ _w2.T
        with (
            check.forbid(*MLPS, because="write the gate with an activation and a product"),
            check.unchanged(f"GatedMLP(..., {_variant!r})(x)", _x),
        ):
            _got = _mlp(_x)
        _call = f"GatedMLP({_shape[-1]}, {_hidden}, {_variant!r})(x) for x of shape {_shape}"
        check.close(_got, _want.to(_dtype), _call, terms=60, scale=4.0, dtype=_dtype)
        _got, _want = (torch.autograd.grad((t**2).sum(), at)[0] for t, at in ((_got, _x), (_want, _x2)))
        check.close(_got, _want.to(_dtype), f"the gradient of x through {_call}", terms=400, scale=4.0)
for _variant in ("SwiGLU", "lu", ""):
    check.raises(ValueError, f"GatedMLP(5, 7, variant={_variant!r})", GatedMLP, 5, 7, _variant)
# two of them at a time
_mlp, _x = fill(GatedMLP(4, 6, "bilinear").double(), _rng), normal(_rng, 3, 4)
GatedMLP(4, 6, "reglu")
check.close(
    _mlp(_x),
    F.linear(F.linear(_x, _mlp.w1.weight) * F.linear(_x, _mlp.w3.weight), _mlp.w2.weight),
    "GatedMLP(4, 6, 'bilinear')(x) after a GatedMLP(4, 6, 'reglu') was made",
    terms=30,
    scale=4.0,
    hint="the activation belongs to the instance, not to the class",
)
# torch has GLU itself, with the gate in the second half
_mlp, _x = fill(GatedMLP(4, 6, "glu").double(), _rng), normal(_rng, 3, 4)
check.close(
    _mlp(_x),
    F.linear(F.glu(torch.cat([_mlp.w3(_x), _mlp.w1(_x)], -1)), _mlp.w2.weight),
    "GatedMLP(4, 6, 'glu')(x), against torch.nn.functional.glu",
    terms=30,
)
_mlp, _x = fill(GatedMLP(6, 10).bfloat16(), _rng), normal(_rng, 2, 6).bfloat16()
_wide = [w.weight.detach().double() for w in (_mlp.w1, _mlp.w3, _mlp.w2)]
check.close(
    _mlp(_x),
    ((F.silu(_x.double() @ _wide[0].T) * (_x.double() @ _wide[1].T)) @ _wide[2].T).bfloat16(),
    "GatedMLP in bf16",
    terms=16,
    scale=2.0,
    dtype=torch.bfloat16,
)
_mlp = GatedMLP(1, 1)
for _weight in (_mlp.w1, _mlp.w2, _mlp.w3):
    nn.init.ones_(_weight.weight)
check.close(
    _mlp(torch.tensor([[-200.0], [0.0], [200.0]])),
    torch.tensor([[0.0], [0.0], [40000.0]]),
    "GatedMLP with all weights 1 at -200, 0, 200",
    hint="e^200 is infinite in fp32, and inf / inf is NaN; torch's own activations are safe at both ends",
)
### END HIDDEN TESTS

# %% [markdown]
# What does a product buy? Each picture shows one hidden unit as a function of two inputs, $u = (1, 0.4)$ and
# $v = (-0.4, 1)$. The ordinary unit is a ridge: walk at right angles to $u$ and nothing changes. The gated units bend
# in both directions.

# %% explore
side = torch.linspace(-3, 3, 121)
x = torch.stack(torch.meshgrid(side, side, indexing="xy"), -1)  # (121, 121, 2)
u, v = x @ torch.tensor([1.0, 0.4]), x @ torch.tensor([-0.4, 1.0])
units = {
    "GELU(u·x): a ridge": F.gelu(u),
    "bilinear: (u·x)(v·x)": u * v,
    "SwiGLU: SiLU(u·x)(v·x)": F.silu(u) * v,
}
figure, axes = plt.subplots(1, 3, figsize=(9.6, 3.3), sharey=True)
for axis, (name, z) in zip(axes, units.items(), strict=True):
    filled = axis.contourf(side, side, z, levels=np.linspace(-8, 8, 33), cmap="RdBu", extend="both")
    axis.contour(side, side, z, levels=np.arange(-8, 8.1, 1), colors="black", linewidths=0.5, linestyles="solid")
    axis.set(title=name, xlabel="$x_1$", aspect="equal")
    axis.grid(visible=False)
axes[0].set_ylabel("$x_2$")
figure.colorbar(filled, ax=axes, label="value of the unit", ticks=range(-8, 9, 4), shrink=0.85)
plots.show(
    figure,
    alt="Contours of three hidden units over two inputs: the GELU unit has parallel straight contours, the bilinear "
    "unit a saddle, the SwiGLU unit a saddle on one side and almost nothing on the other.",
)

# %% [markdown]
# ## 4. Grouped queries
#
# ### 4.1 Fewer keys than queries
#
# In multi-head attention every query head has a key head and a value head of its own. While a model writes, the keys
# and values of all past tokens wait in memory, and each new token reads every one of them. Memory and its bandwidth,
# not arithmetic, limit how many conversations a server holds and how fast it answers.
#
# Queries are never kept. So keep all query heads, and let several of them share a key head and a value head
# (**grouped-query attention**, GQA; Ainslie et al. 2023). With one group per query head it is multi-head attention
# again (MHA), with a single group **multi-query attention** (MQA; Shazeer 2019).
#
# **Which query head reads which key head?** Groups are *consecutive*: with 6 query heads and 2 key and value heads,
# queries 0, 1, 2 read head 0, and queries 3, 4, 5 read head 1. In general query head $i$ reads head
# $\lfloor i / g \rfloor$, with $g$ = `heads` / `kv_heads` the size of a group. Dealing the heads out like cards
# (0, 1, 0, 1, 0, 1) makes a model that trains just as well. But published weights are made for the first, and nothing
# warns you: shapes fit, the text is nonsense.
#
# Shapes, for batch $B$, length $T$, $H$ query heads, $K$ key and value heads of $D = d / H$ features:
#
# | step | shape |
# |---|---|
# | $q = W_q x$, split into heads | $(B, H, T, D)$ |
# | $k = W_k x$, $\;v = W_v x$, split into heads | $(B, K, T, D)$ |
# | positions: `rope` turns $q$ and $k$, not $v$ | as they were |
# | scores $q k^\top / \sqrt{D}$, causal mask, softmax | $(B, H, T, T)$ |
# | weighted sums of $v$, heads side by side again | $(B, T, H D)$ |
# | $W_o$ | $(B, T, d)$ |
#
# The **causal mask** lets the token at position $t$ see positions $0$ to $t$, itself included. `rope` is a function
# that the next lesson provides; here it is an argument, or `None`. It is called **before** keys are shared out: on
# $K$ heads, not on $H$, since that is less work, and since it is these rotated keys that go into the cache.
#
# **Build** `GroupedQueryAttention` from matrix products and a softmax.
#
# <details><summary>Hint 1</summary>
#
# `torch.repeat_interleave(k, g, dim=1)` gives 0, 0, 0, 1, 1, 1; `k.repeat(1, g, 1, 1)` gives 0, 1, 0, 1, 0, 1.
# Without any copy: give the queries a shape of $(B, K, g, T, D)$, and the keys one of $(B, K, 1, T, D)$.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `t.unflatten(-1, (heads, head_dim))` splits the last axis; a transpose brings the heads in front of the length. On
# the way back, the transpose comes first.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `torch.ones(T, T, dtype=torch.bool).tril()` is True where a token may look. `masked_fill` with $-\infty$ wants the
# opposite.
#
# </details>

# %%
Rope = Callable[[Tensor], Tensor]  # (batch, heads, length, head_dim) -> the same shape, any number of heads


# %% exercise="GroupedQueryAttention" minutes=30 difficulty=3
class GroupedQueryAttention(nn.Module):
    """Causal self-attention in which groups of query heads share keys and values (arXiv 2305.13245), without biases.

    Its parameters are `wq.weight` (dim × dim), `wk.weight` and `wv.weight` (kv_heads * head_dim × dim each) and
    `wo.weight` (dim × dim), with head_dim = dim / heads; nothing else is in its `state_dict()`. Head i of the queries
    is rows i * head_dim to (i + 1) * head_dim of `wq`, and so for keys and values.
    """

    def __init__(self, dim: int, heads: int, kv_heads: int) -> None:
        """A ValueError if `heads` does not divide `dim`, or `kv_heads` does not divide `heads`."""
        super().__init__()
        ### BEGIN SOLUTION
        if dim % heads or heads % kv_heads:
            raise ValueError(f"dim {dim}, heads {heads} and kv_heads {kv_heads}: each must divide the one before")
        self.head_dim, self.group = dim // heads, heads // kv_heads
        self.wq = nn.Linear(dim, dim, bias=False)
        self.wk = nn.Linear(dim, kv_heads * self.head_dim, bias=False)
        self.wv = nn.Linear(dim, kv_heads * self.head_dim, bias=False)
        self.wo = nn.Linear(dim, dim, bias=False)
        ### END SOLUTION

    def forward(
        self, x: Float[Tensor, "batch length dim"], rope: Rope | None = None
    ) -> Float[Tensor, "batch length dim"]:
        """Attend from every token to itself and those before it.

        Args:
            x: of any length from 1 on, and of another length in the next call.
            rope: if given, called exactly twice, in either order: with the queries, (batch, heads, length, head_dim),
                and with the keys, (batch, kv_heads, length, head_dim). What it returns is used in their place.

        Returns:
            In the dtype of `x` and the weights.
        """
        ### BEGIN SOLUTION
        q, k, v = (
            project(x)
            .unflatten(-1, (-1, self.head_dim))
            .transpose(1, 2)  # (batch, heads or kv_heads, length, head_dim)
            for project in (self.wq, self.wk, self.wv)
        )
        if rope is not None:
            q, k = rope(q), rope(k)
        k, v = (t.repeat_interleave(self.group, dim=1) for t in (k, v))  # (batch, heads, length, head_dim)
        scores = q @ k.transpose(-2, -1) / math.sqrt(self.head_dim)  # (batch, heads, length, length)
        seen = torch.ones(scores.shape[-2:], dtype=torch.bool, device=x.device).tril()
        attention = scores.masked_fill(~seen, -math.inf).softmax(-1)
        return self.wo((attention @ v).transpose(1, 2).flatten(2))  # (batch, length, dim)
        ### END SOLUTION


# %% test="GroupedQueryAttention" points=6
attention = GroupedQueryAttention(24, heads=6, kv_heads=2)
check.equal(
    shapes(attention),
    {"wk.weight": (8, 24), "wo.weight": (24, 24), "wq.weight": (24, 24), "wv.weight": (8, 24)},
    "the state_dict of GroupedQueryAttention(24, heads=6, kv_heads=2): names and shapes",
    likely={
        "keys and values have kv_heads heads, and so fewer rows": {
            **dict.fromkeys(["wk.weight", "wo.weight", "wq.weight", "wv.weight"], (24, 24))
        },
        "head_dim is dim / heads, not dim / kv_heads": {
            **dict.fromkeys(["wk.weight", "wv.weight"], (24, 24)),
            **{"wq.weight": (72, 24), "wo.weight": (24, 72)},
        },
    },
)
fill(attention, check.rng(8))
x = normal(check.rng(9), 3, 5, 24, dtype=torch.float32)
with check.forbid(*ATTENTIONS, because="write scores, mask and softmax yourself, as last week"):
    y = attention(x)


def attend(share: Callable[[Tensor], Tensor], rope: Rope = lambda t: t, **how: Any) -> Tensor:
    """PyTorch's attention with the weights of `attention`; `share` gives every query head its keys and values."""
    q, k, v = (
        F.linear(x, w.weight).unflatten(-1, (-1, 4)).transpose(1, 2) for w in (attention.wq, attention.wk, attention.wv)
    )
    y = F.scaled_dot_product_attention(rope(q), share(rope(k)), share(v), **{"is_causal": True, **how})
    return F.linear(y.transpose(1, 2).flatten(2), attention.wo.weight).detach()


def groups(t: Tensor) -> Tensor:
    return t[:, [0, 0, 0, 1, 1, 1]]


check.close(
    y,
    attend(groups),
    "GroupedQueryAttention(24, 6, 2)(x) for x of shape (3, 5, 24)",
    terms=100,
    likely={
        "query heads share in turn (0, 1, 0, 1, ...); groups are consecutive": attend(lambda t: t[:, [0, 1] * 3]),
        "there is no causal mask": attend(groups, is_causal=False),
        "divided by head_dim; it is its root": attend(groups, scale=1 / 4),
        "divided by the root of dim; it is that of head_dim": attend(groups, scale=24**-0.5),
        "the scores are not divided by the root of head_dim": attend(groups, scale=1.0),
        "every query head reads key and value head 0": attend(lambda t: t[:, [0] * 6]),
    },
    hint="heads in front of the length before attention, and behind it again before they are joined",
)
scale = 1 + normal(check.rng(20), 5, 4, dtype=torch.float32)
check.close(
    attention(x, lambda t: t * scale).detach(),
    attend(groups, lambda t: t * scale),
    "GroupedQueryAttention(24, 6, 2)(x, rope), with a rope that multiplies by numbers of shape (length, head_dim)",
    terms=100,
    likely={"rope is not used": attend(groups)},
    hint="q, k = rope(q), rope(k), with heads in front of the length",
)
check.raises(ValueError, "GroupedQueryAttention(24, heads=6, kv_heads=4)", GroupedQueryAttention, 24, 6, 4)
### BEGIN HIDDEN TESTS
_rng = check.rng(10)


def _torch(x, m, heads, rope=None):
    """PyTorch's attention, which shares heads itself (enable_gqa), in float64."""
    q, k, v = (
        F.linear(x.double(), w.weight.double()).unflatten(-1, (-1, x.shape[-1] // heads)).transpose(1, 2)
        for w in (m.wq, m.wk, m.wv)
    )
    if rope is not None:
        q, k = rope(q), rope(k)
    y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
    return F.linear(y.transpose(1, 2).flatten(2), m.wo.weight.double())


for _heads, _kv_heads, _head_dim, _shape, _dtype in [
    (6, 3, 2, (2, 5), torch.float64),
    (6, 2, 5, (3, 7), torch.float32),
    (4, 4, 3, (2, 5), torch.float64),  # multi-head
    (5, 1, 4, (2, 6), torch.float64),  # multi-query
    (8, 4, 2, (1, 9), torch.float64),
    (6, 2, 2, (2, 1), torch.float64),
    (4, 2, 8, (2, 6), torch.bfloat16),
]:
    _dim, _call = _heads * _head_dim, f"GroupedQueryAttention({_heads * _head_dim}, {_heads}, {_kv_heads})"
    _attention = fill(GroupedQueryAttention(_dim, _heads, _kv_heads).to(_dtype), _rng)
    _x = normal(_rng, *_shape, _dim).to(_dtype).requires_grad_()
    _call = f"{_call}(x), x of shape {tuple(_x.shape)} and {_dtype}"
    with (
        check.forbid(*ATTENTIONS, because="write scores, mask and softmax yourself, as last week"),
        check.unchanged(_call, _x),
    ):
        _y = _attention(_x)
    _want = _torch(_x, _attention, _heads)
    # bf16 rounds q, k, scores, weights, sums and the result, each once
    check.close(_y, _want.to(_dtype), _call, terms=16 if _dtype == torch.bfloat16 else 200, scale=2.0, dtype=_dtype)
    if _dtype != torch.bfloat16:
        _out = normal(_rng, *_y.shape).to(_dtype)
        _got, _want = (torch.autograd.grad((t * _out).sum(), _x, retain_graph=True)[0] for t in (_y, _want))
        check.close(_got, _want.to(_dtype), f"the gradient of x through {_call}", terms=1000, scale=4.0)

# one instance, and another length in every call
_attention = fill(GroupedQueryAttention(12, 6, 2).double(), _rng)
for _length in (2, 6, 4):
    _x = normal(_rng, 2, _length, 12)
    check.close(
        _attention(_x).detach(),
        _torch(_x, _attention, 6).detach(),
        f"the same GroupedQueryAttention(12, 6, 2) called with lengths 2, 6 and 4; this is {_length}",
        terms=200,
        scale=2.0,
        hint="make the mask for the length of this x",
    )

# scores in the hundreds, as trained models have them: e^400 is infinite in fp32
_attention, _x = fill(GroupedQueryAttention(12, 6, 2), _rng), 12 * normal(_rng, 2, 7, 12, dtype=torch.float32)
check.close(
    _attention(_x).detach(),
    _torch(_x, _attention, 6).float().detach(),
    "GroupedQueryAttention(12, 6, 2)(x) with scores in the hundreds",
    # scores reach 2000, each off by some 10 eps of its size; so is a weight, relative to itself; values are near 50
    atol=0.1,
    hint="torch.softmax subtracts the largest score first; do so too, or use it",
)

# rope: a function of position and feature that moves lengths and directions, and notes what it saw
_scale = 1 + 0.5 * normal(_rng, 7, 4)
_seen = []


def _rope(t):
    _seen.append(tuple(t.shape))
    return t * _scale + _scale.roll(1, 0)


_attention, _x = fill(GroupedQueryAttention(24, 6, 2).double(), _rng), normal(_rng, 3, 7, 24)
_y = _attention(_x, _rope)
check.equal(
    sorted(_seen),
    [(3, 2, 7, 4), (3, 6, 7, 4)],
    "the shapes with which rope is called: queries of 6 heads, keys of 2",
    likely={
        "it is called with keys that were shared out already; call it before": [(3, 6, 7, 4), (3, 6, 7, 4)],
        "it is called for values as well": [(3, 2, 7, 4), (3, 2, 7, 4), (3, 6, 7, 4)],
        "it is called for queries alone": [(3, 6, 7, 4)],
        "it is called with the length in front of the heads": [(3, 7, 2, 4), (3, 7, 6, 4)],
        "it is not called": [],
    },
)
check.close(
    _y.detach(), _torch(_x, _attention, 6, _rope).detach(), "GroupedQueryAttention(24, 6, 2)(x, rope)", terms=200
)
check.raises(ValueError, "GroupedQueryAttention(25, heads=6, kv_heads=2)", GroupedQueryAttention, 25, 6, 2)
### END HIDDEN TESTS

# %% [markdown]
# Who reads whom? Your attention can answer that itself. Below, the values of one key and value head are changed, for
# each head in turn, and the picture shows which query heads notice.

# %% explore
heads, kv_heads, head_dim = 8, 4, 4
attention = fill(GroupedQueryAttention(heads * head_dim, heads, kv_heads), check.rng())
x = normal(check.rng(), 1, 6, heads * head_dim, dtype=torch.float32)
noticed = np.zeros((heads, kv_heads))
with torch.no_grad():
    attention.wo.weight.copy_(torch.eye(heads * head_dim))  # so that the output is the heads side by side
    before = attention(x)
    for head in range(kv_heads):
        rows = attention.wv.weight[head * head_dim : (head + 1) * head_dim]
        rows += 1
        noticed[:, head] = (attention(x) - before).abs().unflatten(-1, (heads, head_dim)).amax((0, 1, 3)) > 1e-6
        rows -= 1
figure, axis = plt.subplots(figsize=(7.2, 2.6))
axis.imshow(noticed.T, cmap="Blues", vmin=0, vmax=1.4, aspect="auto")
for query, head in zip(*noticed.nonzero(), strict=True):
    axis.text(query, head, "reads", ha="center", va="center", fontsize=9, color="white")
axis.set(xticks=range(heads), yticks=range(kv_heads), xlabel="query head", ylabel="key and value head")
axis.set_title("8 query heads, 4 key and value heads: groups of two")
axis.grid(visible=False)
plots.show(figure, alt="A staircase: query heads 0 and 1 read head 0, 2 and 3 read head 1, and so on.")

# %% [markdown]
# ### 4.2 What a token costs
#
# The **KV cache** holds, for every past token of a sequence, in every layer, one key and one value for each of the
# $K$ heads, of $D$ numbers each. Nothing else of the past is needed.
#
# Sizes come as a `LlamaConfig` from here on. The table holds the published ones
# ([Llama 1](https://arxiv.org/abs/2302.13971), Table 2; [Llama 3](https://arxiv.org/abs/2407.21783), Table 3); `hidden`
# is what your `swiglu_hidden` gives. And SmolLM2, whose real weights the next lesson loads.


# %%
@dataclass(frozen=True)
class LlamaConfig:
    """The sizes of a Llama."""

    dim: int  # features of the residual stream
    layers: int
    heads: int  # query heads
    kv_heads: int  # key and value heads
    hidden: int  # width of the MLP
    vocab_size: int
    tied: bool = False  # is the output head the embedding's own matrix?

    @property
    def head_dim(self) -> int:
        return self.dim // self.heads


PUBLISHED = {
    "Llama 1 7B": LlamaConfig(4096, 32, 32, 32, 11008, 32000),
    "Llama 1 13B": LlamaConfig(5120, 40, 40, 40, 13824, 32000),
    "Llama 1 33B": LlamaConfig(6656, 60, 52, 52, 17920, 32000),
    "Llama 1 65B": LlamaConfig(8192, 80, 64, 64, 22016, 32000),
    "Llama 3 8B": LlamaConfig(4096, 32, 32, 8, 14336, 128256),
    "Llama 3 70B": LlamaConfig(8192, 80, 64, 8, 28672, 128256),
    "Llama 3 405B": LlamaConfig(16384, 126, 128, 8, 53248, 128256),
    "SmolLM2 135M": LlamaConfig(576, 30, 9, 3, 1536, 49152, tied=True),
}

# %% [markdown]
# **A worked example.** SmolLM2 135M: 30 layers, 3 heads of $576 / 9 = 64$ numbers, keys and values, 2 bytes each in
# bf16: $2 \cdot 30 \cdot 3 \cdot 64 \cdot 2 = 23{,}040$ bytes, for every token.
#
# **Build** `kv_bytes_per_token`.
#
# <details><summary>Hint 1</summary>
#
# A dtype knows its size: `torch.bfloat16.itemsize` is 2.
#
# </details>


# %% exercise="kv_bytes_per_token" minutes=5 difficulty=1
def kv_bytes_per_token(config: LlamaConfig, dtype: torch.dtype = torch.bfloat16) -> int:
    """Bytes that one token of one sequence adds to the KV cache of all layers, as an int.

    `dtype` may be any that PyTorch has, also one of integers.
    """
    ### BEGIN SOLUTION
    return 2 * config.layers * config.kv_heads * config.head_dim * dtype.itemsize
    ### END SOLUTION


# %% test="kv_bytes_per_token" points=2
llama_70b = PUBLISHED["Llama 3 70B"]
check.equal(
    kv_bytes_per_token(llama_70b),
    320 * 1024,
    "kv_bytes_per_token of Llama 3 70B in bf16",
    likely={
        "half: both keys and values are kept, and a bf16 number has 2 bytes": 160 * 1024,
        "as much as with multi-head attention: there are kv_heads heads, each of dim / heads numbers": 2560 * 1024,
        "head_dim is dim / heads": 2560 * 1024 * 8,
        "every layer has a cache": 4 * 1024,
        "bytes, not numbers or bits": 320 * 1024 * 8,
    },
    hint="2 (keys and values) x layers x kv_heads x head_dim x bytes of a number",
)
check.equal(
    kv_bytes_per_token(replace(llama_70b, kv_heads=64)) // kv_bytes_per_token(llama_70b),
    8,
    "how many times more Llama 3 70B would keep with multi-head attention",
)
check.equal(
    kv_bytes_per_token(llama_70b, torch.float32),
    640 * 1024,
    "kv_bytes_per_token of Llama 3 70B in fp32",
    likely={"a number has dtype.itemsize bytes": 320 * 1024},
)
### BEGIN HIDDEN TESTS
_rng = check.rng(11)
check.equal(kv_bytes_per_token(PUBLISHED["SmolLM2 135M"]), 23040, "kv_bytes_per_token of SmolLM2 135M in bf16")
for _dtype in (torch.float32, torch.float16, torch.float8_e4m3fn, torch.int8):
    _heads, _kv_heads, _head_dim, _layers = (int(n) for n in _rng.choice([3, 5, 7, 11, 13], 4, replace=False))
    _config = LlamaConfig(_kv_heads * _heads * _head_dim, _layers, _kv_heads * _heads, _kv_heads, 17, 19)
    # what such a cache weighs when it is really allocated, for one token
    _cache = [torch.zeros(1, _kv_heads, 1, _head_dim, dtype=_dtype) for _ in range(_layers) for _ in ("key", "value")]
    check.equal(
        kv_bytes_per_token(_config, _dtype),
        sum(t.nbytes for t in _cache),
        f"kv_bytes_per_token(config, {_dtype}) with {_layers} layers, {_kv_heads} key and value heads of {_head_dim}",
    )
    check.equal(
        kv_bytes_per_token(replace(_config, tied=True, hidden=23, vocab_size=29), _dtype),
        sum(t.nbytes for t in _cache),
        "the same with another MLP and vocabulary, which do not matter",
    )
check.equal(type(kv_bytes_per_token(llama_70b)), int, "the type of kv_bytes_per_token(config)")
### END HIDDEN TESTS

# %% [markdown]
# The lesson began with 20 GiB against 2.5 GiB for 8,192 tokens. Here is where they come from, and what happens at the
# context of Llama 3.1, 131,072 tokens. The dashed line is what eight accelerators of 80 GB have beside the weights.

# %% explore
lengths = 2 ** np.arange(10, 18)
figure, axis = plt.subplots()
for kv_heads, name, color in [(64, "MHA: 64", plots.RED), (8, "GQA: 8", plots.BLUE), (1, "MQA: 1", plots.GREY)]:
    gib = lengths * kv_bytes_per_token(replace(PUBLISHED["Llama 3 70B"], kv_heads=kv_heads)) / 2**30
    axis.loglog(lengths, gib, "o-", color=color, ms=4)
    axis.text(lengths[-1] * 1.1, gib[-1], f"{name}\n{gib[-1]:.3g} GiB", va="top", fontsize=10, color=color)
beside = (8 * 80e9 - 141e9) / 2**30
axis.axhline(beside, color=plots.GREY, ls="--", lw=1.2)
axis.text(1000, beside * 1.15, "room beside the weights", fontsize=10, color=plots.GREY)
axis.set_xticks(lengths, [f"{n // 1024}k" for n in lengths])
axis.minorticks_off()
axis.set(xlim=(900, 420_000), ylim=(0.02, 1500), xlabel="tokens of one sequence", ylabel="KV cache (GiB)")
axis.set_title("Llama 3 70B in bf16: the cache of one sequence")
plots.show(
    figure,
    alt="Cache size against length on log axes: three parallel lines, for 64, 8 and 1 key and value heads; at 131,072 "
    "tokens they reach 320, 40 and 5 GiB.",
)

# %% [markdown]
# What does it cost in quality? Ainslie et al. (Table 1) compare T5-XXL, which has 64 heads, with two models made from
# it, by the average score on their tasks and the time per sample: MHA 47.2 in 1.51 s, MQA 46.6 in 0.24 s, and GQA with
# 8 heads 47.1 in 0.28 s. Nearly all of the speed, for nearly none of the loss. They did not train anew: the heads of
# each group were *averaged*, and training went on for 5 % of its length.
#
# ## 5. The block, and what a Llama weighs
#
# ### 5.1 The block
#
# The parts come together as in last week's pre-norm block, once around attention, once around the MLP:
#
# $$h = x + \operatorname{attention}(\operatorname{norm}_1(x)), \qquad
# y = h + \operatorname{MLP}(\operatorname{norm}_2(h))$$
#
# $x$, $h$ and $y$ are the **residual stream**. Only norms read it, only sums write to it. Each norm has a weight of its
# own. There is no dropout, no bias, and nothing between the MLP and the sum.
#
# The parts are arguments, so that the ablation can put others in their place.
#
# **Build** `LlamaBlock`.
#
# <details><summary>Hint 1</summary>
#
# What does the second norm read: the input of the block, or what the first half has made of it?
#
# </details>


# %% exercise="LlamaBlock" minutes=10 difficulty=2
class LlamaBlock(nn.Module):
    """A pre-norm block: attention and an MLP, each behind a norm and beside a residual connection.

    Its submodules are `attention_norm`, `attention`, `ffn_norm` and `feed_forward`.
    """

    def __init__(
        self,
        dim: int,
        attention: nn.Module,
        feed_forward: nn.Module,
        eps: float = 1e-5,
        norm: Callable[[int, float], nn.Module] = RMSNorm,
    ) -> None:
        """Make two norms by `norm(dim, eps)`, both arguments by position; the other two parts are given."""
        super().__init__()
        ### BEGIN SOLUTION
        self.attention_norm, self.attention = norm(dim, eps), attention
        self.ffn_norm, self.feed_forward = norm(dim, eps), feed_forward
        ### END SOLUTION

    def forward(
        self, x: Float[Tensor, "batch length dim"], rope: Rope | None = None
    ) -> Float[Tensor, "batch length dim"]:
        """The residual stream after the block. `attention` is called with two arguments, its input and `rope`."""
        ### BEGIN SOLUTION
        x = x + self.attention(self.attention_norm(x), rope)
        return x + self.feed_forward(self.ffn_norm(x))
        ### END SOLUTION


# %% test="LlamaBlock" points=4
class Shift(nn.Module):
    """Stands in for attention: mixes features, adds what `rope` makes of them, and looks one token back."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.mix = nn.Linear(dim, dim, bias=False)

    def forward(self, x: Tensor, rope: Rope | None) -> Tensor:
        y = self.mix(x)
        return y.cumsum(1) if rope is None else y.cumsum(1) + rope(y)


def block_parts(dim: int, seed: int) -> tuple[nn.Module, nn.Module, nn.Module, nn.Module]:
    """Attention, MLP and two of PyTorch's RMSNorms, with random weights."""
    rng, hidden = check.rng(seed), dim + 3
    mlp = nn.Sequential(nn.Linear(dim, hidden), nn.Tanh(), nn.Linear(hidden, dim))
    parts = Shift(dim), mlp, nn.RMSNorm(dim, eps=0.01), nn.RMSNorm(dim, eps=0.01)
    return tuple(fill(part.double(), rng) for part in parts)


def torch_norm(x: Tensor, weight: Tensor, eps: float = 1e-5) -> Tensor:
    return F.rms_norm(x, x.shape[-1:], weight, eps)


def flip(t: Tensor) -> Tensor:
    return 2 * t.flip(-1)


attention, mlp, norm_1, norm_2 = block_parts(4, 12)
x = normal(check.rng(13), 3, 5, 4)
with check.using(rms_norm=torch_norm):  # your own rms_norm has a test of its own
    block = LlamaBlock(4, attention, mlp, eps=0.01).double()
    check.equal(
        {name: shape for name, shape in shapes(block).items() if "norm" in name},
        {"attention_norm.weight": (4,), "ffn_norm.weight": (4,)},
        "the norms in the state_dict of LlamaBlock(4, attention, mlp): names and shapes",
    )
    check.equal(
        [block.attention is attention, block.feed_forward is mlp],
        [True, True],
        "whether block.attention and block.feed_forward are the modules that were given",
    )
    with torch.no_grad():
        block.attention_norm.weight.copy_(norm_1.weight)
        block.ffn_norm.weight.copy_(norm_2.weight)
        h = x + attention(norm_1(x), None)
        want = h + mlp(norm_2(h))
        with check.unchanged("block(x)", x):
            y = block(x)
        check.close(
            y,
            want,
            "LlamaBlock(4, attention, mlp)(x)",
            terms=100,
            likely={
                "post-norm: a norm stands in front of its part, not behind the sum": norm_2(
                    norm_1(x + attention(x, None)) + mlp(norm_1(x + attention(x, None)))
                ),
                "both halves read the block's input; the MLP reads what attention has changed": (
                    x + attention(norm_1(x), None) + mlp(norm_2(x))
                ),
                "the first residual connection is missing": (
                    attention(norm_1(x), None) + mlp(norm_2(attention(norm_1(x), None)))
                ),
                "the second residual connection is missing": mlp(norm_2(h)),
                "the second sum starts from the block's input again": x + mlp(norm_2(h)),
                "the residual connection carries the normalised stream": (
                    norm_2(norm_1(x) + attention(norm_1(x), None)) + mlp(norm_2(norm_1(x) + attention(norm_1(x), None)))
                ),
                "both halves use the first norm; each has its own": h + mlp(norm_1(h)),
                "both halves share one norm; each has its own": (
                    x + attention(norm_2(x), None) + mlp(norm_2(x + attention(norm_2(x), None)))
                ),
                "the two norms are swapped": (
                    x + attention(norm_2(x), None) + mlp(norm_1(x + attention(norm_2(x), None)))
                ),
                "the MLP has a norm too": h + mlp(h),
                "attention has a norm too": x + attention(x, None) + mlp(norm_2(x + attention(x, None))),
            },
        )
        h = x + attention(norm_1(x), flip)
        check.close(
            block(x, flip),
            h + mlp(norm_2(h)),
            "LlamaBlock(4, attention, mlp)(x, rope), with a rope that flips the features and doubles them",
            terms=100,
            likely={"rope is not passed on: attention is called with its input and rope": want},
        )
### BEGIN HIDDEN TESTS
_attention, _mlp, _norm_1, _norm_2 = block_parts(6, 14)
_rng = check.rng(15)
_x, _out = normal(_rng, 2, 7, 6).requires_grad_(), normal(_rng, 2, 7, 6)
with check.using(rms_norm=torch_norm):
    _block = LlamaBlock(6, _attention, _mlp, 0.01).double()
    with torch.no_grad():
        _block.attention_norm.weight.copy_(_norm_1.weight)
        _block.ffn_norm.weight.copy_(_norm_2.weight)
    for _rope, _call in [(None, "block(x)"), (lambda t: t.flip(-1) * 2, "block(x, rope)")]:
        with check.unchanged(_call, _x):
            _y = _block(_x) if _rope is None else _block(_x, _rope)
        _h = _x + _attention(_norm_1(_x), _rope)
        _want = _h + _mlp(_norm_2(_h))
        check.close(
            _y,
            _want,
            f"LlamaBlock(6, attention, mlp)'s {_call}",
            terms=200,
            hint="pass rope on to attention, as its second argument",
        )
        _got, _ref = (torch.autograd.grad((t * _out).sum(), _x)[0] for t in (_y, _want))
        check.close(_got, _ref, f"the gradient of x through {_call}", terms=1000)
    # eps reaches the norms: a stream that is small beside it
    _small = 1e-3 * _x.detach()
    _h = _small + _attention(_norm_1(_small), None)
    check.close(
        _block(_small).detach(),
        (_h + _mlp(_norm_2(_h))).detach(),
        "LlamaBlock(6, attention, mlp, eps=0.01)(x) for a small x",
        terms=200,
        hint="pass eps on to both norms",
    )
    # other norms
    _made = []

    def _layer_norm(dim, eps, /):
        _made.append((dim, eps))
        return fill(nn.LayerNorm(dim, eps).double(), check.rng(16 + len(_made)))

    _block = LlamaBlock(6, _attention, _mlp, 0.125, _layer_norm)
    check.equal(_made, [(6, 0.125), (6, 0.125)], "the arguments with which LlamaBlock calls norm, twice")
    _first, _second = (fill(nn.LayerNorm(6, 0.125).double(), check.rng(seed)) for seed in (17, 18))
    with torch.no_grad():
        _block.attention_norm.load_state_dict(_first.state_dict())
        _block.ffn_norm.load_state_dict(_second.state_dict())
    _h = _x + _attention(_first(_x), None)
    check.close(
        _block(_x).detach(),
        (_h + _mlp(_second(_h))).detach(),
        "LlamaBlock with norm=nn.LayerNorm",
        terms=200,
        hint="make the norms with the argument `norm`",
    )
check.equal(
    sorted(name for name, _ in LlamaBlock(6, _attention, _mlp).named_children()),
    ["attention", "attention_norm", "feed_forward", "ffn_norm"],
    "the submodules of LlamaBlock",
)
check.equal(
    LlamaBlock(6, _attention, _mlp).attention_norm.eps, 1e-5, "the eps of a norm in LlamaBlock(6, attention, mlp)"
)
### END HIDDEN TESTS

# %% [markdown]
# ### 5.2 What a Llama weighs
#
# You know every part now. A Llama is an embedding (one row of `dim` numbers for each token of the vocabulary), the
# blocks, one last RMSNorm, and an output **head**: a matrix from `dim` features to a score for each token. The head
# has the embedding's shape, and where a model is **tied** it *is* the embedding. RoPE has no parameters. There are no
# biases.
#
# **A worked example.** dim 4, one layer, 2 heads, 1 key and value head, hidden 6, vocabulary 10, untied: embedding and
# head 40 each; attention $16 + 8 + 8 + 16 = 48$; MLP $3 \cdot 24 = 72$; norms $3 \cdot 4 = 12$. Together 212.
#
# **Build** `count_parameters`, and compare with the published sizes.
#
# <details><summary>Hint 1</summary>
#
# Three kinds of weights: those that exist once, those that exist in each layer, and those that a tied model lacks.
#
# </details>


# %% exercise="count_parameters" minutes=10 difficulty=2
def count_parameters(config: LlamaConfig) -> int:
    """How many parameters a Llama of these sizes has; a tied head counts once. `layers` and `hidden` may be 0."""
    ### BEGIN SOLUTION
    attention = 2 * config.dim * (config.heads + config.kv_heads) * config.head_dim  # wq and wo, wk and wv
    block = attention + 3 * config.dim * config.hidden + 2 * config.dim
    embedding = config.vocab_size * config.dim
    return embedding * (1 if config.tied else 2) + config.layers * block + config.dim
    ### END SOLUTION


# %% test="count_parameters" points=3
tiny = LlamaConfig(dim=4, layers=1, heads=2, kv_heads=1, hidden=6, vocab_size=10)
check.equal(
    count_parameters(tiny),
    212,
    "count_parameters of the worked example",
    likely={
        "the head is missing": 172,
        "keys and values have kv_heads heads": 228,
        "the MLP has three matrices": 188,
        "a norm is missing: there are two in each block, and one last": 208,
        "a norm too many: there are two in each block, and one last": 216,
        "RMSNorm has a weight and no bias": 224,
        "the norms are missing": 200,
        "attention has an output projection": 196,
        "keys and values are two matrices": 204,
    },
)
# Llama 1: the paper's Table 2 prints one decimal, and cuts 65.286 off to 65.2.
check.close(
    [count_parameters(PUBLISHED[f"Llama 1 {size}"]) / 1e9 for size in ("7B", "13B", "33B", "65B")],
    [6.7, 13.0, 32.5, 65.2],
    "billions of parameters of Llama 1",
    atol=0.1,  # one unit of the last decimal printed
)
# Llama 3: what the released files hold; `total_size` in their `model.safetensors.index.json`, over 2 bytes for bf16.
check.equal(
    [count_parameters(PUBLISHED[f"Llama 3 {size}"]) for size in ("8B", "70B", "405B")],
    [8_030_261_248, 70_553_706_496, 405_853_388_800],
    "count_parameters of Llama 3 8B, 70B and 405B",
)
check.equal(
    count_parameters(PUBLISHED["SmolLM2 135M"]),
    134_515_008,
    "count_parameters of SmolLM2 135M, which is tied",
    likely={
        "a tied head is the embedding's own matrix, and counts once": 162_826_560,
        "a tied model still has its embedding": 106_203_456,
    },
)
### BEGIN HIDDEN TESTS
_rng = check.rng(19)


def _built(c):
    """A Llama of PyTorch's own modules, really built, and counted."""
    linear = [
        (c.dim, c.heads * c.head_dim),
        *[(c.dim, c.kv_heads * c.head_dim)] * 2,
        (c.heads * c.head_dim, c.dim),
        *([(c.dim, c.hidden)] * 2 + [(c.hidden, c.dim)] if c.hidden else []),
    ]
    model = nn.ModuleList([nn.Embedding(c.vocab_size, c.dim), nn.RMSNorm(c.dim)])
    for _ in range(c.layers):
        model.extend([*(nn.Linear(*s, bias=False) for s in linear), nn.RMSNorm(c.dim), nn.RMSNorm(c.dim)])
    head = nn.Linear(c.dim, c.vocab_size, bias=False)
    if c.tied:
        head.weight = model[0].weight  # parameters() gives a shared one once
    return sum(p.numel() for p in model.append(head).parameters())


for _tied in (False, True):
    for _ in range(3):
        _kv_heads, _group, _head_dim, _layers, _hidden, _vocab = (int(n) for n in _rng.integers(2, 7, 6))
        _heads = _kv_heads * _group
        _config = LlamaConfig(_heads * _head_dim, _layers, _heads, _kv_heads, _hidden, _vocab, _tied)
        for _change in ({}, {"hidden": 0}, {"layers": 0}, {"hidden": _hidden + 1}, {"kv_heads": 1}):
            _other = replace(_config, **_change)
            check.equal(count_parameters(_other), _built(_other), f"count_parameters({_other})")
check.equal(type(count_parameters(tiny)), int, "the type of count_parameters(config)")
### END HIDDEN TESTS

# %% [markdown]
# Papers round: Llama 1 prints 6.7, 13.0, 32.5 and 65.2 billion (your 65.286 would round to 65.3). Where do the
# parameters sit, and where did those go that GQA saved?

# %% explore
parts = {"embedding and head": plots.GREY, "attention": plots.BLUE, "MLP": plots.ORANGE}
names = ["Llama 1 65B", "Llama 3 70B", "Llama 3 405B", "Llama 3 8B", "SmolLM2 135M"]
share = {part: [] for part in parts}
for name in names:
    config = PUBLISHED[name]
    total = count_parameters(config)
    one_layer = total - count_parameters(replace(config, layers=config.layers - 1))
    mlp = total - count_parameters(replace(config, hidden=0))
    blocks = config.layers * one_layer
    share["embedding and head"].append(100 * (total - blocks) / total)
    share["MLP"].append(100 * mlp / total)
    share["attention"].append(100 * (blocks - mlp) / total)  # with the norms, which are too few to see
figure, axis = plt.subplots(figsize=(7.2, 3.0))
left = np.zeros(len(names))
for part, color in parts.items():
    bars = axis.barh(names, share[part], left=left, color=color, label=part, height=0.65)
    labels = [f"{value:.0f} %" if value > 5 else "" for value in share[part]]
    axis.bar_label(bars, labels, label_type="center", color="white", fontsize=9)
    left += share[part]
axis.invert_yaxis()
axis.grid(visible=False)
axis.set(xlim=(0, 100), xlabel="share of the parameters (%)")
axis.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.45, 1.0), fontsize=10)
plots.show(
    figure,
    alt="Stacked bars of five models: the MLP holds most of the parameters; attention a third in Llama 1 65B but a "
    "fifth or less in Llama 3; embeddings matter in the small models.",
)

llama_1, llama_3 = PUBLISHED["Llama 1 65B"], PUBLISHED["Llama 3 70B"]
saved = count_parameters(replace(llama_3, kv_heads=64)) - count_parameters(llama_3)
wider = count_parameters(llama_3) - count_parameters(replace(llama_3, hidden=llama_1.hidden))
print(f"in Llama 3 70B, GQA saves {saved / 1e9:.1f} billion parameters; the wider MLP takes {wider / 1e9:.1f} billion")

# %% [markdown]
# The MLP took what GQA saved, and 3.7 billion more: that is the multiplier of 1.3. To compare attention variants at
# equal size, the authors of Llama 2 (appendix A.2.1) made the MLP 1.3 times as wide for GQA; Llama 2 70B and Llama 3
# 8B and 70B kept it, and 405B has 1.2.
#
# ## 6. What can you prove in a minute?
#
# RMSNorm for LayerNorm, SwiGLU for GELU. Are the changes *better*? An **ablation** changes one thing at a time and
# keeps the rest equal. Here you train all four combinations of the two norms and the two MLPs:
#
# - a model of two of your blocks, 48 features, 4 query heads and 2 key and value heads, with learned positions
# - **equal parameters**: 192 features inside GELU's two matrices, $\tfrac23 \cdot 192 = 128$ in SwiGLU's three. They
#   are equal to the last number ($2 \cdot 48 \cdot 192 = 3 \cdot 48 \cdot 128$). LayerNorm's biases add 0.3 %
# - 220 steps on generated stories, byte by byte; the result is the loss on stories that were held out, in bits per byte
#
# One run of each would give four numbers and a ranking. It would be worth nothing, since a run also depends on its
# **seed**: the initial weights and the order of the data. So every combination runs with three seeds, and the same
# three. Such runs are **paired**, and the difference within a pair has less noise than the two results, because luck
# that both share cancels. Runs of a seed see the same batches. Two that differ in the norm also start from the same
# weights, since norms draw no random numbers. Two that differ in the MLP do not: their MLPs draw different matrices,
# and everything drawn later differs too.
#
# From $n$ differences with mean $\bar\delta$ and standard deviation $s$ (computed with $n - 1$), a 95 % **confidence
# interval** is
#
# $$\bar\delta \pm t \, \frac{s}{\sqrt n}, \qquad t = 4.30 \text{ for } n = 3$$
#
# The factor $t$ is from Student's distribution; for many runs it would be 1.96. It is so large because three numbers
# say little about their own spread. **If the interval holds 0, you have not shown a difference.** You have not shown
# that there is none, either.
#
# Before you run it, write down your guess: which of the two changes will be visible?


# %% explore
class GELUMLP(nn.Module):
    """GPT-2's MLP, without biases."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(dim, hidden, bias=False), nn.Linear(hidden, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.gelu(self.up(x)))


class TinyModel(nn.Module):
    """Two of your blocks between an embedding of bytes (the stories are ASCII) and a head; returns the loss."""

    def __init__(self, norm: Callable[[int, float], nn.Module], mlp: Callable[[], nn.Module], dim: int = 48) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(128, dim), nn.Embedding(32, dim)
        nn.init.normal_(self.tokens.weight, std=0.1)
        nn.init.normal_(self.positions.weight, std=0.1)
        self.blocks = nn.ModuleList(
            LlamaBlock(dim, GroupedQueryAttention(dim, 4, 2), mlp(), norm=norm) for _ in range(2)
        )
        self.norm, self.head = norm(dim, 1e-5), nn.Linear(dim, 128, bias=False)

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        h = self.tokens(inputs) + self.positions.weight[: inputs.shape[1]]
        for block in self.blocks:
            h = block(h)
        return F.cross_entropy(self.head(self.norm(h)).flatten(0, 1), targets.flatten())


norms = {"LayerNorm": nn.LayerNorm, "RMSNorm": RMSNorm}
mlps = {"GELU": lambda: GELUMLP(48, 192), "SwiGLU": lambda: GatedMLP(48, 128)}
tokens = corpus.byte_tokens("\n".join(corpus.stories(3000)))
split = len(tokens) * 9 // 10
seeds = range(3)
runs = [(norm, mlp, seed) for seed in seeds for norm in norms for mlp in mlps]
losses = {}
for norm, mlp, seed in track(runs, "training 12 models"):
    torch.manual_seed(seed)
    model = TinyModel(norms[norm], mlps[mlp])
    data = train.batches(tokens[:split], 16, 32, torch.Generator().manual_seed(seed))
    train.fit(model, data, steps=220, lr=1e-2, progress=None)
    losses[norm, mlp, seed] = train.bits_per_byte(train.evaluate(model, tokens[split:], 64, 32, limit=256))

# %% [markdown]
# On the left, every run is a dot, and runs of the same seed are joined. On the right are the four paired differences
# that change one thing, each with its interval.

# %% explore
combinations = [(norm, mlp) for mlp in mlps for norm in norms]
results = {c: np.array([losses[*c, seed] for seed in seeds]) for c in combinations}
contrasts = {
    "RMSNorm - LayerNorm\n(with GELU)": results["RMSNorm", "GELU"] - results["LayerNorm", "GELU"],
    "RMSNorm - LayerNorm\n(with SwiGLU)": results["RMSNorm", "SwiGLU"] - results["LayerNorm", "SwiGLU"],
    "SwiGLU - GELU\n(with LayerNorm)": results["LayerNorm", "SwiGLU"] - results["LayerNorm", "GELU"],
    "SwiGLU - GELU\n(with RMSNorm)": results["RMSNorm", "SwiGLU"] - results["RMSNorm", "GELU"],
}
figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.6), width_ratios=[1, 1.15])
for seed, marker in zip(seeds, "os^", strict=True):
    values = [results[c][seed] for c in combinations]
    left.plot(range(4), values, marker + "-", color=plots.BLUE, lw=0.8, ms=6, label=f"seed {seed}")
left.set_xticks(range(4), [f"{norm}\n{mlp}" for norm, mlp in combinations], fontsize=9)
left.set(ylabel="held-out loss (bits per byte)", title="Twelve runs")
left.legend(fontsize=9)
for row, (name, difference) in enumerate(contrasts.items()):
    half = 4.30 * difference.std(ddof=1) / math.sqrt(len(difference))
    shown = abs(difference.mean()) > half
    color = plots.GREEN if shown else plots.GREY
    right.errorbar(difference.mean(), row, xerr=half, fmt="o", color=color, capsize=5, lw=2)
    right.plot(difference, [row + 0.22] * 3, "|", color=plots.BLUE, ms=8)
    verdict = "a difference" if shown else "none shown"
    words = name.replace("\n", " ")
    print(f"{words:38} {difference.mean():+.3f} ± {half:.3f} bits per byte: {verdict}")
right.axvline(0, color="black", lw=1)
right.set_yticks(range(4), contrasts, fontsize=9)
right.set_ylim(3.6, -0.5)
right.grid(axis="y", visible=False)
right.set(xlabel="difference (bits per byte); left of 0 is better", title="Paired differences (ticks), 95 % intervals")
plots.show(
    figure,
    alt="Left: held-out loss of twelve runs, four combinations by three seeds. Right: four paired differences with "
    "confidence intervals around zero or away from it.",
)
spread = np.mean([difference.std(ddof=1) for difference in list(contrasts.values())[:2]])
needed = max(3, math.ceil((1.96 * spread / 0.01) ** 2))
print(f"\nto show a change of 0.01 bits per byte between norms, you would need some {needed} seeds or more")

# %% [markdown]
# How to read it:
#
# - An interval that holds 0 says: *this experiment can't tell*. The last line says how many seeds could, from
#   $1.96\, s / \sqrt n = 0.01$. That is the least: with so many, a true change of 0.01 is found every other time. To
#   find it with a chance of 80 % takes about twice as many.
# - Look at the dots of one column: the spread between seeds. A single run each, with another seed each, could have
#   put the columns in another order wherever they overlap.
# - Is one of the intervals surprisingly short? With three numbers the spread itself is a guess: by chance they can lie
#   close together. Four intervals also mean four chances of 5 % to be wrong.
# - Even a clear difference is one at *this* size, with *this* learning rate, after 220 steps. A change that learns
#   faster at first may end level. Nothing here says what happens at 7 billion.
#
# Change one thing and run again: the learning rate, the number of steps, `"bilinear"` for SwiGLU. Does the ranking
# stay?
#
# ### A published ablation
#
# Shazeer (2020) did the same with T5 models of a real size, equal in parameters and operations, and trained several
# runs to know the noise. Below is his Table 1: the held-out loss in nats after 65,536 steps, with the standard
# deviation between runs that the paper gives in brackets; and after 524,288 steps, one run each, without.

# %% explore
shazeer = {  # arXiv 2002.05202, Table 1: loss at 65,536 steps, its standard deviation, loss at 524,288 steps
    "ReLU": (1.997, 0.005, 1.677),
    "Swish": (1.994, 0.003, 1.683),
    "GELU": (1.983, 0.005, 1.679),
    "GLU": (1.982, 0.006, 1.663),
    "Bilinear": (1.960, 0.005, 1.648),
    "ReGLU": (1.953, 0.003, 1.645),
    "SwiGLU": (1.944, 0.010, 1.636),
    "GEGLU": (1.942, 0.004, 1.633),
}
early, deviation, late = np.array(list(shazeer.values())).T
gated = np.array([name not in ("ReLU", "Swish", "GELU") for name in shazeer])
figure, axes = plt.subplots(1, 2, figsize=(9.6, 3.6), sharey=True)
for mask, color, label in [(~gated, plots.GREY, "two matrices"), (gated, plots.ORANGE, "gated, three matrices")]:
    rows = np.flatnonzero(mask)
    axes[0].errorbar(early[mask], rows, xerr=2 * deviation[mask], fmt="o", color=color, capsize=4, label=label)
    axes[1].plot(late[mask], rows, "o", color=color)
axes[0].set_yticks(range(len(shazeer)), shazeer)
axes[0].invert_yaxis()
axes[0].legend(fontsize=9, loc="lower right")
axes[0].set(xlabel="loss (nats)", title="65,536 steps, ± 2 standard deviations of a run")
axes[1].set(xlabel="loss (nats)", title="524,288 steps, one run each")
plots.show(
    figure,
    alt="Shazeer's table as dots: gated MLPs lie left of ungated ones; SwiGLU and GEGLU overlap within two standard "
    "deviations, and so do GELU and GLU at 65,536 steps.",
)

# %% [markdown]
# What stands out of the noise after 65,536 steps: bilinear, ReGLU, SwiGLU and GEGLU are ahead of every MLP with two
# matrices, GEGLU of ReLU by ten standard deviations. A gate without any activation (bilinear) beats the sigmoid, with
# which gates began; the sigmoid itself is not shown to beat GELU. And between GEGLU and SwiGLU nothing is shown: 0.002
# apart, where a run varies by 0.004 to 0.010. The paper claims no more than that. It ends with a sentence worth
# knowing: it offers no explanation why these architectures work, and attributes their success "to divine benevolence".
# Meta took SwiGLU. Gemma took GEGLU.
#
# ## In production
#
# - **Norms are fused**, also with their neighbours. PyTorch has `nn.RMSNorm` and `F.rms_norm` since 2.4;
#   `torch.compile` fuses your four lines into one kernel. vLLM and TensorRT-LLM fuse the norm with the residual sum
#   in front of it, because both read the same stream. Liger's training kernel keeps what yours keeps, $r$ for each row,
#   and has a `casting_mode` for Llama's order of casts and Gemma's.
# - **Where norms stand is not settled.** Gemma 2 norms both the input and the output of each half. OLMo 2 norms only
#   outputs, inside the residual branch. Qwen3 and OLMo 2 also norm queries and keys (*QK-norm*), so that scores can't
#   grow without bound. Gemma stores $v = w - 1$ and multiplies by $1 + v$: weight decay then pulls $v$ to 0, and so
#   $w$ to 1.
# - **Gate and up are one matrix.** vLLM joins them to one product (`MergedColumnParallelLinear`) and applies
#   `SiluAndMul` to its halves; q, k and v are joined likewise. Only loading has to know the order.
# - **Widths are bent to the hardware.** 11008 is a multiple of 256, 14336 of 1024. Mixture-of-experts models have many
#   narrow gated MLPs, of which a router picks a few for each token.
# - **Fewer keys still.** With tensor parallelism each device holds at least one key and value head, so fewer heads
#   than devices means copies: that is where 8 comes from. DeepSeek-V2 instead caches one small vector for each token,
#   from which all keys and values are computed (multi-head latent attention). Others share keys between layers, keep
#   only a window, or store 8-bit numbers.
# - **`head_dim` is a number of its own.** Your `dim // heads` holds for every Llama here. Mistral NeMo has 32 heads
#   of 128 at a width of 5120, so $W_q$ is not square.

# %% [markdown] question="why_eight" points=4
# ## Open question: why eight?
#
# You serve Llama 3 70B (80 layers, 64 query heads of 128, bf16) on 8 devices with tensor parallelism: each device holds
# 8 of the query heads of every layer, and the key and value heads that these read.
#
# 1. How many bytes does one token add to the cache of *one device*, with 64, with 8 and with 1 key and value heads?
#    What follows for the step from 8 to 1?
# 2. While it generates, the model reads all weights (141 GB) once per step for the whole batch, and the cache of
#    each sequence. At 8,192 tokens a sequence, with 64 sequences in the batch: how many bytes are read in a step with
#    64, and with 8 key and value heads (all devices together)? Which of the two cases does not fit on 8 devices of
#    80 GB at all?
# 3. A colleague has trained two small models, one run each. With 8 key and value heads the loss was 2.314, with 64 it
#    was 2.309. The colleague concludes that GQA costs 0.005 nats. What is wrong with that, and what would you run,
#    with how many seeds, to be able to say it?
# 4. You may spend the parameters that GQA saves. Name two places where they could go, with the cost of each in cache
#    bytes and in time per generated token, and choose one.
#
# State what you count. A few sentences for each.
#
# ### BEGIN MARK SCHEME
# One point each; reasoning counts, rounded figures are fine.
#
# 1. 64 heads: 8 on each device, 2 * 80 * 8 * 128 * 2 = 320 KiB. 8 heads: one on each device, 40 KiB. 1 head: every
#    device needs it, since each holds query heads that read it, so 40 KiB again: a copy on each. From 8 to 1 nothing is
#    gained on 8 devices (and quality is lost): 8 is the smallest number that splits without copies.
# 2. One sequence: 20 GiB (64 heads) or 2.5 GiB (8). 64 sequences: 1280 GiB = 1374 GB, or 160 GiB = 172 GB. With the
#    weights 1515 GB or 313 GB read in a step, about five times less. 64 heads do not fit: 1515 GB against 640 GB; 313
#    GB do.
# 3. One run each: the difference may be the seed's (and if the seeds, data orders or parameter counts differ, not
#    even the same thing is compared). Run both with the same several seeds and the same data (paired), equal
#    parameters or equal time (say which), estimate s of the differences from a few pairs, then choose n with t s /
#    sqrt(n) well under 0.005; report an interval. A number of seeds from an assumed s, such as s = 0.005 and hence n
#    of 7 or more with t in mind, earns the point; "more seeds" alone earns half.
# 4. Two of: a wider MLP (no cache; time grows with weights read, so about level with before); more layers (cache grows
#    in proportion: 4 KiB a token and layer; also more sequential steps, so latency); a larger width, more query heads
#    (weights, no cache if kv_heads stay, more score computation); a larger vocabulary (no cache, fewer tokens for the
#    same text); or none: a smaller, faster model. A reasoned choice; Meta chose the MLP (multiplier 1.3).
# ### END MARK SCHEME

# %% [markdown]
# ## References
#
# - B. Zhang, R. Sennrich, [Root Mean Square Layer Normalization](https://arxiv.org/abs/1910.07467), 2019.
# - J. L. Ba, J. R. Kiros, G. E. Hinton, [Layer Normalization](https://arxiv.org/abs/1607.06450), 2016.
# - N. Shazeer, [GLU Variants Improve Transformer](https://arxiv.org/abs/2002.05202), 2020: five pages, Table 1 is
#   above.
# - Y. N. Dauphin, A. Fan, M. Auli, D. Grangier,
#   [Language Modeling with Gated Convolutional Networks](https://arxiv.org/abs/1612.08083), 2017: the first GLU.
# - N. Shazeer, [Fast Transformer Decoding: One Write-Head is All You Need](https://arxiv.org/abs/1911.02150), 2019:
#   multi-query attention.
# - J. Ainslie et al., [GQA: Training Generalized Multi-Query Transformer Models from Multi-Head
#   Checkpoints](https://arxiv.org/abs/2305.13245), 2023.
# - H. Touvron et al., [LLaMA](https://arxiv.org/abs/2302.13971), 2023, and
#   [Llama 2](https://arxiv.org/abs/2307.09288), 2023; A. Dubey et al.,
#   [The Llama 3 Herd of Models](https://arxiv.org/abs/2407.21783), 2024.
# - Meta, [model.py of Llama](https://github.com/meta-llama/llama/blob/main/llama/model.py): the code that was
#   published with the weights, with the names `w1`, `w2` and `w3`.
# - DeepSeek-AI, [DeepSeek-V2](https://arxiv.org/abs/2405.04434), 2024: multi-head latent attention.
# - P.-L. Hsu et al., [Liger Kernel](https://arxiv.org/abs/2410.10989), 2024: fused RMSNorm and SwiGLU for training.
