# %% [markdown]
# # 3.1 The Transformer: build every part, prove it, and count what a token costs
#
# **GPT-2 holds 124,439,808 numbers. Which of them does a token touch, and what does it pay for each?**
#
# A systems person asks this first, because everything later in the course divides these numbers: over GPUs, over
# bits, over time. The answer is not where most people look. Self-attention gave the paper its title, but at GPT-2's
# size and length the product of queries and keys, and of weights and values, is a small share of the arithmetic, and
# it has no parameters at all. A third of the parameters is a table of words. Most of the rest sits in two plain
# matrices per layer, which get one small box in every diagram.
#
# In this lesson you write the model itself, part by part, in plain PyTorch. Each part is compared with an independent
# implementation, PyTorch's own where there is one. (The comparison of the whole with the GPT-2 of the `transformers`
# library is made in this course's own test suite, on the reference solution: section 8.)
#
# | section | you build | so that you can |
# |---|---|---|
# | 1 | a table of positions | tell *dog bites man* from *man bites dog* |
# | 2, 3 | attention and its masks | let a token read others, but not the future |
# | 4 | many heads | read several things at once, in one matrix product |
# | 5 | LayerNorm, forward and backward by hand | know what the graph keeps, and what fp16 must not touch |
# | 6, 7 | the feed-forward part and the block | see why the block of 2017 had to change to be stacked deep |
# | 8 | `GPT` | load GPT-2's weights, in principle, and get GPT-2's logits |
# | 9 | two formulas | predict parameters and FLOPs, and measure your first MFU |
#
# You need week 2 (autograd, saved tensors, `autograd.Function`) and `nn.Module`. Ten exercises of about 185 minutes
# together, and one question: 47 points. Beside the tests that you see there are hidden ones, which check the whole
# docstring: read each to its end.
#
# The types in the signatures are those of [jaxtyping](https://docs.kidger.site/jaxtyping/): `Float[Tensor, "n d"]` is
# a float tensor with two axes, named `n` and `d`; `...` means any axes at all, none among them.

# %%
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from rich.progress import track
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.attention import SDPBackend, sdpa_kernel  # this and aten: for the tests
from torch.utils._python_dispatch import TorchDispatchMode

from llmsys import check, corpus, plots

plots.style()
torch.set_num_threads(1)  # steadier timings on a machine that others use
aten = torch.ops.aten


def normal(rng: np.random.Generator, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Normal random numbers."""
    return torch.from_numpy(rng.standard_normal(shape)).to(dtype)


def fill(module: nn.Module, rng: np.random.Generator, dtype: torch.dtype = torch.float64) -> None:
    """Give every parameter new random values, biases and norms among them, so that none hides behind a 0 or a 1."""
    module.to(dtype)
    with torch.no_grad():
        for _, parameter in sorted(module.named_parameters()):
            parameter.copy_(0.5 * normal(rng, *parameter.shape))


# %% explore
V, P, d, L, T = 50257, 1024, 768, 12, 1024  # GPT-2, and a context that is full
parts = {  # name: (parameters, FLOPs of a token's forward pass)
    "token table": (V * d, 2 * V * d),  # looked up on the way in, multiplied on the way out: section 8
    "position table": (P * d, 0),
    "attention: four projections": (L * 4 * d * d, L * 8 * d * d),
    "attention: scores and mix": (0, L * 4 * d * T),
    "feed-forward": (L * 8 * d * d, L * 16 * d * d),
    "biases and LayerNorms": (L * 13 * d + 2 * d, 0),  # some additions, which nobody counts
}
names = list(parts)
figure, axes = plt.subplots(1, 2, figsize=(9.4, 3.0), sharey=True)
for axis, column, what in ((axes[0], 0, "parameters"), (axes[1], 1, "FLOPs of a token, forward")):
    amounts = [parts[name][column] for name in names]
    bars = axis.barh(names, amounts, color=plots.BLUE if column == 0 else plots.RED)
    axis.bar_label(bars, [f"{100 * a / sum(amounts):.1f} %" for a in amounts], padding=4, fontsize=9)
    axis.set(title=f"{sum(amounts) / 1e6:.1f} million {what}", xlim=(0, 1.22 * max(amounts)), xticks=[])
    axis.grid(visible=False)
axes[0].invert_yaxis()
plots.show(
    figure,
    alt="Two bar charts of GPT-2 by part. Parameters: feed-forward 46 %, token table 31 %, projections 23 %. FLOPs of "
    "a token: feed-forward 40 %, the token table as output layer 27 %, projections 20 %, scores and mix 13 %.",
)

# %% [markdown]
# Left, where the numbers sit; right, what one token pays on its way through, when 1024 tokens can be seen. (A **FLOP**
# is one addition or multiplication of floats; a matrix with $n$ entries costs a token $2n$ of them.) You will derive
# both columns in section 9. First, the model.
#
# ## 1. Where am I?
#
# A Transformer reads a list of vectors, one for each **token** (a piece of text: a byte, a word, a part of one). The
# vector comes from a table with a row for each token of the vocabulary, the **embedding**. From there on, the layers
# treat the list as a *set*. You will see in section 2 that attention computes a weighted mean, and a mean does not know
# in which order its terms came. So the position has to be written into the vectors.
#
# "Attention Is All You Need" (section 3.5) adds a fixed table of sines and cosines. Row $p$ belongs to position $p$,
# counted from 0; columns come in pairs, one pair for each frequency:
#
# $$\mathrm{PE}(p, 2i) = \sin\left(p \,/\, 10000^{2i/d}\right), \qquad
# \mathrm{PE}(p, 2i+1) = \cos\left(p \,/\, 10000^{2i/d}\right), \qquad i = 0, \dots, d/2 - 1$$
#
# Here $d$ is the width of the vectors, an even number. Each pair is the hand of a clock: the first turns by one
# radian a token; at the paper's width, 512, the last takes some 60,000 tokens for a turn. Why so? Because a clock that
# runs on by $k$ ticks turns by a fixed angle, wherever it stood. With $\omega_i = 10000^{-2i/d}$,
#
# $$\begin{pmatrix} \sin \omega_i (p + k) \\ \cos \omega_i (p + k) \end{pmatrix} =
# \begin{pmatrix} \cos \omega_i k & \sin \omega_i k \\ -\sin \omega_i k & \cos \omega_i k \end{pmatrix}
# \begin{pmatrix} \sin \omega_i p \\ \cos \omega_i p \end{pmatrix}$$
#
# so "$k$ tokens further on" is one linear map, the same at every $p$, which a layer can learn. Next week's RoPE takes
# this map and nothing else.
#
# **A worked example.** $d = 4$: the frequencies are $1$ and $1/100$. Row 0 is $(0, 1, 0, 1)$, and row 1 is
# $(\sin 1, \cos 1, \sin 0.01, \cos 0.01) = (0.8415, 0.5403, 0.0100, 0.9999)$.
#
# **Mind the dtype.** An angle of 20,000 radians, held in float32, is off by up to a thousandth of a radian: its 24 bits
# are spent on the 20,000. Compute in float64, and round the sines.
#
# **Build** `sinusoidal`.
#
# <details><summary>Hint 1</summary>
#
# An outer product of positions and frequencies gives all angles at once, as a matrix of `length` by `dim / 2`.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Sines go to columns `0::2`, cosines to columns `1::2`. Stacking both along a *new last* axis and flattening the last
# two axes does the same.
#
# </details>


# %% exercise="sinusoidal" minutes=10 difficulty=2
def sinusoidal(length: int, dim: int) -> Float[Tensor, "length dim"]:
    """The position table of "Attention Is All You Need" (arXiv 1706.03762), section 3.5.

    Args:
        length: how many positions, 0 or more; row p belongs to position p, counted from 0.
        dim: the width of a row, an even number of at least 2.

    Returns:
        float32. Column 2i holds sin(p / 10000^(2i/dim)), column 2i + 1 the cosine of the same angle. Every entry is
        within 1e-6 of the exact value, also at position 20,000: float32 angles do not give that.

    Raises:
        ValueError: dim is odd, whatever the length.
    """
    ### BEGIN SOLUTION
    if dim % 2:
        raise ValueError(f"sines and cosines come in pairs, so dim = {dim} is not possible")
    positions = torch.arange(length, dtype=torch.float64)
    frequencies = 10000.0 ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    angles = torch.outer(positions, frequencies)  # (length, dim / 2)
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1).float()  # (length, dim)
    ### END SOLUTION


# %% test="sinusoidal" points=2
s1, c1, s2, c2 = math.sin(1), math.cos(1), math.sin(0.01), math.cos(0.01)
check.close(
    sinusoidal(2, 4),
    [[0.0, 1.0, 0.0, 1.0], [s1, c1, s2, c2]],
    "sinusoidal(2, 4)",
    atol=1e-6,
    dtype=torch.float32,
    likely={
        "all sines stand first, then all cosines; here they alternate": [[0.0, 0.0, 1.0, 1.0], [s1, s2, c1, c2]],
        "sine and cosine are swapped": [[1.0, 0.0, 1.0, 0.0], [c1, s1, c2, s2]],
        "positions are counted from 0": [[s1, c1, s2, c2], [math.sin(2), math.cos(2), math.sin(0.02), math.cos(0.02)]],
        "the exponent is 2i / dim, not i / dim": [[0, 1, 0, 1], [s1, c1, math.sin(0.1), math.cos(0.1)]],
        "the exponent is the same for both columns of a pair": [[0, 1, 0, 1], [s1, math.cos(0.1), s2, math.cos(0.001)]],
    },
)
check.close(
    sinusoidal(20_001, 6)[20_000],
    [f(20_000 / 10000 ** (i / 3)) for i in range(3) for f in (math.sin, math.cos)],
    "row 20,000 of sinusoidal(20001, 6)",
    atol=1e-6,
    hint="the angles are too large for float32: compute in float64, and round the sines",
)
check.raises(ValueError, "sinusoidal(3, 5)", sinusoidal, 3, 5)
### BEGIN HIDDEN TESTS
_rng = check.rng(1)
for _length, _dim in ((7, 10), (5, 2), (1, 6), (13, 24)):
    check.close(
        sinusoidal(_length, _dim),
        [
            [(math.cos if _c % 2 else math.sin)(_p / 10000 ** ((_c - _c % 2) / _dim)) for _c in range(_dim)]
            for _p in range(_length)
        ],
        f"sinusoidal({_length}, {_dim})",
        atol=1e-6,
        dtype=torch.float32,
    )
check.equal(tuple(sinusoidal(0, 6).shape), (0, 6), "shape of sinusoidal(0, 6)")
_p = int(_rng.integers(19_000, 19_900))
check.close(
    sinusoidal(20_001, 10)[_p : _p + 100],
    [[_f(_q / 10000 ** (_i / 5)) for _i in range(5) for _f in (math.sin, math.cos)] for _q in range(_p, _p + 100)],
    "a hundred rows near position 20,000 of sinusoidal(20001, 10)",
    atol=1e-6,  # float32 rounds a sine to 6e-8; an angle of 20,000 in float32 is off by up to 1e-3
    hint="the angle is too large for float32: compute in float64, and round the sines",
)
_gap = int(_rng.integers(2, 9))
_rows = sinusoidal(40, 12).double()
check.close(
    (_rows[:-_gap] * _rows[_gap:]).sum(1),
    torch.full((40 - _gap,), sum(math.cos(_gap / 10000 ** (_i / 6)) for _i in range(6)), dtype=torch.float64),
    "the scalar product of rows p and p + k of sinusoidal(40, 12), which is the same for every p",
    atol=1e-5,
)
check.raises(ValueError, "sinusoidal(4, 7)", sinusoidal, 4, 7)
check.raises(ValueError, "sinusoidal(0, 5)", sinusoidal, 0, 5)
### END HIDDEN TESTS

# %% [markdown]
# What does the table look like, and what can be read from it? The scalar product of two rows is
# $\sum_i \cos(\omega_i k)$: it depends on the distance $k$ alone.

# %% explore
table = sinusoidal(128, 64)
figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.6))
image = left.imshow(table.T, aspect="auto", cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
left.set(xlabel="position p (a row of the table)", ylabel="column of the table", title="The table, transposed")
left.grid(visible=False)
figure.colorbar(image, ax=left, label="value")
for start, color, style in ((0, plots.BLUE, "-"), (40, plots.ORANGE, "--"), (80, plots.GREEN, ":")):
    gaps = torch.arange(-start, 128 - start)
    right.plot(gaps, table @ table[start], style, color=color, label=f"row {start} with every row")
right.set(xlabel="distance k (tokens)", ylabel="scalar product", title="Near rows agree, wherever they stand")
right.legend(fontsize=9)
plots.show(
    figure,
    alt="Left: the table, transposed, as an image of 128 positions by 64 columns: stripes that get wider from the "
    "first columns to the last. Right: scalar products of three rows with all rows against distance; the three curves "
    "coincide, with a peak at distance 0.",
)

# %% [markdown]
# GPT-2 does without the formula: it has a second table with 1024 rows that are *learned* like any parameter. The
# result is about as good inside the 1024 positions (the paper of 2017 tried both, its Table 3, row E), and there is no
# row 1024. You will have to raise an error there in section 8. The 2017 model also multiplies the token's vector by
# $\sqrt d$ before it adds the position, since its token table starts with entries of size $1/\sqrt d$; GPT-2 does not.
#
# ## 2. Attention: a weighted mean that you learn to weigh
#
# A token has to read others. In *the cat that the dogs chased was tired*, *was* has to find *cat*, not *dogs*. So each
# token sends out three vectors, computed from its own by three matrices:
#
# - a **query** $q$: what do I look for?
# - a **key** $k$: what can I be found under?
# - a **value** $v$: what do I hand over if I am found?
#
# A query is compared with all keys by scalar products; a softmax makes positive weights of them that sum to one; the
# result is the mean of the values under these weights. For all queries at once, as matrices with a row for each token:
#
# $$\mathrm{attention}(Q, K, V) = \mathrm{softmax}\left(\frac{Q K^\top}{\sqrt{d}}\right) V, \qquad
# \mathrm{softmax}(s)_j = \frac{e^{s_j}}{\sum_l e^{s_l}}$$
#
# with $Q$ of shape $(n_q, d)$, $K$ of $(n_k, d)$, $V$ of $(n_k, d_v)$. The softmax runs over the keys, the last axis.
#
# **A worked example.** $d = 4$. One query $q = (2, 0, 0, 0)$, two keys $k_1 = (\ln 3, 0, 0, 0)$ and
# $k_2 = (0, 1, 0, 0)$, with values $v_1 = (4, 0)$ and $v_2 = (0, 8)$. The products are $2 \ln 3$ and $0$; divided by
# $\sqrt 4 = 2$ they are $\ln 3$ and $0$. Their exponentials $3$ and $1$ give the weights $\tfrac34$ and $\tfrac14$. The
# result is $\tfrac34 (4, 0) + \tfrac14 (0, 8) = (3, 2)$.
#
# **Why $\sqrt d$?** Say the entries of $q$ and $k$ are independent with mean 0 and variance 1. Then $q \cdot k$ is a
# sum of $d$ terms of variance 1, so its standard deviation is $\sqrt d$. For $d = 64$ that is 8, and a softmax over
# numbers that lie 8 apart is nearly one-hot: all of the weight on one key, and next to no gradient for the others.

# %% explore
rng = np.random.default_rng(0)
widths = [4, 8, 16, 32, 64, 128, 256, 512]
largest, slope = {"scaled": [], "not scaled": []}, {"scaled": [], "not scaled": []}
for width in widths:
    scores = (normal(rng, 400, 1, width) @ normal(rng, 400, width, 32)).squeeze(1)  # 400 queries with 32 keys each
    for name, s in (("scaled", scores / math.sqrt(width)), ("not scaled", scores)):
        weights = s.softmax(-1)
        largest[name].append(weights.amax(-1).mean())
        slope[name].append((weights * (1 - weights)).sum(-1).mean())  # the trace of the softmax's Jacobian
figure, axes = plt.subplots(1, 2, figsize=(9.6, 3.4))
for name, color in (("scaled", plots.BLUE), ("not scaled", plots.RED)):
    axes[0].semilogx(widths, largest[name], "o-", color=color, label=name)
    axes[1].semilogx(widths, slope[name], "o-", color=color, label=name)
axes[0].set(ylim=(0, 1), ylabel="largest weight (mean)", title="How one-hot is the softmax?")
axes[1].set(ylim=(0, 1), ylabel=r"$\sum_j p_j (1 - p_j)$", title="How much gradient gets through it?")
for axis in axes:
    axis.set(xlabel="width of a key, d")
    axis.set_xticks(widths, [str(w) for w in widths])
    axis.minorticks_off()
axes[0].legend()
plots.show(
    figure,
    alt="Largest attention weight and softmax slope against key width, 32 random keys. With scaling both are flat. "
    "Without, the largest weight rises to nearly 1 and the slope falls towards 0.",
)

# %% [markdown]
# **Masks.** Not every query may see every key. A **mask** is a boolean matrix, here True where the query *may* see the
# key, as `F.scaled_dot_product_attention` has it. (`nn.MultiheadAttention` means the opposite by True. Both are in
# PyTorch. An inverted mask raises no error; it trains a model that looks at padding and at the future.) A key that may
# not be seen gets the score $-\infty$, so its weight is $e^{-\infty} = 0$.
#
# And if a query may see nothing? Then $0/0$: a NaN, which the next layer spreads over everything. Padding makes such
# rows all the time. We define the mean of nothing as **zero**, with gradient zero. So does PyTorch, since version 2.5.
#
# **Stable.** $e^{89}$ overflows in float32, and $e^{12}$ in fp16. Subtracting the largest score of each row changes
# nothing on paper (numerator and denominator shrink alike), and makes the largest exponential $e^0 = 1$. The scores
# themselves need care in fp16, whose largest number is 65,504: the scalar product of two parallel vectors of length 300
# overflows before any softmax. So compute in float32 when the inputs have fewer bits, and round the result, once.
#
# **Build** `attention`, with a softmax of your own. It is used for the rest of the lesson.
#
# <details><summary>Hint 1</summary>
#
# `torch.promote_types(q.dtype, torch.float32)` is the dtype to compute in: float32 for fp16, bf16 and float32, float64
# for float64.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# In a row that sees nothing, the largest score is $-\infty$, and $-\infty - (-\infty)$ is NaN. Subtract some finite
# number there instead, such as `torch.finfo(dtype).min`.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# Once the largest score is subtracted, a row that sees something has a sum of at least 1. What does
# `total.clamp(min=1)` do to the other rows? (Patching NaNs afterwards is a trap: it mends the values, but if the mask
# was *added* to the scores, the gradient on its way back meets $0 \cdot \mathrm{NaN}$, which is NaN.)
#
# </details>


# %% exercise="attention" minutes=25 difficulty=3
def attention(
    q: Float[Tensor, "... n_q d"],
    k: Float[Tensor, "... n_k d"],
    v: Float[Tensor, "... n_k d_v"],
    mask: Bool[Tensor, "... n_q n_k"] | None = None,
) -> Float[Tensor, "... n_q d_v"]:
    """Scaled dot-product attention (arXiv 1706.03762, section 3.2.1).

    Args:
        q, k, v: queries, keys, values of one dtype, with the same leading axes (any number). n_q, n_k, d and d_v may
            all differ; n_k is at least 1.
        mask: True where a query may see a key; its shape broadcasts to (..., n_q, n_k). None: everything is seen.

    Returns:
        In the dtype of q. fp16 and bf16 inputs are computed in float32 and rounded once, at the end; float64 stays
        float64. A query that may see no key gets zeros, and sends no gradient anywhere.
        Scalar products of any size that float32 can hold, before they are divided by the root of d, are fine, and a
        masked key has weight 0 whatever its (finite) score.

    The softmax is written with exp and sum; the tests notice torch's own, and torch's attention.
    """
    ### BEGIN SOLUTION
    wide = torch.promote_types(q.dtype, torch.float32)
    scores = q.to(wide) @ k.to(wide).mT / math.sqrt(q.shape[-1])  # (..., n_q, n_k)
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    top = scores.detach().amax(-1, keepdim=True).clamp(min=torch.finfo(wide).min)  # finite, so that -inf - top is -inf
    weights = torch.exp(scores - top)
    total = weights.sum(-1, keepdim=True).clamp(min=1)  # the largest weight is exp(0) = 1: less is a row without keys
    return (weights @ v.to(wide) / total).to(q.dtype)  # (..., n_q, d_v)
    ### END SOLUTION


# %% test="attention" points=6
OWN_SOFTMAX = (
    "torch.nn.functional.scaled_dot_product_attention",
    "torch.nn.functional.softmax",
    "torch.nn.functional.log_softmax",
    "torch.nn.functional.softmin",
    "torch.softmax",
    "torch.log_softmax",
    "torch.special.softmax",
    "torch.special.log_softmax",
    "torch.Tensor.softmax",
    "torch.Tensor.log_softmax",
    "torch._softmax",
    "torch._log_softmax",
    "torch._safe_softmax",
)
q = torch.tensor([[2.0, 0.0, 0.0, 0.0]])
k = torch.tensor([[math.log(3), 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]])
v = torch.tensor([[4.0, 0.0], [0.0, 8.0]])
with check.forbid(*OWN_SOFTMAX, because="write it with exp and sum"), check.unchanged("attention", q, k, v):
    check.close(
        attention(q, k, v),
        torch.tensor([[3.0, 2.0]]),
        "attention(q, k, v) of the text's example",
        terms=4,
        likely={
            "the scores are not divided by √d": [[3.6, 0.8]],
            "the scores are divided by d, not by √d": [[2.5358984, 2.9282032]],
            "the softmax runs over the queries; it runs over the keys, the last axis": [[4.0, 8.0]],
            "the weights do not sum to one": [[12.0, 8.0]],
        },
    )
    check.close(
        attention(q, k, v, torch.tensor([[True, False]])),
        torch.tensor([[4.0, 0.0]]),
        "attention(q, k, v, mask=[[True, False]])",
        terms=4,
        likely={
            "the mask is inverted: True means that the key may be seen": [[0.0, 8.0]],
            "the masked key has score 0, not -inf": [[3.0, 2.0]],
            "the weight was set to 0 after the softmax; the others must sum to one": [[3.0, 0.0]],
        },
    )
    check.close(
        attention(q, k, v, torch.tensor([[False, False]])),
        torch.tensor([[0.0, 0.0]]),
        "attention(q, k, v, mask=[[False, False]])",
        likely={
            "0 / 0 in a row that sees nothing": [[math.nan, math.nan]],
            "a large negative score is not -inf: where all are masked, all are seen": [[2.0, 4.0]],
            "with every key masked, the mask had no effect": [[3.0, 2.0]],
        },
    )
    check.close(
        attention(1000 * q, torch.eye(2, 4), v),
        torch.tensor([[4.0, 0.0]]),
        "attention of one query whose scores with two keys are 1000 and 0",
        terms=4,
        likely={"exp(1000) overflows: subtract the largest score of the row": [[math.nan, math.nan]]},
    )
    check.close(
        attention(200 * torch.ones(1, 4).half(), 100 * torch.ones(2, 4).half(), v.half()),
        torch.tensor([[2.0, 4.0]]),
        "attention of fp16 tensors, both scalar products 80,000",
        terms=4,
        dtype=torch.float16,
        likely={"80,000 overflows in fp16: compute the scores in float32": [[math.nan, math.nan]]},
    )
### BEGIN HIDDEN TESTS
_rng = check.rng(2)


def _by_torch(q, k, v, mask=None):
    """PyTorch's attention in float64; a row that sees nothing gives zeros."""
    if mask is None:
        return F.scaled_dot_product_attention(q.double(), k.double(), v.double())
    seen = mask.any(-1, keepdim=True)
    out = F.scaled_dot_product_attention(q.double(), k.double(), v.double(), attn_mask=mask | ~seen)
    return torch.where(seen, out, 0.0)


for _lead, _n_q, _n_k, _d, _d_v, _mask_shape in (
    ((), 3, 5, 4, 2, None),
    ((2,), 7, 4, 6, 3, (7, 4)),
    ((2, 3), 4, 6, 5, 7, (2, 1, 4, 6)),
    ((3, 2), 1, 8, 7, 4, (3, 1, 1, 8)),
    ((2, 3, 4), 2, 1, 3, 5, None),
):
    _q, _k, _v = normal(_rng, *_lead, _n_q, _d), normal(_rng, *_lead, _n_k, _d), normal(_rng, *_lead, _n_k, _d_v)
    _mask = None if _mask_shape is None else torch.from_numpy(_rng.random(_mask_shape) < 0.6)
    if _mask is not None:
        _mask[..., 0] = True  # something is seen by all
    _want = _by_torch(_q, _k, _v, _mask)
    with check.forbid(*OWN_SOFTMAX, because="write it with exp and sum"), check.unchanged("attention", _q, _k, _v):
        check.close(
            attention(_q, _k, _v, _mask),
            _want,
            f"attention of q {tuple(_q.shape)}, k {tuple(_k.shape)}, v {tuple(_v.shape)}, mask {_mask_shape}",
            terms=_n_k + _d,
            dtype=torch.float64,
            hint="the softmax runs over the keys, the mask broadcasts, and float64 stays float64",
        )

# Not contiguous; all three gradients; rows that see nothing among others.
_inputs = [normal(_rng, 2, 4, 5, 6), normal(_rng, 2, 4, 7, 6), normal(_rng, 2, 4, 7, 3)]
_mask = torch.from_numpy(_rng.random((2, 1, 5, 7)) < 0.5)
_mask[..., 1] = True
_mask[0, 0, 2] = False
_mask[1, 0, 4] = False
_upstream = normal(_rng, 2, 4, 5, 3)
_leaves = [_t.clone().requires_grad_() for _t in _inputs]
_want = _by_torch(*_leaves, _mask)
_want_grads = torch.autograd.grad(_want, _leaves, _upstream)
_views = [_t.permute(3, 1, 2, 0).contiguous().permute(3, 1, 2, 0).requires_grad_() for _t in _inputs]  # other strides
with check.forbid(*OWN_SOFTMAX, because="write it with exp and sum"):
    _got = attention(*_views, _mask)
check.close(_got, _want.detach(), "attention of tensors that are not contiguous, some rows see nothing", terms=13)
for _name, _grad, _expected in zip(
    "qkv", torch.autograd.grad(_got, _views, _upstream, allow_unused=True), _want_grads, strict=True
):
    check.close(
        _grad,
        _expected,
        f"the gradient of attention with respect to {_name}, where some rows see nothing",
        terms=40,
        hint="a NaN in a gradient: the forward pass divided 0 by 0, or inf by inf, before the result was replaced",
    )

# Large scores. Integers times powers of two, so that every score is exact: only the softmax is looked at.
_ints = [torch.from_numpy(_rng.integers(-8, 9, _shape)).double() for _shape in ((2, 5, 16), (2, 6, 16), (2, 6, 3))]
for _dtype, _factor in ((torch.float32, 2.0), (torch.float32, 64.0), (torch.float16, 64.0), (torch.bfloat16, 64.0)):
    _q, _k, _v = (_t * _f for _t, _f in zip(_ints, (_factor, _factor, 1.0), strict=True))
    _want = _by_torch(_q, _k, _v)
    check.close(
        attention(_q.to(_dtype), _k.to(_dtype), _v.to(_dtype)),
        _want,
        f"attention with scores in the {'hundreds' if _factor == 2 else 'hundred thousands'}, {_dtype}",
        rtol=torch.finfo(_dtype).eps / 2,  # one rounding
        atol=1e-5,  # float32 in between: exp, a sum of 6, values up to 8
        dtype=_dtype,
        hint="subtract the largest score of the row before exp; compute fp16 and bf16 in float32, the scores too",
    )
# Unlikely scores, far below any "large negative number" that could stand for -inf.
_q = torch.full((1, 16), 2.0**16)
_k = torch.stack((torch.full((16,), -(2.0**16)), torch.zeros(16)))
check.close(
    attention(_q, _k, torch.tensor([[1.0, 2.0], [30.0, 40.0]]), torch.tensor([[True, False]])),
    torch.tensor([[1.0, 2.0]]),
    "attention where the one visible key has a score of about -1.7e10 and the masked one 0",
    hint="the masked score is -inf, not some large negative number",
)

# Rounded once: the probabilities and scores are not rounded to bf16 on the way.
for _dtype in (torch.bfloat16, torch.float16):
    _q, _k, _v = (normal(_rng, 3, 4, 33, 20, dtype=_dtype) for _ in range(3))
    _mask = torch.from_numpy(_rng.random((33, 33)) < 0.5)
    _mask[7] = False
    check.close(
        attention(_q, _k, _v, _mask),
        _by_torch(_q, _k, _v, _mask),
        f"attention of {_dtype} inputs, against float64",
        rtol=1.001 * torch.finfo(_dtype).eps / 2,  # one rounding at the end
        atol=1e-5,  # float32 in between
        dtype=_dtype,
        hint="compute in float32 from the scores to the mean of the values, and round once, at the end",
    )
### END HIDDEN TESTS

# %% [markdown]
# ## 3. What may be seen
#
# Two reasons not to see a key.
#
# **The future.** A language model predicts token $i + 1$ from the tokens up to $i$, at all positions at once. If
# position $i$ could read position $i + 1$, it would copy the answer. So query $i$ sees the keys $0, \dots, i$, itself
# among them: a lower triangle. This is the **causal mask**.
#
# A model that generates text keeps the keys and values of all earlier tokens (the **KV cache**) and sends only the new
# token through. Then there are fewer queries than keys, and the queries are the *last* ones: with 5 keys, 2 queries
# stand at positions 3 and 4.
#
# ```text
# 4 queries, 4 keys        2 queries, 5 keys
#   1 . . .
#   1 1 . .                  1 1 1 1 .
#   1 1 1 .                  1 1 1 1 1
#   1 1 1 1
# ```
#
# **Padding.** Sequences of unequal length are filled up at the end to make one rectangular tensor. No query may see
# the filling. A batch of lengths $(3, 1)$, filled up to 4, has the rows `1 1 1 .` and `1 . . .`, one for each
# sequence, whatever the query. To broadcast over heads and queries, the mask has the shape (batch, 1, 1, keys), and
# `causal_mask(4, 4) & padding_mask(lengths, 4)` of shape (batch, 1, 4, 4) says both.
#
# **Build** both. Every wrong version of these trains without an error message.
#
# <details><summary>Hint 1</summary>
#
# Query $i$ of $n_q$ stands at position $n_k - n_q + i$. Compare a column of positions with a row of keys.
#
# </details>


# %% exercise="masks" minutes=15 difficulty=2
def causal_mask(queries: int, keys: int, device: torch.device | str | None = None) -> Bool[Tensor, "queries keys"]:
    """True where a query may see a key: at its own position and before.

    Args:
        queries: how many; they are the last of the positions, so that query queries - 1 stands where key keys - 1 does.
        keys: how many; they stand at the positions 0 ... keys - 1.
        device: where the mask is made (None: PyTorch's default).

    Raises:
        ValueError: more queries than keys.
    """
    ### BEGIN SOLUTION
    if queries > keys:
        raise ValueError(f"{queries} queries can't be the last of {keys} positions")
    return torch.ones(queries, keys, dtype=torch.bool, device=device).tril(keys - queries)
    ### END SOLUTION


def padding_mask(lengths: Int[Tensor, " batch"], keys: int) -> Bool[Tensor, "batch 1 1 keys"]:
    """True where a key is a token, False where it is filling.

    Args:
        lengths: tokens of each sequence, int64, each from 0 to `keys`; they stand at the start, the filling at the end.
        keys: the length that all are filled up to.

    Returns:
        On the device of `lengths`.
    """
    ### BEGIN SOLUTION
    return (torch.arange(keys, device=lengths.device) < lengths[:, None])[:, None, None]  # (batch, 1, 1, keys)
    ### END SOLUTION


# %% test="masks" points=4
T_, F_ = True, False
check.equal(
    causal_mask(3, 3).tolist(),
    [[T_, F_, F_], [T_, T_, F_], [T_, T_, T_]],
    "causal_mask(3, 3).tolist()",
    likely={
        "inverted: True means that the key may be seen": [[F_, T_, T_], [F_, F_, T_], [F_, F_, F_]],
        "transposed: a row is a query": [[T_, T_, T_], [F_, T_, T_], [F_, F_, T_]],
        "a token may see itself": [[F_, F_, F_], [T_, F_, F_], [T_, T_, F_]],
    },
)
check.equal(
    causal_mask(2, 5).tolist(),
    [[T_, T_, T_, T_, F_], [T_, T_, T_, T_, T_]],
    "causal_mask(2, 5).tolist()",
    likely={
        "the queries are the last positions, not the first": [[T_, F_, F_, F_, F_], [T_, T_, F_, F_, F_]],
        "the last query sees the last key, and the one before does not": [[T_] * 5, [T_] * 5],
        "shifted by one: the last query stands at the last key": [[T_, T_, T_, F_, F_], [T_, T_, T_, T_, F_]],
    },
)
check.equal(
    padding_mask(torch.tensor([3, 1]), 4).tolist(),
    [[[[T_, T_, T_, F_]]], [[[T_, F_, F_, F_]]]],
    "padding_mask(tensor([3, 1]), 4).tolist()",
    likely={
        "inverted: True means that the key is a token": [[[[F_, F_, F_, T_]]], [[[F_, T_, T_, T_]]]],
        "the shape is (batch, 1, 1, keys)": [[T_, T_, T_, F_], [T_, F_, F_, F_]],
        "the position `length` is the first of the filling": [[[[T_, T_, T_, T_]]], [[[T_, T_, F_, F_]]]],
        "the filling stands at the end": [[[[F_, T_, T_, T_]]], [[[F_, F_, F_, T_]]]],
    },
)
### BEGIN HIDDEN TESTS
_rng = check.rng(3)
for _n_q, _n_k in ((1, 1), (1, 6), (4, 7), (6, 6), (2, 3), (0, 3)):
    _mask = causal_mask(_n_q, _n_k)
    check.equal(_mask.dtype, torch.bool, f"the dtype of causal_mask({_n_q}, {_n_k})")
    check.equal(tuple(_mask.shape), (_n_q, _n_k), f"the shape of causal_mask({_n_q}, {_n_k})")
    check.equal(
        _mask.tolist(),
        [[_key <= _n_k - _n_q + _query for _key in range(_n_k)] for _query in range(_n_q)],
        f"causal_mask({_n_q}, {_n_k}).tolist()",
        hint="the last query lines up with the last key",
    )
check.raises(ValueError, "causal_mask(4, 3)", causal_mask, 4, 3)
check.equal(str(causal_mask(2, 3, device="cpu").device), "cpu", 'the device of causal_mask(2, 3, device="cpu")')
for _length in (0, 2, 3):
    check.equal(
        padding_mask(torch.tensor([_length]), 3).tolist(),
        [[[[_key < _length for _key in range(3)]]]],
        f"padding_mask(tensor([{_length}]), 3).tolist(), a batch of one sequence",
    )
_lengths = torch.from_numpy(_rng.permutation(8)[:5].copy())
_lengths[1], _lengths[3] = 0, 7
_mask = padding_mask(_lengths, 7)
check.equal(_mask.dtype, torch.bool, "the dtype of padding_mask")
check.equal(
    _mask.tolist(),
    [[[[_key < _length for _key in range(7)]]] for _length in _lengths.tolist()],
    f"padding_mask(tensor({_lengths.tolist()}), 7).tolist()",
)
_both = causal_mask(7, 7) & padding_mask(_lengths, 7)
check.equal(tuple(_both.shape), (5, 1, 7, 7), "the shape of causal_mask(7, 7) & padding_mask(lengths, 7)")
check.equal(
    _both[:, 0].tolist(),
    [
        [[_key <= _query and _key < _length for _key in range(7)] for _query in range(7)]
        for _length in _lengths.tolist()
    ],
    "causal_mask(7, 7) & padding_mask(lengths, 7), without the axis of heads",
)
### END HIDDEN TESTS

# %% explore
both = (causal_mask(8, 8) & padding_mask(torch.tensor([5]), 8))[0, 0]
masks = {
    "training: 8 queries, 8 keys": causal_mask(8, 8),
    "decoding: 2 queries, 8 keys": causal_mask(2, 8),
    "3 of 8 are filling": both,
}
figure, axes = plt.subplots(1, 3, figsize=(9.6, 3.1))
for axis, (title, mask) in zip(axes, masks.items(), strict=True):
    axis.pcolormesh(mask.flip(0), cmap="Blues", vmin=0, vmax=1.6, edgecolors="#BBBBBB", linewidth=0.6)
    first = 8 - len(mask)
    axis.set_yticks([r + 0.5 for r in range(len(mask))], [str(first + r) for r in reversed(range(len(mask)))])
    axis.set_xticks([c + 0.5 for c in range(8)], [str(c) for c in range(8)])
    axis.set(aspect="equal", xlabel="position of the key", title=title)
    axis.title.set_fontsize(10.5)
    axis.grid(visible=False)
axes[0].set_ylabel("position of the query")
plots.show(
    figure,
    alt="Three masks, visible cells in blue: a lower triangle; the last two rows of it for decoding; a lower triangle "
    "whose last three columns are hidden because they are padding.",
)

# %% [markdown]
# In the right picture, the queries 5 to 7 are filling themselves. They still see five tokens, so they compute
# something; nobody reads it, and the loss leaves them out (section 8). With padding at the *start*, as some servers
# have it, the first rows see nothing at all. That is when your zero rows matter.
#
# ## 4. Many heads
#
# One softmax gives one mean. To look for the subject and for the last adjective at once, a token needs several. So the
# width $d$ is cut into $h$ **heads** of width $d_h = d / h$; each head has its own queries, keys and values, and
# attends by itself. The results are laid side by side and mixed by one more matrix, the **output projection**.
#
# No head is computed on its own. All queries, keys and values of all heads come from **one** matrix product with a
# *packed* weight of shape $(3d, d)$, because one large product keeps a machine busier than $3h$ small ones. The order
# of its rows is a convention that no shape can tell you. Here it is that of `nn.MultiheadAttention`'s
# `in_proj_weight`, and of GPT-2:
#
# ```text
# rows of qkv.weight     0 ... d-1        d ... 2d-1       2d ... 3d-1
#                        queries          keys             values
# inside each block      head 0 | head 1 | ... | head h-1      (d_h rows each)
# ```
#
# **A worked shape example.** Batch 2, $n = 5$ tokens, $d = 12$, $h = 3$, so $d_h = 4$:
#
# | step | shape |
# |---|---|
# | `x` | (2, 5, 12) |
# | `qkv(x)` | (2, 5, 36) |
# | cut into q, k, v | three of (2, 5, 12) |
# | each cut into heads | (2, 5, 3, 4) |
# | heads to the front, where `attention` expects what it runs in parallel | (2, 3, 5, 4) |
# | `attention(q, k, v, mask)` | (2, 3, 5, 4) |
# | heads back beside their columns | (2, 5, 3, 4) |
# | merged, then `proj` | (2, 5, 12) |
#
# Two wrong ways have the right shapes: to `view` (2, 5, 12) as (2, 3, 5, 4) without a transpose, which cuts the
# *tokens* into pieces; and to merge without transposing back, which mixes tokens and heads. Both train, badly.
#
# **Build** `MultiHeadAttention`. Its test copies your weights into PyTorch's own module, and compares.
#
# <details><summary>Hint 1</summary>
#
# `x.chunk(3, dim=-1)` cuts the last axis into three. `view(batch, n, heads, -1)` then cuts a last axis of `dim` into
# heads, and `transpose(1, 2)` swaps two axes without moving data.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# After the transpose back, memory no longer follows the shape, so `view` refuses. `reshape`, `flatten` or
# `contiguous()` copy.
#
# </details>


# %% exercise="MultiHeadAttention" minutes=30 difficulty=3
class MultiHeadAttention(nn.Module):
    """Multi-head self-attention (arXiv 1706.03762, section 3.2.2) with one packed projection, without dropout.

    Its parameters are those of two `nn.Linear` with biases, under these names:

        qkv:  dim -> 3 dim. Rows 0 ... dim - 1 of the weight give the queries, the next dim rows the keys, the last
              dim rows the values; inside each block, the first dim / heads rows belong to head 0, and so on.
        proj: dim -> dim, the output projection.

    Args:
        dim: the width of a token.
        heads: how many heads, a divisor of dim.

    Raises:
        ValueError: dim is not a multiple of heads.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        ### BEGIN SOLUTION
        if dim % heads:
            raise ValueError(f"{heads} heads of equal width do not fit in {dim}")
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        ### END SOLUTION

    def forward(
        self, x: Float[Tensor, "batch n dim"], mask: Bool[Tensor, "... n n"] | None = None
    ) -> Float[Tensor, "batch n dim"]:
        """Every token attends to the tokens that `mask` lets it see.

        Args:
            x: the tokens' vectors.
            mask: True where a query (row) may see a key (column); broadcasts to (batch, heads, n, n). None: all.
        """
        ### BEGIN SOLUTION
        batch, n, _ = x.shape
        q, k, v = (part.view(batch, n, self.heads, -1).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1))
        mixed = attention(q, k, v, mask)  # (batch, heads, n, dim / heads)
        return self.proj(mixed.transpose(1, 2).flatten(2))  # (batch, n, dim)
        ### END SOLUTION


# %% test="MultiHeadAttention" points=6
def torch_attention(mine: nn.Module, heads: int, order: tuple[int, int, int] = (0, 1, 2)) -> nn.MultiheadAttention:
    """`nn.MultiheadAttention` with the weights of `mine`; `order` says which third of the rows it reads as q, k, v."""
    weight, bias = mine.qkv.weight.detach(), mine.qkv.bias.detach()
    theirs = nn.MultiheadAttention(weight.shape[1], heads, batch_first=True).to(weight.dtype)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([weight.chunk(3)[part] for part in order]))
        theirs.in_proj_bias.copy_(torch.cat([bias.chunk(3)[part] for part in order]))
        theirs.out_proj.weight.copy_(mine.proj.weight)
        theirs.out_proj.bias.copy_(mine.proj.bias)
    return theirs


rng = check.rng(4)
mine, x = MultiHeadAttention(12, 3), normal(rng, 2, 5, 12)
check.equal(
    {name: tuple(p.shape) for name, p in mine.named_parameters()},
    {"qkv.weight": (36, 12), "qkv.bias": (36,), "proj.weight": (12, 12), "proj.bias": (12,)},
    "the parameters of MultiHeadAttention(12, 3)",
)
fill(mine, rng)
wrong = {order: torch_attention(mine, 3, order)(x, x, x)[0] for order in ((1, 0, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1))}
check.close(
    mine(x),
    torch_attention(mine, 3)(x, x, x)[0],
    "MultiHeadAttention(12, 3)(x), against nn.MultiheadAttention with its weights",
    terms=100,
    likely={f"the thirds of the packed rows are q, k, v, but number {o} were read so": y for o, y in wrong.items()},
    hint="heads are blocks of neighbouring columns; the axis of heads goes to the front, and back before the merge",
)
triangle = torch.ones(5, 5, dtype=torch.bool).tril()  # PyTorch's module means "hidden" by True
check.close(
    mine(x, triangle),
    torch_attention(mine, 3)(x, x, x, attn_mask=~triangle)[0],
    "MultiHeadAttention(12, 3)(x, mask) with a causal mask, against nn.MultiheadAttention",
    terms=100,
    likely={
        "the mask is not handed to attention": torch_attention(mine, 3)(x, x, x)[0],
        "the mask is transposed": torch_attention(mine, 3)(x, x, x, attn_mask=~triangle.T)[0],
    },
    hint="your attention takes the mask as it is, True: seen",
)
check.raises(ValueError, "MultiHeadAttention(12, 5)", MultiHeadAttention, 12, 5)


### BEGIN HIDDEN TESTS
def _plain_attention(q, k, v, mask=None):
    """Stands in for the reader's attention."""
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    return (scores if mask is None else scores.masked_fill(~mask, -1e300)).softmax(-1) @ v


_rng = check.rng(5)
_NOT_TORCHS = ("torch.nn.MultiheadAttention.forward", "torch.nn.functional.multi_head_attention_forward")
for _batch, _n, _dim, _heads in ((3, 4, 10, 2), (2, 7, 6, 6), (2, 3, 8, 1), (1, 6, 12, 4), (3, 5, 12, 3)):
    for _masked in (0, 1, _heads):  # no mask, one for all heads, one for each head
        with check.using(attention=_plain_attention):
            _mine = MultiHeadAttention(_dim, _heads)
            fill(_mine, _rng)
            _x = normal(_rng, _n, _batch, _dim).transpose(0, 1).requires_grad_()
            # (batch, 1 or heads, n, n): other masks in every sequence
            _mask = torch.from_numpy(_rng.random((_batch, max(_masked, 1), _n, _n)) < 0.6)
            _mask |= torch.eye(_n, dtype=torch.bool)
            _theirs = torch_attention(_mine, _heads)
            _hidden = (~_mask).expand(-1, _heads, -1, -1).flatten(0, 1) if _masked else None
            _want = _theirs(_x, _x, _x, attn_mask=_hidden, need_weights=False)[0]
            _upstream = normal(_rng, _batch, _n, _dim)
            _want_grad = torch.autograd.grad(_want, [_x, _theirs.in_proj_weight, _theirs.out_proj.weight], _upstream)
            _seen = tuple(_mask.shape) if _masked else None
            _call = f"MultiHeadAttention({_dim}, {_heads}) of {tuple(_x.shape)}, mask {_seen}"
            with check.forbid(*_NOT_TORCHS, because="build it from two linear layers and your attention"):
                _got = _mine(_x, _mask) if _masked else _mine(_x)
        check.close(
            _got,
            _want.detach(),
            _call,
            terms=100,
            scale=10.0,
            hint="the mask goes to your attention as it is, True: seen",
        )
        _got_grad = torch.autograd.grad(_got, [_x, _mine.qkv.weight, _mine.proj.weight], _upstream, allow_unused=True)
        for _name, _grad, _expected in zip(("x", "qkv.weight", "proj.weight"), _got_grad, _want_grad, strict=True):
            check.close(_grad, _expected, f"{_call}: the gradient of {_name}", terms=1000, scale=10.0)
check.raises(ValueError, "MultiHeadAttention(10, 4)", MultiHeadAttention, 10, 4)
### END HIDDEN TESTS

# %% [markdown]
# Heads cost nothing extra: the four matrices have $4 d^2$ weights for every $h$. And what `attention` computes is
# $h$ matrices of $n \times n$. That square is the price of the Transformer: at $n = 1024$ and 12 heads it has 12.6
# million entries a layer and sequence; at $n = 131{,}072$, two hundred billion. *In production* says how it is never
# stored.
#
# ## 5. LayerNorm, forward and backward
#
# Deep networks need their numbers kept at one scale. **LayerNorm** (arXiv 1607.06450) does so for each token by
# itself: subtract the mean of its $d$ numbers, divide by their standard deviation, then stretch and shift by two
# learned vectors, the weight $w$ and the bias $b$:
#
# $$\mu = \frac1d \sum_j x_j, \quad \sigma^2 = \frac1d \sum_j (x_j - \mu)^2, \quad
# r = \frac{1}{\sqrt{\sigma^2 + \epsilon}}, \quad \hat x = (x - \mu)\, r, \quad y = w \odot \hat x + b$$
#
# Three details that go wrong: the variance is the *biased* one (divide by $d$, not $d - 1$); $\epsilon$, typically
# $10^{-5}$, stands *inside* the root; and $\sigma^2$ as "mean of squares minus square of mean" loses all digits
# when the mean is large, because it subtracts two huge numbers that are nearly equal.
#
# **A worked example.** $x = (1, 2, 3, 6)$, $\epsilon = 0$: $\mu = 3$, $\sigma^2 = (4 + 1 + 0 + 9)/4 = 3.5$, and
# $\hat x = (-2, -1, 0, 3) / \sqrt{3.5}$.
#
# **Backward, by hand.** Let $g = \partial \text{loss} / \partial y$ arrive, for one row. The parameters are easy; they
# are shared by all rows, so their gradients are sums over the rows:
#
# $$\bar w = \sum_{\text{rows}} g \odot \hat x, \qquad \bar b = \sum_{\text{rows}} g$$
#
# For $x$, put $u = w \odot g$, the gradient with respect to $\hat x$. An entry $x_j$ moves the loss in three ways:
# directly, through $\mu$, and through $\sigma^2$. From
#
# $$\frac{\partial \hat x_i}{\partial x_j} = r \left( \delta_{ij} - \frac1d - \frac{\hat x_i \hat x_j}{d} \right)$$
#
# ($\delta_{ij}$ is 1 where $i = j$, else 0; the last term comes from $\partial r / \partial x_j = - r^2 \hat x_j / d$)
# you get, summing over $i$ with $u_i$,
#
# $$\bar x = r \left( u - \mathrm{mean}(u) - \hat x \; \mathrm{mean}(u \odot \hat x) \right)$$
#
# Read it as a projection: whatever part of the gradient would shift the row, or stretch it, is taken out, because the
# output does not depend on either. (Up to $\epsilon$: the formula is exact with it, since $r$ holds it.)
#
# **What to save.** $\hat x$ follows from $x$, $\mu$ and $r$. So beside $x$, which somebody holds anyway, two numbers a
# row are enough. Saving $\hat x$ in float32 instead would cost twice the bytes of a bf16 $x$, in two norms of every
# layer. And in low precision: the sums run over $d$ entries, or over all rows, so compute in float32 and round each
# result once.
#
# **Build** both passes as an `autograd.Function`, as in week 2.
#
# <details><summary>Hint 1</summary>
#
# Means over the last axis with `keepdim=True` have one number a row, and broadcast against the row.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# "Sum over all rows" with any number of leading axes: `flatten(0, -2).sum(0)`, after making sure that there is at
# least one; or `t.reshape(-1, t.shape[-1]).sum(0)`, which needs no thought.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `ctx.save_for_backward(x, weight, mean, r)` keeps the tensors as they are: save the `x` that came in, not its float32
# copy. `eps` is no tensor and does not have to be kept, $r$ holds it. In `backward`, return a gradient for each
# argument of `forward`, and None for `eps`.
#
# </details>


# %% exercise="layer_norm" minutes=35 difficulty=4
class LayerNormFunction(torch.autograd.Function):
    """y = weight * (x - mean) / sqrt(variance + eps) + bias, over the last axis (arXiv 1607.06450).

    x has any number of leading axes, none among them; weight and bias have the length of its last axis; all three have
    one dtype. The variance is the biased one. fp16 and bf16 are computed in float32, and y and each gradient are
    rounded once, to the dtype of x; float64 stays float64. A row of mean 10,000 and standard deviation 1 still has its
    digits: the mean is subtracted before squares are taken.

    Saved for backward: arguments themselves, and beside them at most two numbers a row, of float32 (float64 for a
    float64 x). `backward` returns gradients of the shapes of x, weight and bias. The backward pass is
    your own arithmetic; the tests notice torch's LayerNorm and autograd in it.
    """

    @staticmethod
    def forward(
        ctx, x: Float[Tensor, "... d"], weight: Float[Tensor, " d"], bias: Float[Tensor, " d"], eps: float
    ) -> Float[Tensor, "... d"]:
        ### BEGIN SOLUTION
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        mean = wide.mean(-1, keepdim=True)
        r = torch.rsqrt((wide - mean).square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, weight, mean, r)
        return ((wide - mean) * r * weight + bias).to(x.dtype)
        ### END SOLUTION

    @staticmethod
    def backward(ctx, grad: Float[Tensor, "... d"]) -> tuple[Tensor | None, ...]:
        ### BEGIN SOLUTION
        x, weight, mean, r = ctx.saved_tensors
        x_hat = (x.to(mean.dtype) - mean) * r
        g = grad.to(mean.dtype)
        u = g * weight
        x_grad = r * (u - u.mean(-1, keepdim=True) - x_hat * (u * x_hat).mean(-1, keepdim=True))
        rows = (-1, x.shape[-1])
        weight_grad, bias_grad = (g * x_hat).reshape(rows).sum(0), g.reshape(rows).sum(0)
        return x_grad.to(x.dtype), weight_grad.to(x.dtype), bias_grad.to(x.dtype), None
        ### END SOLUTION


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float = 1e-5) -> Tensor:
    """LayerNorm over the last axis, by your function."""
    return LayerNormFunction.apply(x, weight, bias, eps)


# %% test="layer_norm" points=6
NO_LAYER_NORM = (
    "torch.nn.functional.layer_norm",
    "torch.layer_norm",
    "torch.native_layer_norm",
    "torch.nn.functional.group_norm",
    "torch.group_norm",
    "torch.nn.LayerNorm.forward",
    "torch.ops.aten.native_layer_norm_backward",
    "torch.autograd.grad",
    "torch.autograd.backward",
    "torch.func.vjp",
    "torch.func.grad",
)
ONES, ZEROS = torch.ones(4, dtype=torch.float64), torch.zeros(4, dtype=torch.float64)
row = torch.tensor([1.0, 2.0, 3.0, 6.0], dtype=torch.float64)
away = row - 3
with check.forbid(*NO_LAYER_NORM, because="write LayerNorm by hand"), check.unchanged("layer_norm", row):
    check.close(
        layer_norm(row, ONES, ZEROS, 2.0),
        away / math.sqrt(5.5),
        "layer_norm of (1, 2, 3, 6), weight 1, bias 0, eps 2",
        likely={
            "eps stands inside the root": away / (math.sqrt(3.5) + 2),
            "the variance is divided by d, not by d - 1": away / math.sqrt(14 / 3 + 2),
            "the mean is not subtracted": row / math.sqrt(5.5),
            "the root is missing": away / 5.5,
            "eps is missing, or not the one that was passed": away / math.sqrt(3.5),
        },
    )
    check.close(
        layer_norm(row, 2 * ONES, 3 + ZEROS, 2.0),
        2 * away / math.sqrt(5.5) + 3,
        "layer_norm of (1, 2, 3, 6), weight 2, bias 3, eps 2",
        likely={"shifted first, then stretched": 2 * (away / math.sqrt(5.5) + 3)},
    )
rng = check.rng(6)
x, w, b = (normal(rng, *shape).requires_grad_() for shape in ((2, 4), (4,), (4,)))
g = normal(rng, 2, 4)
x_grad, w_grad, b_grad = torch.autograd.grad(F.layer_norm(x, (4,), w, b), (x, w, b), g)
u, r = g * w, torch.rsqrt(x.var(1, correction=0, keepdim=True) + 1e-5)
x_hat = (x - x.mean(1, keepdim=True)) * r
through_mean, through_variance = u.mean(1, keepdim=True), x_hat * (u * x_hat).mean(1, keepdim=True)
yours = torch.autograd.grad(layer_norm(x, w, b), (x, w, b), g, allow_unused=True)
check.close(
    yours[0],
    x_grad,
    "the gradient of layer_norm with respect to x, against F.layer_norm",
    terms=20,
    scale=10.0,
    likely={
        "the mean and the variance were taken for constants": u * r,
        "the part that goes through the mean is missing": (u - through_variance) * r,
        "the part that goes through the variance is missing": (u - through_mean) * r,
        "the weight is missing: u = w g": torch.autograd.grad(F.layer_norm(x, (4,)), x, g)[0],
        "the factor r is missing": x_grad / r,
    },
)
check.close(
    yours[1],
    w_grad,
    "the gradient of layer_norm with respect to weight, against F.layer_norm",
    terms=20,
    scale=10.0,
    likely={"the weight multiplies x_hat, not x": (g * x).sum(0), "the gradient of x_hat, not of the weight": u.sum(0)},
)
check.close(yours[2], b_grad, "the gradient of layer_norm with respect to bias", terms=20, scale=10.0)
inputs = [normal(rng, 3, 2, 5).requires_grad_(), normal(rng, 5).requires_grad_(), normal(rng, 5).requires_grad_()]
check.that(
    torch.autograd.gradcheck(layer_norm, inputs, raise_exception=False),
    "torch.autograd.gradcheck(layer_norm, (x, weight, bias))\n  the gradients are not those of the forward pass",
)
### BEGIN HIDDEN TESTS
_rng = check.rng(7)
_grad_of = torch.autograd.grad  # taken before the name is guarded
_BECAUSE = "write LayerNorm by hand, both passes"
for _shape, _eps in (
    ((4, 3, 6), 1e-5),
    ((7,), 0.3),
    ((2, 3, 4, 5), 1e-2),
    ((1, 8), 1e-5),
    ((0, 3), 1e-5),
    ((5, 1), 0.5),
):
    _x = normal(_rng, *_shape).requires_grad_()
    _w, _b = (normal(_rng, _shape[-1]).requires_grad_() for _ in range(2))
    _g = normal(_rng, *_shape)
    _want = F.layer_norm(_x, _shape[-1:], _w, _b, _eps)
    _want_grads = _grad_of(_want, [_x, _w, _b], _g)
    with check.forbid(*NO_LAYER_NORM, because=_BECAUSE), check.unchanged("layer_norm", _x, _w, _b, _g):
        _got = layer_norm(_x, _w, _b, _eps)
        _got_grads = _grad_of(_got, [_x, _w, _b], _g, allow_unused=True)
    check.equal(
        type(_got.grad_fn).__name__, "LayerNormFunctionBackward", "the node that layer_norm puts into the graph"
    )
    check.close(_got, _want.detach(), f"layer_norm of {_shape} with eps {_eps}", terms=_shape[-1], scale=1.0)
    for _name, _one, _other in zip(("x", "weight", "bias"), _got_grads, _want_grads, strict=True):
        check.close(
            _one,
            _other,
            f"the gradient of layer_norm with respect to {_name}, {_shape}, eps {_eps}",
            terms=40,
            scale=10.0,
            dtype=torch.float64,
            hint="weight and bias are shared by all rows: their gradients are sums over every leading axis"
            if _name != "x"
            else "three terms: u, mean(u), and x_hat times mean(u x_hat), all times r",
        )

# A tiny spread: where eps stands decides. Constant rows. Not contiguous, and a gradient that was expanded.
_x = (1e-3 * normal(_rng, 6, 5, 4)).transpose(0, 2).requires_grad_()
_flat = torch.full((2, 6), 3.0, dtype=torch.float64, requires_grad=True)
for _name, _t in (("of entries of about 0.001, not contiguous", _x), ("of rows whose entries are all 3", _flat)):
    _w, _b = (normal(_rng, 6) for _ in range(2))
    _g = torch.tensor(1.0, dtype=torch.float64).expand(_t.shape)
    _want = F.layer_norm(_t, (6,), _w, _b, 1e-5)
    (_want_grad,) = _grad_of(_want, [_t], _g)
    _got = layer_norm(_t, _w, _b)
    (_got_grad,) = _grad_of(_got, [_t], _g)
    check.close(_got, _want.detach(), f"layer_norm {_name}", terms=20, scale=10.0)
    check.close(_got_grad, _want_grad, f"the gradient of layer_norm {_name}", terms=20, scale=2000.0)

# A large mean: float32 holds 10,000 to about 5e-4, so the spread of 1 has three digits left, if it is treated well.
_x = (normal(_rng, 5, 64) + 10_000).float()
check.close(
    layer_norm(_x, torch.ones(64), torch.zeros(64)),
    F.layer_norm(_x.double(), (64,)),
    "layer_norm of float32 rows with mean 10,000 and standard deviation 1",
    atol=1e-2,  # the mean is off by a few times 5e-4
    hint="the mean of squares minus the square of the mean subtracts two numbers of about 1e8; subtract the mean first",
)

for _dtype in (torch.bfloat16, torch.float16):
    _leaves = [normal(_rng, *_s, dtype=_dtype).requires_grad_() for _s in ((3, 500, 48), (48,), (48,))]
    _leaves[0].data.mul_(300)  # squares that overflow in fp16
    _g = normal(_rng, 3, 500, 48, dtype=_dtype)
    _exact = [_t.detach().double().requires_grad_() for _t in _leaves]
    _want = F.layer_norm(_exact[0], (48,), _exact[1], _exact[2], 1e-5)
    _want_grads = _grad_of(_want, _exact, _g.double())
    _got = layer_norm(*_leaves)
    _got_grads = _grad_of(_got, _leaves, _g)
    for _name, _one, _other, _sum in zip(
        ("y", "the gradient of x", "the gradient of weight", "the gradient of bias"),
        (_got, *_got_grads),
        (_want.detach(), *_want_grads),
        (10, 1, 5000, 5000),  # largest magnitudes that are added up
        strict=True,
    ):
        check.close(
            _one,
            _other,
            f"{_name} of layer_norm in {_dtype}, 1500 rows, against float64",
            rtol=1.001 * torch.finfo(_dtype).eps / 2,  # one rounding
            atol=2e-6 * _sum,  # float32 in between
            dtype=_dtype,
            hint="compute in float32, the sums over the rows too, and round each result once",
        )

# What backward itself returns, before autograd sums what is too large. The node of the graph is the ctx of `forward`.
_x, _w, _b = (normal(_rng, *_s).requires_grad_() for _s in ((3, 4, 5), (5,), (5,)))
_y, _g = layer_norm(_x, _w, _b), normal(_rng, 3, 4, 5)
with torch.no_grad():
    _returned = LayerNormFunction.backward(_y.grad_fn, _g)
check.equal(
    [None if _t is None else tuple(_t.shape) for _t in _returned],
    [(3, 4, 5), (5,), (5,), None],
    "the shapes of what LayerNormFunction.backward returns for x of (3, 4, 5)",
    hint="weight and bias are shared by all rows: sum over every leading axis; None for eps",
)
del _y, _returned

# What is kept for backward: x and weight as they came, and two numbers a row.
for _dtype, _limit in ((torch.bfloat16, 8), (torch.float32, 8), (torch.float64, 16)):
    _x, _w, _b = (normal(_rng, *_s, dtype=_dtype).requires_grad_() for _s in ((6, 7, 32), (32,), (32,)))
    _held = {_t.untyped_storage().data_ptr() for _t in (_x, _w, _b)}  # the bias costs nothing more either
    _kept = {}

    def _pack(tensor, kept=_kept):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    with saved_tensors_hooks(_pack, lambda tensor: tensor):
        _y = layer_norm(_x, _w, _b)
        for _attribute in vars(_y.grad_fn).values():  # what was put on ctx without save_for_backward
            for _t in _attribute if isinstance(_attribute, tuple | list) else [_attribute]:
                if isinstance(_t, Tensor):
                    _pack(_t)
    _more = sum(_storage.nbytes() for _place, _storage in _kept.items() if _place not in _held)
    check.that(
        _more <= 42 * _limit,
        f"layer_norm of 42 rows of 32 in {_dtype}: bytes saved beside the arguments\n  got       {_more}\n"
        f"  allowed   {42 * _limit}, two numbers a row\n  hint      save the x that came in, the means and r",
    )
    del _y
### END HIDDEN TESTS


# %%
class LayerNorm(nn.Module):
    """Your LayerNorm with its two parameters, weight and bias; `eps` is 1e-5, as in GPT-2."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Float[Tensor, "... dim"]) -> Float[Tensor, "... dim"]:
        return layer_norm(x, self.weight, self.bias)


# %% [markdown]
# ## 6. The feed-forward part
#
# Attention moves information between tokens. What happens to it inside a token is the work of a plain two-layer
# network, applied to each token alone: up to a width of $4d$, through a nonlinearity, and down again. Two thirds of a
# layer's parameters are here.
#
# $$\mathrm{FFN}(x) = W_\text{down}\, \mathrm{gelu}(W_\text{up}\, x + b_\text{up}) + b_\text{down}$$
#
# The nonlinearity of 2017 was ReLU, $\max(0, x)$. GPT takes **GELU** (arXiv 1606.08415): $x$ times the probability
# that a standard normal number is below $x$,
#
# $$\mathrm{gelu}(x) = x\, \Phi(x) = \frac x2 \left(1 + \mathrm{erf}\frac{x}{\sqrt 2}\right) \approx
# \frac x2 \left(1 + \tanh\left(\sqrt{\tfrac{2}{\pi}}\, (x + 0.044715\, x^3)\right)\right)$$
#
# ($\mathrm{erf}$ is the error function.) The right-hand side was faster when $\mathrm{erf}$ was slow on GPUs. GPT-2 was
# trained with it, so GPT-2's weights want it to this day, while the exact form is PyTorch's default. The two differ by
# less than $5 \cdot 10^{-4}$: too little for anybody to notice, and enough to fail every comparison.
#
# **A worked example.** $\Phi(1) = 0.841345$, so $\mathrm{gelu}(1) = 0.841345$ and $\mathrm{gelu}(-1) = -0.158655$. The
# approximation at 1: $\sqrt{2/\pi} \cdot 1.044715 = 0.833562$, its tanh is $0.682384$, and $1.682384 / 2 = 0.841192$.
#
# In fp16, $x^3$ overflows from $x = 41$ on, and in bf16, $1 + \mathrm{erf}$ keeps two digits. Again: compute in
# float32, round once.
#
# **Build** `gelu` and `FeedForward`.
#
# <details><summary>Hint 1</summary>
#
# `torch.erf` and `torch.tanh` are yours to use.
#
# </details>


# %% exercise="feed_forward" minutes=15 difficulty=2
def gelu(x: Float[Tensor, "..."], approximate: str = "none") -> Float[Tensor, "..."]:
    """The Gaussian error linear unit (arXiv 1606.08415).

    Args:
        x: any shape, finite values of any size. fp16 and bf16 are computed in float32 and rounded once; float64 stays
            float64.
        approximate: "none" for x * Phi(x), or "tanh" for the approximation, as in `torch.nn.functional.gelu`.

    Returns:
        Before that rounding, float32 is within 3e-7 + 1e-6 |gelu(x)| of the exact value: far out on the left 1 + erf
        has few digits left, and needs no more. Autograd finds the derivative, for x of ordinary size.

    Raises:
        ValueError: approximate is anything else, another spelling among it.
    """
    ### BEGIN SOLUTION
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    if approximate == "none":
        gate = 1 + torch.erf(wide / math.sqrt(2))
    elif approximate == "tanh":
        gate = 1 + torch.tanh(math.sqrt(2 / math.pi) * (wide + 0.044715 * wide**3))
    else:
        raise ValueError(f'approximate is "none" or "tanh", not {approximate!r}')
    return (wide / 2 * gate).to(x.dtype)
    ### END SOLUTION


class FeedForward(nn.Module):
    """Two linear layers with biases and GPT-2's nonlinearity (gelu, approximate="tanh") in between, without dropout.

    Its submodules: `up`, an `nn.Linear` from dim to 4 dim, and `down`, one from 4 dim to dim.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        ### BEGIN SOLUTION
        self.up = nn.Linear(dim, 4 * dim)
        self.down = nn.Linear(4 * dim, dim)
        ### END SOLUTION

    def forward(self, x: Float[Tensor, "... dim"]) -> Float[Tensor, "... dim"]:
        ### BEGIN SOLUTION
        return self.down(gelu(self.up(x), "tanh"))
        ### END SOLUTION


# %% test="feed_forward" points=3
x = torch.tensor([-1.0, 0.0, 1.0, 3.0], dtype=torch.float64)
exact, approximation = F.gelu(x), F.gelu(x, approximate="tanh")
check.close(
    gelu(x),
    exact,
    "gelu([-1, 0, 1, 3])",
    likely={
        "this is the tanh approximation": approximation,
        "erf of x / √2, not of x": x / 2 * (1 + torch.erf(x)),
        "Phi lies between 0 and 1: x / 2, not x": 2 * exact,
    },
)
check.close(
    gelu(x, "tanh"),
    approximation,
    'gelu([-1, 0, 1, 3], "tanh")',
    likely={
        "this is the exact form": exact,
        "the root is of 2 / pi": x / 2 * (1 + torch.tanh(2 / math.pi * (x + 0.044715 * x**3))),
        "0.044715 stands before the cube only": x / 2 * (1 + torch.tanh(math.sqrt(2 / math.pi) * 1.044715 * x)),
        "this is x * sigmoid(1.702 x), a third form": x * torch.sigmoid(1.702 * x),
    },
)
check.raises(ValueError, 'gelu(x, "relu")', gelu, x, "relu")
check.equal(
    {name: tuple(p.shape) for name, p in FeedForward(3).named_parameters()},
    {"up.weight": (12, 3), "up.bias": (12,), "down.weight": (3, 12), "down.bias": (3,)},
    "the parameters of FeedForward(3)",
)
ff, x = FeedForward(3), normal(check.rng(14), 2, 4, 3)
fill(ff, check.rng(15))
wide = x @ ff.up.weight.T + ff.up.bias
check.close(
    ff(x),
    F.gelu(wide, approximate="tanh") @ ff.down.weight.T + ff.down.bias,
    "FeedForward(3)(x) for x of shape (2, 4, 3)",
    terms=30,
    scale=10.0,
    likely={"GPT-2's nonlinearity is the tanh approximation": F.gelu(wide) @ ff.down.weight.T + ff.down.bias},
)
### BEGIN HIDDEN TESTS
_rng = check.rng(8)
_NO_GELU = ("torch.nn.functional.gelu", "torch._C._nn.gelu", "torch.nn.GELU.forward")
_x = torch.cat((normal(_rng, 40), 6 * normal(_rng, 40), torch.tensor([0.0, 30.0, -30.0, 1e3, -1e3]))).reshape(5, 17)
for _approximate in ("none", "tanh"):
    for _dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
        _t = _x.to(_dtype)
        _want = F.gelu(_t.double(), approximate=_approximate)
        with check.forbid(*_NO_GELU, because="write it with erf or tanh"), check.unchanged("gelu", _t):
            _got = gelu(_t, _approximate)
        check.close(
            _got,
            _want,
            f'gelu of {_dtype}, approximate="{_approximate}"',
            rtol=1.001 * torch.finfo(_dtype).eps / 2 + (1e-13 if _dtype is torch.float64 else 1e-6),  # one rounding
            atol=1e-13 if _dtype is torch.float64 else 3e-7,  # of 1 + erf, times x, where it is nearly 0
            dtype=_dtype,
            hint="compute fp16 and bf16 in float32, and round once",
        )
    _t = normal(_rng, 3, 7).requires_grad_()
    check.close(
        torch.autograd.grad(gelu(_t, _approximate).square().sum(), _t)[0],
        torch.autograd.grad(F.gelu(_t, approximate=_approximate).square().sum(), _t)[0],
        f'the gradient of the sum of squares of gelu, approximate="{_approximate}"',
        terms=20,
        scale=10.0,
        hint="autograd has to see erf or tanh too: no detach, no NumPy",
    )
for _approximate in ("", "tan", "TANH"):
    check.raises(ValueError, f'gelu(x, "{_approximate}")', gelu, torch.ones(3), _approximate)
_t = torch.tensor([3e13, -3e13, 200.0, -200.0])
check.close(gelu(_t, "tanh"), torch.tensor([3e13, 0.0, 200.0, 0.0]), 'gelu([3e13, -3e13, 200, -200], "tanh")')
with check.using(gelu=lambda x, approximate="none": F.gelu(x, approximate=approximate)):
    _mine = FeedForward(6)
    fill(_mine, _rng)
    _theirs = nn.Sequential(nn.Linear(6, 24), nn.GELU(approximate="tanh"), nn.Linear(24, 6)).double()
    _theirs[0].load_state_dict(_mine.up.state_dict())
    _theirs[2].load_state_dict(_mine.down.state_dict())
    _exact = nn.Sequential(_theirs[0], nn.GELU(), _theirs[2])
    for _shape in ((6,), (2, 3, 5, 6)):
        _x = normal(_rng, *_shape)
        check.close(
            _mine(_x),
            _theirs(_x),
            f"FeedForward(6) of {_shape}",
            terms=30,
            scale=10.0,
            likely={"GPT-2's nonlinearity is the tanh approximation": _exact(_x)},
        )
### END HIDDEN TESTS

# %% explore
x = torch.linspace(-6, 6, 601, dtype=torch.float64)
figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.4))
left.plot(x, x.relu(), "--", color=plots.GREY, label="ReLU")
left.plot(x, gelu(x), color=plots.BLUE, label="GELU, yours, exact")
left.set(xlim=(-4, 4), ylim=(-0.6, 4), xlabel="x", ylabel="value", title="GELU: a ReLU with a soft corner")
left.legend()
difference = gelu(x, "tanh") - gelu(x)
right.plot(x, 1e4 * difference, color=plots.RED)
right.set(xlabel="x", ylabel=r"tanh form - exact form  ($10^{-4}$)", title="The approximation's error")
plots.show(
    figure,
    alt="Left: GELU and ReLU, which agree away from zero. Right: the error of the tanh approximation, below 5e-4 "
    "everywhere: -2.3e-4 near plus and minus 1.36, +4.7e-4 near plus and minus 2.70, zero beyond plus and minus 5.",
)
print(
    f"the largest difference of the two forms: {difference.abs().max():.1e}, at x = {x[difference.abs().argmax()]:.2f}"
)

# %% [markdown]
# ## 7. The block, and why it was changed
#
# Attention and feed-forward are joined by two ideas. A **residual connection** adds what a part computes to what it was
# given, $x + f(x)$, so that a deep stack starts near the identity. And a LayerNorm keeps the scale. Where does it
# stand?
#
# $$\text{post-norm (2017):}\quad x \leftarrow \mathrm{LN}\big(x + f(x)\big) \qquad\qquad
# \text{pre-norm (GPT-2):}\quad x \leftarrow x + f\big(\mathrm{LN}(x)\big)$$
#
# A block does this twice, first with $f$ = attention, then with $f$ = feed-forward, each with a LayerNorm of its own.
# The difference looks like taste. It decides whether the model trains. In a pre-norm model there is a path from the
# last layer to the first that passes *no* norm at all: only additions, the **residual stream**. In a post-norm model
# the path passes $2L$ of them.
#
# **A worked example**, with parts that you can follow by hand. Let attention triple its input, the feed-forward part
# add 10 to it, and let the "norm" be the square. Pre-norm from $x = 1$: $1 + 3 \cdot 1^2 = 4$, then
# $4 + (4^2 + 10) = 30$. Post-norm: $(1 + 3 \cdot 1)^2 = 16$, then $(16 + (16 + 10))^2 = 1764$.
#
# **Build** `Block`, both ways.
#
# <details><summary>Hint 1</summary>
#
# The mask goes to the attention alone. In the pre-norm form the residual adds the x from *before* the norm.
#
# </details>


# %% exercise="Block" minutes=15 difficulty=2
class Block(nn.Module):
    """A Transformer layer: attention and feed-forward, each with a residual connection and a LayerNorm.

    Its submodules: `norm1` and `norm2`, two `LayerNorm(dim)`; `attn`, a `MultiHeadAttention(dim, heads)`; `ff`, a
    `FeedForward(dim)`. The first norm and attention come first.

    Args:
        dim: the width of a token.
        heads: of the attention.
        norm_first: True for pre-norm, x + f(norm(x)); False for post-norm, norm(x + f(x)), as in the paper of 2017.
    """

    def __init__(self, dim: int, heads: int, norm_first: bool = True) -> None:
        super().__init__()
        ### BEGIN SOLUTION
        self.norm_first = norm_first
        self.norm1, self.norm2 = LayerNorm(dim), LayerNorm(dim)
        self.attn = MultiHeadAttention(dim, heads)
        self.ff = FeedForward(dim)
        ### END SOLUTION

    def forward(
        self, x: Float[Tensor, "batch n dim"], mask: Bool[Tensor, "... n n"] | None = None
    ) -> Float[Tensor, "batch n dim"]:
        """`mask`: as the attention takes it. x itself stays as it was."""
        ### BEGIN SOLUTION
        if self.norm_first:
            x = x + self.attn(self.norm1(x), mask)
            return x + self.ff(self.norm2(x))
        x = self.norm1(x + self.attn(x, mask))
        return self.norm2(x + self.ff(x))
        ### END SOLUTION


# %% test="Block" points=4
class StandIn(nn.Module):
    """Takes the place of a part of the block, and does something that can be followed by hand."""

    def __init__(self, does: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.does = does

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.does(x if mask is None else mask.to(x.dtype) @ x)  # the sum of the tokens that are seen


by_hand = {
    "MultiHeadAttention": lambda *_, **__: StandIn(lambda x: 3 * x),
    "FeedForward": lambda *_, **__: StandIn(lambda x: x + 10),
    "LayerNorm": lambda *_, **__: StandIn(lambda x: x**2),
}
one, triangle = torch.ones(2, 3, 4), torch.ones(3, 3, dtype=torch.bool).tril()
rows = torch.tensor([1.0, 2.0, 3.0])[:, None]  # with the mask, attention sees 1, 2 and 3 tokens of 1
for norm_first, want, other, rest in (
    (
        True,
        30.0,
        "post-norm",
        {
            "the residual connections are missing": 19 * one,
            "the residual adds the x from before the norm, not the normed one": 42 * one,
            "attention comes first, then feed-forward": 444 * one,
            "nothing was normed": 18 * one,
            "the feed-forward part reads what the attention left, not the x from before": 15 * one,
        },
    ),
    (
        False,
        1764.0,
        "pre-norm",
        {
            "post-norm norms the sum, not the branch": 410 * one,
            "attention comes first, then feed-forward": 331776 * one,
        },
    ),
):
    for masked in (False, True):
        given, share = one.clone(), rows if masked else torch.ones(3, 1)
        pre, post = 1 + 3 * share, (1 + 3 * share) ** 2
        pre, post = (pre + pre**2 + 10) * one, (2 * post + 10) ** 2 * one
        with check.using(**by_hand), check.unchanged("Block", given):
            block = Block(4, 2, norm_first=norm_first)
            got = block(given, triangle) if masked else block(given)
        check.close(
            got,
            pre if norm_first else post,
            f"Block(4, 2, norm_first={norm_first})(1{', causal mask' if masked else ''}), "
            "attention: 3x, summed over what is seen; feed-forward: x + 10; norm: x²",
            likely={f"this is {other}": post if norm_first else pre}
            | ({"the mask is not handed to the attention": want * one} if masked else rest),
        )


### BEGIN HIDDEN TESTS
class _TorchAttention(nn.Module):
    """`nn.MultiheadAttention` with the face of the reader's, for one mask that all sequences and heads share."""

    def __init__(self, dim, heads):
        super().__init__()
        self.inner = nn.MultiheadAttention(dim, heads, batch_first=True)

    def forward(self, x, mask=None):
        return self.inner(x, x, x, attn_mask=None if mask is None else ~mask, need_weights=False)[0]


class _TorchFeedForward(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.up, self.down = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, x):
        return self.down(F.gelu(self.up(x), approximate="tanh"))


def _tanh_gelu(x):
    return F.gelu(x, approximate="tanh")


_rng = check.rng(9)
with check.using(MultiHeadAttention=_TorchAttention, FeedForward=_TorchFeedForward, LayerNorm=nn.LayerNorm):
    for _norm_first in (True, False):
        _mine = Block(6, 2, norm_first=_norm_first)
        check.equal(
            sorted({_name.split(".")[0] for _name, _ in _mine.named_parameters()}),
            ["attn", "ff", "norm1", "norm2"],
            "the submodules of Block(6, 2) that hold parameters",
        )
        fill(_mine, _rng)
        _theirs = nn.TransformerEncoderLayer(
            6, 2, 24, dropout=0.0, activation=_tanh_gelu, batch_first=True, norm_first=_norm_first, dtype=torch.float64
        )
        _theirs.self_attn.load_state_dict(_mine.attn.inner.state_dict())
        for _to, _from in (
            (_theirs.linear1, _mine.ff.up),
            (_theirs.linear2, _mine.ff.down),
            (_theirs.norm1, _mine.norm1),
            (_theirs.norm2, _mine.norm2),
        ):
            _to.load_state_dict(_from.state_dict())
        for _masked in (False, True):
            _x = normal(_rng, 3, 5, 6).requires_grad_()
            _mask = torch.from_numpy(_rng.random((5, 5)) < 0.5) | torch.eye(5, dtype=torch.bool)
            _want = _theirs(_x, ~_mask if _masked else None)
            _upstream = normal(_rng, 3, 5, 6)
            (_want_grad,) = torch.autograd.grad(_want, _x, _upstream)
            _call = f"Block(6, 2, norm_first={_norm_first})(x{', mask' if _masked else ''}), parts by torch"
            with check.unchanged("Block", _x):
                _got = _mine(_x, _mask) if _masked else _mine(_x)
            check.close(
                _got,
                _want.detach(),
                _call,
                terms=200,
                scale=10.0,
                hint="two different norms, and the attention gets the mask",
            )
            (_got_grad,) = torch.autograd.grad(_got, _x, _upstream)
            check.close(_got_grad, _want_grad, f"{_call}: the gradient of x", terms=1000, scale=10.0)
### END HIDDEN TESTS

# %% [markdown]
# Now look at what the choice does, *before the first step*. Two questions to a stack with random weights:
#
# 1. How large is the gradient in each of 24 blocks? This is the experiment of Xiong and others (arXiv 2002.04745,
#    Figure 3), on your code.
# 2. Nudge every weight of all blocks by $\pm 0.001$, signs at random. How much does the output change, relative to its
#    size, for stacks of 2 to 32 blocks? This is what Liu and others (arXiv 2004.08249) asked.
#
# Both answers are means of ten draws; the cell takes 10 to 20 s.


# %% explore
class Tower(nn.Module):
    """Tables, blocks, and an output layer; Xavier weights, as in the paper of Xiong and others and nn.Transformer."""

    def __init__(self, vocabulary: int, length: int, dim: int, depth: int, norm_first: bool) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, dim), nn.Embedding(length, dim)
        self.blocks = nn.ModuleList([Block(dim, 4, norm_first) for _ in range(depth)])
        self.norm = LayerNorm(dim) if norm_first else nn.Identity()  # post-norm ends with a norm as it is
        self.head = nn.Linear(dim, vocabulary)
        for name, parameter in self.blocks.named_parameters():
            if parameter.ndim == 2:
                nn.init.xavier_uniform_(parameter)
            elif "norm" not in name:
                nn.init.zeros_(parameter)

    def hidden(self, inputs: Tensor) -> Tensor:
        n = inputs.shape[1]
        x = self.tokens(inputs) + self.positions(torch.arange(n, device=inputs.device))
        for block in self.blocks:
            x = block(x, causal_mask(n, n, inputs.device))
        return self.norm(x)

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(self.head(self.hidden(inputs)).flatten(0, 1), targets.flatten())


@torch.no_grad()
def change_when_nudged(tower: Tower, inputs: Tensor) -> float:
    before = tower.hidden(inputs)
    for parameter in tower.blocks.parameters():
        if parameter.ndim == 2:
            parameter += 0.001 * torch.randn_like(parameter).sign()
    return ((tower.hidden(inputs) - before).norm() / before.norm()).item()


styles = {"pre-norm": (True, plots.BLUE, "o-"), "post-norm": (False, plots.RED, "s-")}
depths, draws = [2, 4, 8, 16, 32], range(10)
torch.manual_seed(0)
tokens = torch.randint(50, (8, 33))
inputs, targets = tokens[:, :-1], tokens[:, 1:]
figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.7))
for name, (norm_first, color, marker) in styles.items():
    norms = []
    for _ in track(draws, f"{name}, gradients", transient=True):
        tower = Tower(50, 32, 64, 24, norm_first)
        tower(inputs, targets).backward()
        norms.append([block.ff.down.weight.grad.norm() for block in tower.blocks])
    left.plot(range(1, 25), np.mean(norms, 0), marker, ms=4, color=color, label=name)
    changes = [
        np.mean([change_when_nudged(Tower(50, 32, 64, depth, norm_first), inputs) for _ in draws])
        for depth in track(depths, f"{name}, nudges", transient=True)
    ]
    right.plot(depths, [100 * c for c in changes], marker, color=color, label=name)
left.set(ylim=(0, None), xlabel="block (1 is next to the input)", ylabel="norm of the gradient of ff.down.weight")
left.set_title("24 blocks: the gradient in each")
right.set(ylim=(0, None), xlabel="blocks in the stack", ylabel="change of the output (%)", xticks=depths)
right.set_title("Every weight nudged by 0.001")
left.legend()
plots.show(
    figure,
    alt="Left: norm of the gradient in each of 24 blocks at the start, mean of ten draws. Post-norm is about "
    "the same in all blocks and larger everywhere; pre-norm falls towards the output. Right: change of the output "
    "when all weights are nudged, against depth. Both grow with depth, post-norm much faster.",
)

# %% [markdown]
# **Left.** In the pre-norm stack each block adds to the stream, so its size grows, about as the square root of the
# number of blocks; the last norm divides by that size, and with it every gradient that comes back. Xiong and others
# prove it for the last block: its gradient falls as $1 / \sqrt L$ with pre-norm, and does not depend on $L$ with
# post-norm, where every norm sets the stream back to size 1 and nothing gets smaller. In the figure, post-norm's
# gradients are larger in every block: by half or more next to the input, and nearly fourfold next to the output. (A
# single draw of post-norm lies some 15 to 30 % off these means.)
#
# **Right.** Adam would forgive that: it divides every gradient by its own recent size, and moves every weight by about
# the learning rate. But look at what one such move does. In a post-norm stack, each of the $2L$ parts makes up about
# half of the variance of what is handed on, the first and the last alike. Each adds an error of its own, nothing fades,
# and the change grows as $\sqrt L$ or faster. In a pre-norm stack, part number $l$ is only a share of $1/l$ of a
# stream that has grown so far. The errors add up to $1 + \frac12 + \frac13 + \dots \approx \ln L$ in variance. In the
# figure, going from 16 to 32 blocks adds a quarter to a third with pre-norm, and half or more with post-norm. And a
# real step is worse than a random one, for all weights move in the one direction that their gradients agree on.
#
# The paper of 2017 got through with six layers and a **warm-up**: 4000 steps at a tiny, slowly rising rate. Take that
# away, and train. Twelve blocks, the full rate from the first step on, generated stories that are read byte by byte.
# The grey line is the **unigram entropy** of the text: the loss of a model that knows how often each byte occurs, and
# nothing else. (About 10 to 15 s.)


# %% explore
text = corpus.byte_tokens("".join(corpus.stories(300)))
share = text.bincount().double() / len(text)
unigram = -torch.special.xlogy(share, share).sum().item()


def train_tower(norm_first: bool, steps: int, lr: float) -> list[float]:
    torch.manual_seed(1)
    tower = Tower(256, 48, 64, 12, norm_first)
    optimizer = torch.optim.AdamW(tower.parameters(), lr=lr)
    losses = []
    for _ in track(range(steps), f"{'pre' if norm_first else 'post'}-norm", transient=True):
        starts = torch.randint(len(text) - 48, (8, 1))
        batch = text[starts + torch.arange(49)]
        loss = tower(batch[:, :-1], batch[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


figure, axis = plt.subplots()
for name, (norm_first, color, _) in styles.items():
    losses = np.array(train_tower(norm_first, 70, 2e-3))
    axis.plot(np.convolve(losses, np.ones(5) / 5, "valid"), color=color, label=name)
axis.axhline(unigram, color=plots.GREY, ls="--", lw=1.2, label="knows how often each byte occurs")
axis.set(xlabel="step", ylabel="loss (nats per byte)", title="12 blocks, AdamW at a rate of 0.002 from the first step")
axis.legend()
plots.show(
    figure,
    alt="Loss against step for 12 blocks without warm-up. Pre-norm falls steadily, below the unigram entropy of the "
    "text; post-norm stays on it.",
)

# %% [markdown]
# The same parts, the same data, the same number of parameters but for one more norm at the end of the pre-norm stack.
# One learns; the other learns the frequencies of the bytes, for which the bias of the output layer alone would do, and
# gets stuck. (Try `train_tower(False, 450, 2e-4)`, about 40 s: with a tenth of the rate post-norm trains too, but
# slowly. Its loss is 3.7 after the 70 steps of this cell, 2.6 after 250 and 2.3 after 450. That is what a warm-up
# buys.) GPT-2 (2019), GPT-3 and Llama are pre-norm; so is most of what came since. Pre-norm has a price too: the
# residual stream only grows, since nothing ever scales it back. That is why a pre-norm model ends with one more
# LayerNorm, and why GPT-2 starts some weights smaller than the others.
#
# ## 8. GPT
#
# All parts are there. GPT-2 puts them together so:
#
# $$x = \mathrm{Tok}[t_i] + \mathrm{Pos}[i], \qquad L \text{ pre-norm blocks}, \qquad
# \text{logits} = \mathrm{LN}(x)\, \mathrm{Tok}^\top$$
#
# - **Weight tying** (arXiv 1608.05859). The last line uses the *token table* again: the logit of a token is the scalar
#   product of the final vector with that token's row. `head.weight` and `tokens.weight` are one `nn.Parameter`. It is
#   stored once, gets both gradients, and saves GPT-2 38.6 million parameters.
# - **Initial values.** All matrices and tables: normal with standard deviation 0.02. Biases 0; LayerNorm 1 and 0.
# - **Scaled residual projections.** Each block adds to the residual stream twice, through `attn.proj` and `ff.down`.
#   $2L$ independent additions of variance $s^2$ have variance $2L s^2$. So these weights start with standard deviation
#   $0.02 / \sqrt{2L}$, and the stream is of the same size whatever the depth.
# - **Loss.** The mean over all positions of $-\ln p(\text{target})$, the **cross-entropy**. A target of $-100$ says
#   "not counted": filling, or a prompt that is given. It has to be left out of the sum *and* of the number that the
#   sum is divided by. The targets come already shifted: `targets[i]` is the token after `tokens[i]`.
# - **Positions end.** There are rows for so many positions. One token more is an error, and it should be a clear one.
#
# **A worked shape example.** Batch 2, $n = 6$, $V = 50$, $d = 16$: tokens (2, 6) → vectors (2, 6, 16) → through the
# blocks (2, 6, 16) → norm → logits (2, 6, 50). With targets (2, 6): a scalar.
#
# **Build** `GPT`. Its configuration, `GPTConfig`, is given.
#
# <details><summary>Hint 1</summary>
#
# `self.head.weight = self.tokens.weight` makes both names mean one Parameter; `parameters()` then lists it once.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `for module in self.modules()` visits every submodule; `isinstance(module, nn.Linear | nn.Embedding)` picks those that
# hold matrices. Then go over the blocks once more for the two residual projections.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `F.cross_entropy` takes (rows, classes) and (rows,), and leaves out what equals its `ignore_index`, which is -100
# unless you say otherwise.
#
# </details>


# %%
@dataclass(frozen=True)
class GPTConfig:
    """The five numbers that make a GPT. The defaults are GPT-2's smallest."""

    vocab_size: int = 50257
    positions: int = 1024  # the longest input
    dim: int = 768
    layers: int = 12
    heads: int = 12


# %% exercise="GPT" minutes=30 difficulty=3
class GPT(nn.Module):
    """GPT-2: a pre-norm Transformer decoder with learned positions, tied embeddings and no dropout.

    Its submodules: `tokens` and `positions`, two `nn.Embedding`; `blocks`, an `nn.ModuleList` of `layers` pre-norm
    `Block`s; `norm`, a `LayerNorm`; `head`, an `nn.Linear` without bias whose weight *is* `tokens.weight`, the same
    Parameter.

    Initial values: weights of linear layers and tables are normal with mean 0 and standard deviation 0.02, but those of
    every block's `attn.proj` and `ff.down` with 0.02 / sqrt(2 * layers). Biases are 0. LayerNorms stay as they come.
    """

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        ### BEGIN SOLUTION
        self.tokens = nn.Embedding(config.vocab_size, config.dim)
        self.positions = nn.Embedding(config.positions, config.dim)
        self.blocks = nn.ModuleList([Block(config.dim, config.heads) for _ in range(config.layers)])
        self.norm = LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        self.head.weight = self.tokens.weight
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
        for block in self.blocks:
            for projection in (block.attn.proj, block.ff.down):
                nn.init.normal_(projection.weight, std=0.02 / math.sqrt(2 * config.layers))
        ### END SOLUTION

    def forward(
        self, tokens: Int[Tensor, "batch n"], targets: Int[Tensor, "batch n"] | None = None
    ) -> Float[Tensor, "batch n vocab"] | Float[Tensor, ""]:
        """Logits of the next token at every position, or with targets the loss.

        Args:
            tokens: int64, at most `positions` of them in a sequence. Position i sees the tokens 0 ... i.
            targets: what comes after each token, already shifted; -100 where it does not count. At least one counts.
                Both may be slices of one larger tensor, such as text[:, :-1] and text[:, 1:].

        Returns:
            Logits, or the mean cross-entropy in nats over the targets that count.

        Raises:
            ValueError: a sequence is longer than the table of positions.
        """
        ### BEGIN SOLUTION
        n, limit = tokens.shape[1], self.positions.num_embeddings
        if n > limit:
            raise ValueError(f"{n} tokens, but there are only {limit} positions")
        x = self.tokens(tokens) + self.positions.weight[:n]  # (batch, n, dim)
        mask = causal_mask(n, n, tokens.device)
        for block in self.blocks:
            x = block(x, mask)
        logits = self.head(self.norm(x))  # (batch, n, vocab)
        if targets is None:
            return logits
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100)
        ### END SOLUTION


# %% test="GPT" points=7
model = GPT(GPTConfig(vocab_size=50, positions=8, dim=16, layers=2, heads=4))
check.that(model.head.weight is model.tokens.weight, "GPT(config).head.weight\n  is not the Parameter tokens.weight")
check.equal(
    sum(p.numel() for p in model.parameters()),
    50 * 16 + 8 * 16 + 2 * (12 * 16**2 + 13 * 16) + 2 * 16,
    "the number of parameters of GPT with V = 50, P = 8, d = 16, L = 2",
    likely={"the token table counts once: it is shared": 2 * 50 * 16 + 8 * 16 + 2 * (12 * 16**2 + 13 * 16) + 2 * 16},
)
tokens = torch.from_numpy(check.rng(10).integers(0, 50, (2, 6)))
logits = model(tokens)
check.equal(tuple(logits.shape), (2, 6, 50), "the shape of GPT's logits for tokens of (2, 6)")
check.close(
    model(tokens, (tokens + 1) % 50),
    math.log(50),
    "the loss of an untrained GPT, V = 50: about ln 50",
    atol=0.3,  # the logits have a standard deviation of about 0.08
    hint="an untrained model should find all tokens about equally likely: are all weights as small as 0.02?",
)
changed = tokens.clone()
changed[:, 4] = (changed[:, 4] + 1) % 50
check.close(
    model(changed)[:, :4] - logits[:, :4],
    torch.zeros(2, 4, 50),
    "how far the logits of positions 0 to 3 move when token 4 is changed",
    atol=1e-6,  # they are of size 0.1, in float32
    hint="position i sees the tokens 0 ... i only: does every block get the causal mask, does Block hand it on to "
    "attn, and does attn use it?",
)
check.close(
    model.blocks[0].attn.proj.weight.detach().double().std().item(),
    0.01,
    "the standard deviation of blocks[0].attn.proj.weight of an untrained GPT with 2 layers: 0.02 / √4",
    rtol=0.27,  # 6 / √(2n) for n = 256 normal numbers
    likely={
        "residual projections start smaller": 0.02,
        "scaled by 1 / √L; each block adds twice, so it is 1 / √(2L)": 0.02 / math.sqrt(2),
        "scaled by 1 / (2L), without the root": 0.005,
    },
)
check.raises(ValueError, "GPT with 8 positions, of 9 tokens", model, torch.zeros(1, 9, dtype=torch.int64))
with torch.no_grad():
    model.norm.weight.zero_()
    model.norm.bias.zero_()
check.close(
    model(tokens),
    torch.zeros(2, 6, 50),
    "the logits of GPT when norm.weight and norm.bias are 0",
    atol=1e-9,
    hint="the final norm stands between the last block and the head",
)


### BEGIN HIDDEN TESTS
class _StandInAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads, self.qkv, self.proj = heads, nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x, mask=None):
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2))


class _StandInFeedForward(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.up, self.down = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, x):
        return self.down(F.gelu(self.up(x), approximate="tanh"))


class _StandInBlock(nn.Module):
    def __init__(self, dim, heads, norm_first=True):
        super().__init__()
        self.norm_first, self.norm1, self.norm2 = norm_first, nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attn, self.ff = _StandInAttention(dim, heads), _StandInFeedForward(dim)

    def forward(self, x, mask=None):
        if self.norm_first:
            x = x + self.attn(self.norm1(x), mask)
            return x + self.ff(self.norm2(x))
        x = self.norm1(x + self.attn(x, mask))
        return self.norm2(x + self.ff(x))


def _stand_in_mask(queries, keys, device=None):
    return torch.arange(keys, device=device) <= torch.arange(keys - queries, keys, device=device)[:, None]


def _torch_gpt(model, config):
    """The same GPT from torch's own layers with their own attention, as a function of tokens."""
    layers = []
    for _block in model.blocks:
        layer = nn.TransformerEncoderLayer(
            config.dim,
            config.heads,
            4 * config.dim,
            dropout=0.0,
            activation=lambda x: F.gelu(x, approximate="tanh"),
            batch_first=True,
            norm_first=True,
            dtype=torch.float64,
        )
        layer.load_state_dict(
            {
                "self_attn.in_proj_weight": _block.attn.qkv.weight,
                "self_attn.in_proj_bias": _block.attn.qkv.bias,
                "self_attn.out_proj.weight": _block.attn.proj.weight,
                "self_attn.out_proj.bias": _block.attn.proj.bias,
                "linear1.weight": _block.ff.up.weight,
                "linear1.bias": _block.ff.up.bias,
                "linear2.weight": _block.ff.down.weight,
                "linear2.bias": _block.ff.down.bias,
                "norm1.weight": _block.norm1.weight,
                "norm1.bias": _block.norm1.bias,
                "norm2.weight": _block.norm2.weight,
                "norm2.bias": _block.norm2.bias,
            }
        )
        layers.append(layer)

    def logits(tokens):
        n = tokens.shape[1]
        x = F.embedding(tokens, model.tokens.weight) + model.positions.weight[:n]
        for layer in layers:
            x = layer(x, nn.Transformer.generate_square_subsequent_mask(n, dtype=torch.float64))
        return F.layer_norm(x, (config.dim,), model.norm.weight, model.norm.bias, 1e-5) @ model.tokens.weight.T

    return logits


_rng = check.rng(11)
_parts = {
    "MultiHeadAttention": _StandInAttention,
    "FeedForward": _StandInFeedForward,
    "LayerNorm": nn.LayerNorm,
    "Block": _StandInBlock,
    "causal_mask": _stand_in_mask,
}
with check.using(**_parts):
    # Values.
    _config = GPTConfig(vocab_size=37, positions=9, dim=12, layers=3, heads=2)
    _mine = GPT(_config)
    check.equal(
        [_name for _name, _ in _mine.named_parameters() if "blocks" not in _name],
        ["tokens.weight", "positions.weight", "norm.weight", "norm.bias"],
        "the parameters of GPT outside of its blocks",
    )
    check.equal(len(_mine.blocks), 3, "the number of blocks of GPT with layers=3")
    fill(_mine, _rng)
    check.that(_mine.head.weight is _mine.tokens.weight, "head.weight\n  is not the Parameter tokens.weight any more")
    _reference = _torch_gpt(_mine, _config)
    for _shape in ((3, 7), (1, 1), (2, 9)):
        _tokens = torch.from_numpy(_rng.integers(0, 37, _shape))
        _want = _reference(_tokens)
        check.close(
            _mine(_tokens),
            _want,
            f"the logits of GPT for tokens of {_shape}, its parts and the reference by torch",
            terms=500,
            scale=50.0,
        )
        _targets = torch.from_numpy(_rng.integers(0, 37, _shape))
        _ignored = torch.from_numpy(_rng.random(_shape) < 0.4)
        _ignored[0, 0] = False
        if _shape[1] > 1:
            _ignored[0, -1] = True
            _targets[1:, 0] = 0  # token 0 is a token like any other
        _nats = -_want.log_softmax(-1).gather(-1, _targets[..., None]).squeeze(-1)
        for _masked in (False, True):
            _counted = ~_ignored if _masked else torch.ones_like(_ignored)
            check.close(
                _mine(_tokens, torch.where(_counted, _targets, -100)),
                _nats[_counted].mean().detach(),
                f"the loss of GPT for tokens of {_shape}{', some targets -100' if _masked else ''}",
                terms=500,
                scale=50.0,
                likely={
                    "the sum over the targets that count is divided by the number of all": (_nats * _counted).sum()
                    / _counted.numel(),
                    "the sum was not divided": (_nats * _counted).sum(),
                },
                hint="the targets are already shifted: targets[i] belongs to the logits at position i",
            )
    _text = torch.from_numpy(_rng.integers(0, 37, (3, 8)))
    check.close(
        _mine(_text[:, :-1], _text[:, 1:]),
        F.cross_entropy(_reference(_text[:, :-1]).flatten(0, 1), _text[:, 1:].flatten()).detach(),
        "the loss of GPT for text[:, :-1] and text[:, 1:], slices that are not contiguous",
        terms=500,
        scale=50.0,
    )
    _loss = _mine(_tokens, _targets)
    _nats = -_reference(_tokens).log_softmax(-1).gather(-1, _targets[..., None])
    check.close(
        torch.autograd.grad(_loss, _mine.tokens.weight)[0],
        torch.autograd.grad(_nats.mean(), _mine.tokens.weight)[0],
        "the gradient of the loss with respect to the token table, which is used twice",
        terms=2000,
        scale=50.0,
    )
    check.raises(ValueError, "GPT with 9 positions, of 10 tokens", _mine, torch.zeros(2, 10, dtype=torch.int64))
    check.raises(
        ValueError,
        "GPT with 9 positions, of 12 tokens and targets",
        _mine,
        torch.zeros(2, 12, dtype=torch.int64),
        torch.zeros(2, 12, dtype=torch.int64),
    )

    # Initial values. A sample of n normal numbers has a standard deviation within 1 ± 6 / √(2n), but for 2 in 10^9.
    _config = GPTConfig(vocab_size=211, positions=96, dim=48, layers=5, heads=4)
    _fresh = GPT(_config)
    for _name, _p in _fresh.named_parameters():
        _what = f"{_name} of an untrained GPT with 5 layers"
        if _p.ndim == 2:
            _residual = _name.endswith(("attn.proj.weight", "ff.down.weight"))
            _std = 0.02 / math.sqrt(10) if _residual else 0.02
            check.close(
                _p.detach().double().std().item(),
                _std,
                f"the standard deviation of {_what}",
                rtol=6 / math.sqrt(2 * _p.numel()),
                likely={
                    "scaled by 1 / √L; each block adds twice, so it is 1 / √(2L)": 0.02 / math.sqrt(5),
                    "scaled by 1 / (2L), without the root": 0.002,
                    "the residual projections start smaller": 0.02,
                    "this is not a residual projection": 0.02 / math.sqrt(10),
                },
            )
            check.close(
                _p.detach().double().mean().item(), 0.0, f"the mean of {_what}", atol=6 * _std / _p.numel() ** 0.5
            )
            check.that(
                _p.abs().max() > 2.5 * _std,  # 1.7 for a uniform distribution; chance of less: below 1e-9
                f"{_what}\n  got       no entry beyond 2.5 standard deviations\n  expected  a normal distribution",
            )
        else:
            _norm = "norm" in _name and _name.endswith("weight")
            check.close(_p, torch.full_like(_p, float(_norm)), f"{_what}")
### END HIDDEN TESTS

# %% [markdown]
# The same comparison with the GPT-2 of the `transformers` library runs in this course's own test suite: a small GPT-2
# with random weights, copied into the reference solution, gives the same logits within $10^{-5}$. (One trap waits for
# whoever does it: GPT-2's checkpoints hold the weights of linear layers transposed.)
#
# Does the scaled initialisation do what it says? Follow the residual stream up the blocks of fresh models.


# %% explore
def stream_by_depth(layers: int, scaled: bool) -> list[float]:
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=200, positions=32, dim=64, layers=layers, heads=4))
    if not scaled:
        for block in model.blocks:
            nn.init.normal_(block.attn.proj.weight, std=0.02)
            nn.init.normal_(block.ff.down.weight, std=0.02)
    tokens = torch.randint(200, (8, 32))
    sizes, x = [], model.tokens(tokens) + model.positions.weight[:32]
    with torch.no_grad():
        for block in model.blocks:
            x = block(x, causal_mask(32, 32))
            sizes.append(x.std().item())
    return sizes


figure, axis = plt.subplots()
for layers, style in ((12, ":"), (24, "--"), (48, "-")):
    for scaled, color in ((True, plots.BLUE), (False, plots.RED)):
        label = f"{layers} layers, {'0.02 / √(2L)' if scaled else '0.02'}"
        sizes = stream_by_depth(layers, scaled)
        axis.plot(range(1, layers + 1), sizes, style, color=color, label=label)
        axis.plot(layers, sizes[-1], "o", color=color)
axis.set(
    ylim=(0, None),
    xlabel="after block",
    ylabel="standard deviation of the stream",
    title="The residual stream of untrained GPTs",
)
axis.legend(title="residual projections", fontsize=9)
plots.show(
    figure,
    alt="Size of the residual stream against block for 12, 24 and 48 layers. Unscaled, all rise along the same curve, "
    "so that deeper models end higher. With the scaled initialisation all three end at the same size.",
)

# %% [markdown]
# ## 9. What does it cost?
#
# Now the numbers of the beginning, from the architecture alone. No model is built: for GPT-3 it would take 700 GB.
#
# **Parameters.** With vocabulary $V$, positions $P$, width $d$ and $L$ layers:
#
# | part | weights | biases and norms |
# |---|---|---|
# | token table (also the output layer) | $V d$ | |
# | position table | $P d$ | |
# | attention, each layer | $3d^2 + d^2$ | $3d + d$ |
# | feed-forward, each layer | $4d^2 + 4d^2$ | $4d + d$ |
# | two norms, each layer | | $4d$ |
# | final norm | | $2d$ |
#
# The number of heads does not occur.
#
# **Build** `count_parameters`. The test knows a number that OpenAI published.


# %% exercise="count_parameters" minutes=5 difficulty=1
def count_parameters(config: GPTConfig) -> int:
    """The number of parameters of GPT(config), tied weights counted once, by a formula: no model is built.

    Biases and LayerNorms count. An exact integer (an int), for any size.
    """
    ### BEGIN SOLUTION
    d = config.dim
    per_layer = 12 * d**2 + 13 * d
    return (config.vocab_size + config.positions) * d + config.layers * per_layer + 2 * d
    ### END SOLUTION


# %% test="count_parameters" points=2
V, P, d, L = 50257, 1024, 768, 12
check.equal(
    count_parameters(GPTConfig()),
    124_439_808,
    "count_parameters(GPTConfig()), GPT-2's smallest",
    likely={
        "the token table is counted twice, but it is one Parameter": 124_439_808 + V * d,
        "biases and norms are missing": (V + P) * d + 12 * L * d**2,
        "the norms are missing": 124_439_808 - (4 * L + 2) * d,
        "the final norm is missing": 124_439_808 - 2 * d,
        "the position table is missing": 124_439_808 - P * d,
        "the output projection of the attention is missing": 124_439_808 - L * (d**2 + d),
        "an output layer with a bias": 124_439_808 + V,
    },
)
### BEGIN HIDDEN TESTS
_rng = check.rng(12)
with check.forbid("torch.nn.Module.__init__", because="count by a formula; GPT-3 does not fit in your memory"):
    for _name, _config, _known in (
        ("GPT-2 medium", GPTConfig(dim=1024, layers=24, heads=16), 354_823_168),
        ("GPT-2 large", GPTConfig(dim=1280, layers=36, heads=20), 774_030_080),
        ("GPT-2 XL", GPTConfig(dim=1600, layers=48, heads=25), 1_557_611_200),
    ):
        check.equal(count_parameters(_config), _known, f"count_parameters of {_name}")
    _gpt3 = count_parameters(GPTConfig(positions=2048, dim=12288, layers=96, heads=96))
    check.close(_gpt3, 174.6e9, "count_parameters of GPT-3, which its paper gives as 174,600 million", rtol=3e-4)
    check.equal(type(_gpt3), int, "the type of count_parameters(config)")
    _v, _p, _d = (int(_n) for _n in _rng.integers(10**9, 2 * 10**9, 3))
    check.equal(
        count_parameters(GPTConfig(vocab_size=_v, positions=_p, dim=_d, layers=7, heads=1)),
        (_v + _p) * _d + 7 * (12 * _d**2 + 13 * _d) + 2 * _d,
        f"count_parameters with V = {_v}, P = {_p}, d = {_d}, L = 7: above 2^63",
        hint="Python's integers are exact at any size; floats have 53 bits, NumPy's integers 64",
    )
for _ in range(3):
    _v, _p, _h, _l = (int(_n) for _n in _rng.integers(3, 12, 4))
    _d = 2 * _h
    _layers = [nn.TransformerEncoderLayer(_d, _h, 4 * _d) for _ in range(_l)]
    _parts = [nn.Embedding(_v, _d), nn.Embedding(_p, _d), nn.LayerNorm(_d), *_layers]
    check.equal(
        count_parameters(GPTConfig(vocab_size=_v, positions=_p, dim=_d, layers=_l, heads=_h)),
        sum(_t.numel() for _part in _parts for _t in _part.parameters()),
        "count_parameters of a small GPT, against torch's own layers",
    )
### END HIDDEN TESTS

# %% [markdown]
# GPT-3's paper (arXiv 2005.14165) lists eight models with their width, number of heads and width of a head in Table
# 2.1, and their parameters to three or four digits in Table D.1. Your formula checks all eight. And it can do more:
# **two cells of Table 2.1 contradict the rest of their row. Which?**

# %% explore
table = [  # name, layers, width, heads, width of a head (Table 2.1), parameters in millions (Table D.1)
    ("Small", 12, 768, 12, 64, 125),
    ("Medium", 24, 1024, 16, 64, 356),
    ("Large", 24, 1536, 16, 96, 760),
    ("XL", 24, 2048, 24, 128, 1320),
    ("2.7B", 32, 2560, 32, 80, 2650),
    ("6.7B", 32, 4096, 32, 128, 6660),
    ("13B", 40, 5140, 40, 128, 12850),
    ("175B", 96, 12288, 96, 128, 174600),
]
print("model    layers  width  heads  head   published   your formula")
for name, layers, width, heads, head, published in table:
    yours = count_parameters(GPTConfig(positions=2048, dim=width, layers=layers, heads=heads)) / 1e6
    print(f"{name:8} {layers:6} {width:6} {heads:6} {head:5} {published:9} M {yours:12.1f} M")
    check.close(yours, published, f"parameters of GPT-3 {name}", rtol=0.01)  # one width is misprinted; see below

# %% [markdown]
# <details><summary>The two cells</summary>
#
# XL: 24 heads of width 128 would be 3072, not 2048. The parameter count fits 2048, so it is the number of heads (or
# their width) that is wrong. 13B: 40 heads of width 128 are 5120, not 5140, and 5120 gives 12,853 million parameters,
# as published, while 5140 gives 12,953 million. A width of 5140 would not even divide by 40 into whole 128s.
#
# </details>
#
# **FLOPs.** A weight that is multiplied costs a token 2 FLOPs forward (one multiplication, one addition). Backward
# costs twice as much: every product $Y = XW$ needs two more of the same size, one for the gradient of $X$, one for that
# of $W$. Makes 6 for each weight, the famous $6N$. Which weights count? Those that are *multiplied*. The token table
# is, as output layer. The position table only hands out a row. Biases and norms do $O(1)$ work for each parameter; by
# convention they stay in $N$, being a thousandth of it.
#
# Attention has arithmetic without weights. Each token's query meets $T$ keys, $2dT$ FLOPs over all heads, and its
# weights meet $T$ values, another $2dT$. Over $L$ layers and with backward: $3 \cdot 4 L d T = 12 L d T$. So, as in
# appendix B of PaLM (arXiv 2204.02311):
#
# $$\text{FLOPs a trained token} = 6 N + 12\, L\, d\, T, \qquad N = \text{all parameters} - P d$$
#
# By that convention the full square of scores counts, though a causal mask wastes half of it. A kernel that skips the
# masked half takes less time and is still credited with the whole square. So compare only numbers that were counted in
# one way.
#
# **A worked example.** GPT-2 at $T = 1024$: $N = 124{,}439{,}808 - 786{,}432 = 123{,}653{,}376$. $6N = 742$ million,
# the attention term is $12 \cdot 12 \cdot 768 \cdot 1024 = 113$ million. Together 855 million FLOPs for one token.
#
# **Build** `flops_per_token`. A hidden test counts what a model of PyTorch's own layers really multiplies.


# %% exercise="flops_per_token" minutes=5 difficulty=2
def flops_per_token(config: GPTConfig, context: int) -> int:
    """FLOPs that training spends on a token, forward and backward, as the text counts them (arXiv 2204.02311, app. B).

    Args:
        config: the model. N is all of its parameters but the position table, which is not multiplied by anything.
        context: T, the number of tokens in a sequence. The whole T x T square of scores counts, masked or not.

    Returns:
        An exact integer (an int), for any size; no model is built.
    """
    ### BEGIN SOLUTION
    multiplied = count_parameters(config) - config.positions * config.dim
    return 6 * multiplied + 12 * config.layers * config.dim * context
    ### END SOLUTION


# %% test="flops_per_token" points=3
six_n, scores_and_mix = 6 * 123_653_376, 12 * 12 * 768 * 1024
check.equal(
    flops_per_token(GPTConfig(), 1024),
    six_n + scores_and_mix,
    "flops_per_token(GPTConfig(), 1024)",
    likely={
        "the attention term is missing": six_n,
        "the attention term counts for every layer": six_n + scores_and_mix // 12,
        "this is the forward pass alone": (six_n + scores_and_mix) // 3,
        "the attention term of the forward pass alone": six_n + scores_and_mix // 3,
        "the position table is not multiplied": six_n + scores_and_mix + 6 * 1024 * 768,
        "the token table is multiplied, as output layer": six_n + scores_and_mix - 6 * 50257 * 768,
        "scores and mix count both, and the whole square of them, masked or not": six_n + scores_and_mix // 2,
        "this is a whole sequence, not a token": 1024 * (six_n + scores_and_mix),
    },
)
### BEGIN HIDDEN TESTS
_rng = check.rng(13)


def _count(config):
    d = config.dim
    return (config.vocab_size + config.positions) * d + config.layers * (12 * d * d + 13 * d) + 2 * d


class _Products(TorchDispatchMode):
    """Counts the FLOPs of all matrix products, forward and backward."""

    flops = 0

    @classmethod
    def _should_skip_dynamo(cls):
        return False  # otherwise PyTorch's mode loads the compiler first, which takes seconds

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket in (aten.mm, aten.addmm, aten.bmm, aten.baddbmm):
            left, right = args[-2:]
            self.flops += 2 * left.numel() * right.shape[-1]
        return func(*args, **(kwargs or {}))


def _flops_by_torch(config, context):
    """What a model of torch's own layers really multiplies in a training step, for each token."""
    layers = [
        nn.TransformerEncoderLayer(config.dim, config.heads, 4 * config.dim, dropout=0.0, batch_first=True)
        for _ in range(config.layers)
    ]
    tokens, head = nn.Embedding(config.vocab_size, config.dim), nn.Linear(config.dim, config.vocab_size, bias=False)
    with sdpa_kernel(SDPBackend.MATH), _Products() as counter:
        x = tokens(torch.zeros(2, context, dtype=torch.int64))
        for layer in layers:
            x = layer(x)
        head(x).sum().backward()
    return counter.flops // (2 * context)


with check.using(count_parameters=_count):
    for _context in (5, 12):
        _v, _p, _l = (int(_n) for _n in _rng.integers(12, 30, 3) // (1, 1, 6))
        _config = GPTConfig(vocab_size=_v, positions=_p, dim=24, layers=_l, heads=3)
        check.equal(
            flops_per_token(_config, _context),
            # Counted are products alone; 6N holds 6 for each bias and LayerNorm parameter too.
            _flops_by_torch(_config, _context) + 6 * (_l * 13 * 24 + 2 * 24),
            f"flops_per_token of {_config} with context {_context}, against the products of torch's own layers",
        )
    with check.forbid("torch.nn.Module.__init__", because="count by a formula; no model is built"):
        _gpt3 = GPTConfig(positions=2048, dim=12288, layers=96, heads=96)
        check.close(
            (flops_per_token(_gpt3, 2048) - 12 * 96 * 12288 * 2048) * 300e9,
            3.14e23,
            "FLOPs of GPT-3 on 300 billion tokens without the attention term: the paper's Table D.1 has 3.14e23",
            rtol=2e-3,  # three digits are printed
        )
        check.equal(
            flops_per_token(_gpt3, 4096) - flops_per_token(_gpt3, 2048),
            12 * 96 * 12288 * 2048,
            "what 2048 tokens more of context add to a token of GPT-3",
        )
        check.equal(type(flops_per_token(_gpt3, 2048)), int, "the type of flops_per_token(config, context)")
        _v, _p, _d, _t = (int(_n) for _n in _rng.integers(10**9, 2 * 10**9, 4))
        check.equal(
            flops_per_token(GPTConfig(vocab_size=_v, positions=_p, dim=_d, layers=7, heads=1), _t),
            6 * (_v * _d + 7 * (12 * _d**2 + 13 * _d) + 2 * _d) + 12 * 7 * _d * _t,
            f"flops_per_token with V = {_v}, P = {_p}, d = {_d}, L = 7, T = {_t}: above 2^63",
            hint="Python's integers are exact at any size; floats have 53 bits, NumPy's integers 64",
        )
### END HIDDEN TESTS

# %% [markdown]
# ### Your first MFU
#
# **Model FLOPs utilisation** is the share of a machine's arithmetic that goes into the model:
#
# $$\mathrm{MFU} = \frac{\text{tokens per second} \times \text{FLOPs per token}}
# {\text{FLOPs per second that the machine can do}}$$
#
# The numerator counts what the *model* needs, whatever the code does: recomputing or wasting work lowers the MFU. For
# the denominator one takes the data sheet of the GPU. A laptop's is hard to find, so measure it: the rate of one large
# matrix product, the friendliest work there is. (On a CPU both the product and the model use one thread here.)
#
# First, the yardstick. PaLM with 540.35 billion parameters trained on 6144 TPUs of 275 TFLOP/s each, at 238,300 tokens
# a second, and its paper reports an MFU of 46.2 %. Then yours, for models of growing width (about 10 s).

# %% explore
from torch.utils.flop_counter import FlopCounterMode

palm = 238.3e3 * (6 * 540.35e9 + 12 * 118 * (48 * 256) * 2048) / (6144 * 275e12)  # 118 layers, 48 heads of width 256
check.close(100 * palm, 46.2, "the MFU of PaLM in per cent", atol=0.05)
print(f"PaLM 540B: {100 * palm:.1f} %")

device = "cuda" if torch.cuda.is_available() else "cpu"


def seconds(run: Callable[[], object], repeats: int) -> float:
    """The fastest of some runs: others were slowed down by the machine."""
    best = math.inf
    for _ in range(repeats):
        if device == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        run()
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return best


def train_step(model: GPT, optimizer: torch.optim.Optimizer, tokens: Tensor) -> None:
    optimizer.zero_grad()
    model(tokens[:, :-1], tokens[:, 1:]).backward()
    optimizer.step()


size = 8192 if device == "cuda" else 1024
square = torch.randn(size, size, device=device)
peak = 2 * size**3 / seconds(lambda: square @ square, 8)
batch, context = 8, 128
utilisation, lines, widths = {}, [], (64, 128, 256, 384)
for width in track(widths, "training steps", transient=True):
    config = GPTConfig(vocab_size=256, positions=context, dim=width, layers=4, heads=width // 32)
    model = GPT(config).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    tokens = torch.randint(256, (batch, context + 1), device=device)
    with FlopCounterMode(display=False) as counter:
        train_step(model, optimizer, tokens)
    counted = counter.get_total_flops() / (batch * context)
    rate = batch * context / seconds(lambda m=model, o=optimizer, t=tokens: train_step(m, o, t), 4)
    utilisation[width] = rate * flops_per_token(config, context) / peak
    ratio = counted / flops_per_token(config, context)
    lines.append(
        f"width {width:4}: {count_parameters(config) / 1e6:5.2f} M parameters, "
        f"counted / formula {ratio:.4f}, {rate:9,.0f} tokens/s, MFU {100 * utilisation[width]:.0f} %"
    )
print(*lines, sep="\n")
print(f"a {size} x {size} matrix product on this machine: {peak / 1e9:,.0f} GFLOP/s in {square.dtype}")

figure, axis = plt.subplots()
bars = axis.bar([str(w) for w in widths], [100 * u for u in utilisation.values()], color=plots.BLUE, width=0.6)
axis.bar_label(bars, fmt="%.0f %%", padding=2)
axis.set(
    ylim=(0, 100),
    xlabel="width of the model d",
    ylabel="MFU (% of one large product)",
    title="Your GPT, 4 layers, training",
)
axis.grid(axis="x", visible=False)
axis.set_axisbelow(True)
plots.show(figure, alt="MFU of the reader's GPT on this machine for four widths: lowest for the narrowest model.")

# %% [markdown]
# Two things to take from it. Your formula and PyTorch's counter differ by the biases and norms alone, a share that
# shrinks as the model widens. And the MFU of a narrow model is low: the products are small, and between them stand
# softmax, norms, GELU and the residual additions, which read and write memory and do next to no arithmetic. Width
# makes the products grow as $d^2$ and the rest as $d$. That gap, between arithmetic and moving bytes, is what fused
# kernels close. Week 7 measures it.
#
# ## In production
#
# - **FlashAttention** (arXiv 2205.14135). Your `attention` writes the $n \times n$ scores to memory, reads them for the
#   softmax, writes the weights, reads them again, and keeps them for backward. FlashAttention goes through the keys in
#   blocks that fit in fast on-chip memory, keeps a running maximum and a running sum for each query, and never writes
#   the square. It saves one number a row for backward (the logarithm of the sum) and computes the weights again. More
#   arithmetic, far less traffic, so it is faster. `F.scaled_dot_product_attention` chooses such a kernel for you. You
#   write one in week 7.
# - **Llama's changes** to this model are week 4: RMSNorm for LayerNorm, SwiGLU for GELU, RoPE for learned positions, no
#   biases, and fewer keys and values than queries (when a server generates, the KV cache is what fills its memory).
# - **Vocabularies are padded.** 50257 is an odd number. nanoGPT and Megatron-LM fill the table up to a multiple of 64
#   or 128, so that the product that makes the logits fits the tiles of the hardware.
# - **The loss is fused too.** Logits of shape (batch, n, 50257) in float32 can be larger than the whole rest of the
#   activations. Liger Kernel and Apple's Cut Cross-Entropy compute the loss block by block without storing them.
#
# What does your attention keep that a fused one does not? Ask the saved tensors.


# %% explore
def saved_megabytes(run: Callable[[Tensor, Tensor, Tensor], Tensor], n: int) -> float:
    q, k, v = (torch.randn(1, 4, n, 32, requires_grad=True) for _ in range(3))
    held = {t.untyped_storage().data_ptr() for t in (q, k, v)}
    kept = {}

    def pack(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in held:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        result = run(q, k, v)  # noqa: F841 - it holds the graph, and so what is counted
    return sum(storage.nbytes() for storage in kept.values()) / 1e6


def fused(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def yours(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return attention(q, k, v, causal_mask(q.shape[-2], k.shape[-2]))


lengths = [64, 128, 256, 512, 1024]
figure, axis = plt.subplots()
for run, label, color in ((yours, "yours", plots.BLUE), (fused, "PyTorch, fused", plots.ORANGE)):
    axis.loglog(lengths, [saved_megabytes(run, n) for n in lengths], "o-", color=color, label=label)
axis.set_xticks(lengths, [str(n) for n in lengths])
axis.minorticks_off()
axis.set(
    xlabel="tokens n", ylabel="MB saved for backward", title="Attention with 4 heads of width 32, beside q, k and v"
)
axis.legend()
plots.show(
    figure,
    alt="Megabytes saved for backward against sequence length on log axes: the reader's attention grows as n squared, "
    "the fused one as n.",
)

# %% [markdown] question="long_context" points=4
# ## Open question: a longer context
#
# Your team has GPT-3's architecture ($L = 96$, $d = 12288$, 96 heads) trained at a context of $T = 2048$, and is asked
# for $T = 131{,}072$. Give numbers and say what you count.
#
# 1. At which $T$ does the attention term equal $6N$? Give it as a formula in $d$ (leave the tables out), and as a
#    number. What does a token cost at 131,072, compared with 2048?
# 2. A colleague stores the scores of one layer (all 96 heads) in bf16, for one sequence of 131,072 tokens. How many
#    bytes? And what does FlashAttention keep instead?
# 3. Another colleague counts only the unmasked half of the attention term and reports a new MFU. By this count, is it
#    higher or lower than before, for the same run? Who is right?
# 4. The model has learned positions. What happens at position 2048, and what would you do: with the learned table, and
#    with the sinusoidal one? Would the second just work?
#
# ### BEGIN MARK SCHEME
# One point each.
#
# 1. 12 L d T = 6 * 12 L d^2 gives T = 6d = 73,728. (With the tables in N, T = N / (2 L d), about 73,900: the same.) At
#    2048 the attention term is T / 6d = 2.8 % of 6N, at 131,072 it is 178 %: 2.78 / 1.028, about 2.7 times as much.
# 2. 96 heads * 131072^2 * 2 bytes = 3.3 TB (3.3e12), once for the scores and again for the weights if both are kept.
#    FlashAttention keeps the output (which the next layer needs anyway) and one float32 a row and head, the log of the
#    sum: 96 * 131072 * 4 bytes = 50 MB, and recomputes the rest in backward.
# 3. Lower: the same tokens per second times fewer FLOPs. Both conventions are defensible: half is what a kernel that
#    skips masked blocks really has to do; the whole is PaLM's convention, under which such a kernel gains credit.
#    What counts is to say which, and to compare only numbers of one convention. At T = 2048 the two differ by 1.4 %, at
#    131,072 by a factor 2.78 / 1.89 = 1.5.
# 4. There is no row: an index error, or your ValueError. A larger table's new rows are untrained, so train on at that
#    length (new rows random, or the old ones stretched by interpolation and tuned). The sinusoidal table has a value at
#    every position, but the model never saw those combinations of angles, nor attention over so many keys; in practice
#    quality falls off soon beyond the trained length. Full marks need: "defined" is not "learned".
# ### END MARK SCHEME

# %% [markdown]
# ## References
#
# - A. Vaswani and others, [Attention Is All You Need](https://arxiv.org/abs/1706.03762), 2017.
# - A. Radford and others, [Language Models are Unsupervised Multitask
#   Learners](https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf),
#   2019: GPT-2.
# - T. Brown and others, [Language Models are Few-Shot Learners](https://arxiv.org/abs/2005.14165), 2020: GPT-3, Tables
#   2.1 and D.1.
# - R. Xiong and others, [On Layer Normalization in the Transformer Architecture](https://arxiv.org/abs/2002.04745),
#   2020, and L. Liu and others, [Understanding the Difficulty of Training
#   Transformers](https://arxiv.org/abs/2004.08249), 2020: pre-norm and post-norm.
# - J. L. Ba, J. R. Kiros, G. E. Hinton, [Layer Normalization](https://arxiv.org/abs/1607.06450), 2016.
# - D. Hendrycks, K. Gimpel, [Gaussian Error Linear Units](https://arxiv.org/abs/1606.08415), 2016.
# - O. Press, L. Wolf, [Using the Output Embedding to Improve Language Models](https://arxiv.org/abs/1608.05859), 2016:
#   weight tying.
# - A. Chowdhery and others, [PaLM](https://arxiv.org/abs/2204.02311), 2022: MFU, appendix B.
# - T. Dao, D. Y. Fu, S. Ermon, A. Rudra, C. Ré, [FlashAttention](https://arxiv.org/abs/2205.14135), 2022.
# - A. Rush and others, [The Annotated Transformer](https://nlp.seas.harvard.edu/annotated-transformer/): the paper's
#   text beside its code. A. Karpathy, [nanoGPT](https://github.com/karpathy/nanoGPT): a GPT on one page.
