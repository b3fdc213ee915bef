# %% [markdown]
# # 4.2 Rotary positions, and the whole Llama
#
# **How does a model that only multiplies and adds know which word came first?**
#
# Attention does not. A query meets every key and takes an average, and an average has no order: shuffle the keys
# together with their values, and the result is the same, but for rounding. Week 3 added a vector to each embedding. The
# Llamas do something else: they *turn* the queries and keys, by an angle that grows with the position. This is
# **rotary position embedding**, RoPE for short. It has no parameters, it costs next to nothing, and since LLaMA
# (2023) most open language models use it.
#
# It also fails in silence. There are two ways to pair the features that are turned together, and both are in use.
# Load weights that were trained with one into code that has the other, and no shape is wrong, no error is raised, the
# logits at the first position even come out right. Farther on, the model loses the thread.
#
# | part | you build | so that you can |
# |---|---|---|
# | 1 | frequencies, and the rotation in two pairings | give a token its place, and load anybody's weights |
# | 2 | three ways to stretch the frequencies | read texts longer than those of the training |
# | 3 | a cache, attention against it | decode without computing anything twice |
# | 4 | `Llama`, `generate` | have the whole model in your own code |
# | 5 | a loader for real weights | ask your own code a question |
#
# The parts that are not about positions are given: the norms, the gated MLP, the block. They are those of the other
# lesson of this week, on PyTorch's operators; you do not need to have solved it.
#
# You need: attention with heads and a causal mask (week 3), complex numbers ($e^{i\varphi} = \cos\varphi +
# i\sin\varphi$). Ten exercises of about 180 minutes together, and one question: 48 points. Beside the tests that you
# see there are hidden ones, which check the whole docstring: read each to its end. `llmsys.llama` is the course's own
# finished Llama: read it afterwards. Here the tests notice when an answer calls it.

# %%
import math
import time
import zlib
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from llmsys import check, corpus, plots, smollm2, train

plots.style()
torch.set_num_threads(1)  # matrices this small gain nothing from more, and timings are steadier


def by_hand():
    """For the tests: nothing of the course's own Llama may run in the block."""
    names = ("Config.__post_init__", "KVCache.__init__", "Attention.forward", "Llama.forward", "rotate", "generate")
    return check.forbid(*(f"llmsys.llama.{name}" for name in names), because="this lesson is where you write it")


# %% [markdown]
# ## Part 1. Turning
#
# ### 1.1 What a position should do
#
# Let $q$ be the query of a token at position $m$, and $k$ the key of one at position $n$. The score is their dot
# product. We look for a way to put the positions into the two vectors such that
#
# - the score depends on $m - n$ only: "three words back" means the same at the start of a book and at its end,
# - and each vector is changed on its own, knowing only its own position. Otherwise keys could not be kept for later.
#
# In two dimensions there is an obvious way. Write the vector as one complex number. Turn it by an angle that is
# proportional to its position:
#
# $$\tilde q = q\, e^{i m \omega}, \qquad \tilde k = k\, e^{i n \omega}$$
#
# The dot product of two vectors in the plane is the real part of one times the other's conjugate (written $k^*$):
#
# $$\tilde q \cdot \tilde k = \mathrm{Re}\big[ q e^{im\omega} (k e^{in\omega})^* \big]
# = \mathrm{Re}\big[ q k^* e^{i (m - n) \omega} \big]$$
#
# Only $m - n$ is left. Both wishes are met, exactly, with one multiplication. Here $\omega$ is the **frequency**: how
# many radians the vector turns from one position to the next.
#
# A head has more than two dimensions. Take its $d$ features as $d/2$ pairs, and turn pair $i$ with a frequency
# $\omega_i$ of its own:
#
# $$\omega_i = \theta^{-2i/d}, \qquad i = 0, 1, \dots, d/2 - 1$$
#
# with the **base** $\theta = 10000$ in RoFormer (arXiv 2104.09864, section 3.2.2) and Llama 1 and 2, and 500000 in
# Llama 3. The paper counts $i$ from 1 and writes $2(i - 1)$; it is the same set of numbers. Positions, too, count
# from 0 here: the first token is not turned at all.
#
# **A worked example.** $d = 8$, $\theta = 10000$: the frequencies are $1,\ 0.1,\ 0.01,\ 0.001$. The first pair takes
# $2\pi \approx 6.3$ positions for a full turn, the last one takes 6283.
#
# **Build** `rope_frequencies`.
#
# <details><summary>Hint 1</summary>
#
# `torch.arange(0, head_dim, 2)` is $2i$.
#
# </details>


# %% exercise="rope_frequencies" minutes=8 difficulty=1
def rope_frequencies(head_dim: int, theta: float = 10000.0) -> Float[Tensor, "half"]:
    """Radians per position of each pair of features: theta ** (-2 i / head_dim), from i = 0 on.

    Args:
        head_dim: features of one head, an even number of at least 2.
        theta: the base, above 1.

    Returns:
        (head_dim / 2,) in fp32, whatever torch's default dtype is; the fastest first.

    Raises:
        ValueError: head_dim is odd or below 2.

    Source: RoFormer, arXiv 2104.09864, section 3.2.2.
    """
    ### BEGIN SOLUTION
    if head_dim < 2 or head_dim % 2:
        raise ValueError(f"{head_dim} features do not make pairs")
    return theta ** -(torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)
    ### END SOLUTION


# %% test="rope_frequencies" points=2
with by_hand():
    check.close(
        rope_frequencies(8, 10000.0),
        [1.0, 0.1, 0.01, 0.001],
        "rope_frequencies(head_dim=8, theta=10000)",
        rtol=4e-6,
        likely={
            "i counts from 0, so that the first frequency is 1": [0.1, 0.01, 0.001, 0.0001],
            "the exponent is 2i / head_dim, not i / head_dim": [1.0, 10**-0.5, 0.1, 10**-1.5],
            "the exponent is negative": [1.0, 10.0, 100.0, 1000.0],
            "these are positions per turn; wanted are radians per position": [6.2832, 62.832, 628.32, 6283.2],
            "the last exponent is 2 (d/2 - 1) / d, so theta itself is not reached": [1.0, 0.0464159, 0.00215443, 1e-4],
        },
        hint="four pairs, four frequencies",
    )
    check.raises(ValueError, "rope_frequencies(7)", rope_frequencies, 7)
### BEGIN HIDDEN TESTS
_rng = check.rng(1)
# fp32 holds the exponent to one eps, and exp(x ln θ) makes ln θ < 14 of it; so does the power itself.
with by_hand():
    for _d in (2, 6, 64, 128, 2 * int(_rng.integers(5, 40))):
        for _theta in (10000.0, 500000.0, float(_rng.uniform(50, 5000))):
            _want = np.array([math.exp(-2 * i / _d * math.log(_theta)) for i in range(_d // 2)])
            check.close(
                rope_frequencies(_d, _theta),
                _want,
                f"rope_frequencies({_d}, theta={_theta:.6g})",
                rtol=4e-6,
                dtype=torch.float32,
                hint="each theta, each head_dim; computed in fp32",
            )
    check.close(rope_frequencies(4), [1.0, 0.01], "rope_frequencies(4): theta is 10000 when left out", rtol=4e-6)
    for _d in (0, 1, 65):
        check.raises(ValueError, f"rope_frequencies({_d})", rope_frequencies, _d)
    _default = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.bfloat16)
        _got = rope_frequencies(6, 300.0)
    finally:
        torch.set_default_dtype(_default)
    check.close(
        _got,
        [1.0, 300 ** (-1 / 3), 300 ** (-2 / 3)],
        "rope_frequencies(6, theta=300) while torch's default dtype is bf16",
        rtol=4e-6,
        dtype=torch.float32,
        hint="models are often built under a default dtype of 16 bits; say which dtype arange and tensor are to make",
    )
### END HIDDEN TESTS

# %% [markdown]
# ### 1.2 A position is a time, told by many clocks
#
# Look at the pairs as the hands of clocks. The first is a second hand: it turns fast, and tells neighbours apart. But
# it comes round again, so it can't tell position 1 from position 7.3, so to say. The last is an hour hand: it
# creeps, tells neighbours hardly apart, and knows the beginning of the text from its end. No hand tells the time. All
# of them together do, like the digits of a number.
#
# Which is what they are. In a decimal number the last digit changes at every step and comes round after 10, the next
# after 100. Here the periods are $2\pi\theta^{2i/d}$.

# %% explore
hands = rope_frequencies(12, 10000.0)
shown = [0, 1, 2, 3, 30, 300, 3000]
figure, axes = plt.subplots(len(shown), len(hands), figsize=(7.2, 8.2))
turn = np.linspace(0, 2 * np.pi, 100)
for row, position in zip(axes, shown, strict=True):
    for i, (axis, hand) in enumerate(zip(row, hands, strict=True)):
        # As on a clock face: 0 points up, and the hand goes to the right.
        angle = float(position * hand)
        swept = np.linspace(0, min(angle, 2 * np.pi), 60)
        axis.fill(np.r_[0, np.sin(swept)], np.r_[0, np.cos(swept)], color=plots.SKY, alpha=0.35, lw=0)
        axis.plot(np.sin(turn), np.cos(turn), color=plots.GREY, lw=1)
        axis.plot([0, np.sin(angle)], [0, np.cos(angle)], color=plots.BLUE, lw=2.6, solid_capstyle="round")
        axis.set(xlim=(-1.15, 1.15), ylim=(-1.15, 1.15), xticks=[], yticks=[], aspect="equal")
        axis.grid(False)
        axis.spines[:].set_visible(False)
        if position == 0:
            axis.set_title(f"pair {i}\nperiod {2 * math.pi / float(hand):,.0f}", fontsize=9, loc="center")
    row[0].set_ylabel(f"{position}", rotation=0, ha="right", va="center", labelpad=8, fontsize=11)
figure.supylabel("position", fontsize=11)
figure.suptitle("The time by six clocks (head_dim 12, θ = 10000); filled: what the hand has swept", fontsize=11)
plots.show(
    figure,
    alt="A grid of clock faces, one row for each position from 0 to 3000, one column for each of six pairs. In the "
    "first column the hand turns by a radian per position; each next column turns almost five times slower; in the "
    "last column the hand moves visibly only at position 300 and 3000.",
)

# %% [markdown]
# ### 1.3 Neighbours as pairs
#
# Which features form a pair? RoFormer and Meta's Llama take neighbours: $(x_0, x_1), (x_2, x_3), \dots$ Call this the
# **interleaved** pairing. Then a head is read as $d/2$ complex numbers, and the rotation is one multiplication each:
#
# $$(x_{2i} + i\,x_{2i+1}) \cdot e^{i\,m\,\omega_i}$$
#
# or, in real numbers,
#
# $$\begin{pmatrix} y_{2i} \\ y_{2i+1} \end{pmatrix} =
# \begin{pmatrix} \cos m\omega_i & -\sin m\omega_i \\ \sin m\omega_i & \cos m\omega_i \end{pmatrix}
# \begin{pmatrix} x_{2i} \\ x_{2i+1} \end{pmatrix}$$
#
# **A worked example.** One head of four features, $\omega = (1, 0.01)$, at position 2: the first pair turns by 2
# radians, the second by 0.02. $(1, 0, 0, 1)$ becomes $(\cos 2, \sin 2, -\sin 0.02, \cos 0.02)$, which is
# $(-0.416, 0.909, -0.020, 1.000)$.
#
# **Mind the dtype.** Models run in bf16, which has 8 significant bits. It counts 256, 258, 260: there is no 257. An
# angle that is computed in bf16 is off by radians in the middle of a text. So angles, sines and cosines are computed
# in fp32 whatever the model's dtype. (This has bitten many: transformers computes its tables inside a block that
# switches autocast off, to force fp32.) In this lesson the products are in fp32, too, and only the result is rounded.
# transformers and `llmsys.llama` round the finished cosines and sines to the model's dtype and multiply in that: two
# or three roundings more, each of half a unit in the last place, and the error does not grow with the position.
#
# **Build** `rotate_complex`. With complex numbers or without, as you like.
#
# <details><summary>Hint 1</summary>
#
# `torch.view_as_complex` reads a last axis of length 2 as one complex number; `x.unflatten(-1, (-1, 2))` makes that
# axis. It wants fp32 and contiguous memory.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `torch.polar(absolute, angle)` is $e^{i\varphi}$ where `absolute` is 1. The angles have the shape (length, half); the
# leading axes of `x` take care of themselves.
#
# </details>


# %% exercise="rotate_complex" minutes=15 difficulty=3
def rotate_complex(
    x: Float[Tensor, "... length head_dim"], positions: Int[Tensor, "length"], frequencies: Float[Tensor, "half"]
) -> Float[Tensor, "... length head_dim"]:
    """Turn each pair of neighbours (2i, 2i + 1) of a token at position p by the angle p * frequencies[i].

    Args:
        x: queries or keys in fp32, bf16 or fp16, any leading axes (none, too), not necessarily contiguous; head_dim is
            even. Not changed. Gradients flow through to it.
        positions: of the tokens, int64, in any order: decoding starts where the cache ends. There may be none.
        frequencies: (head_dim / 2,) fp32, radians per position.

    Returns:
        The turned x in its own shape and dtype; computed in fp32 and rounded once, at the end.
    """
    ### BEGIN SOLUTION
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)).contiguous())  # (..., length, half)
    angles = torch.outer(positions.float(), frequencies)  # (length, half)
    turned = pairs * torch.polar(torch.ones_like(angles), angles)
    return torch.view_as_real(turned).flatten(-2).to(x.dtype)  # (..., length, head_dim)
    ### END SOLUTION


# %% test="rotate_complex" points=5
c, s, c2, s2 = math.cos(2), math.sin(2), math.cos(0.02), math.sin(0.02)
with by_hand():
    check.close(
        rotate_complex(torch.tensor([[1.0, 0.0, 0.0, 1.0]]), torch.tensor([2]), torch.tensor([1.0, 0.01])),
        [[c, s, -s2, c2]],
        "rotate_complex([[1, 0, 0, 1]], positions=[2], frequencies=[1, 0.01])",
        atol=1e-6,
        likely={
            "turned the other way: the minus stands before the sine that makes y[2i]": [[c, -s, s2, c2]],
            "not turned: the position is the one passed, not the row": [[1.0, 0.0, 0.0, 1.0]],
            "the pairs are (2i, 2i + 1), and stay where they were": [[c, -s2, s, c2]],
            "positions count from 0": [[math.cos(3), math.sin(3), -math.sin(0.03), math.cos(0.03)]],
        },
    )
    q, k = torch.tensor([[0.3, -1.2, 0.7, 0.4]]), torch.tensor([[1.1, 0.2, -0.5, 0.9]])
    w = torch.tensor([1.0, 0.01])
    scores = [
        (rotate_complex(q, torch.tensor([m]), w) * rotate_complex(k, torch.tensor([n]), w)).sum().item()
        for m, n in ((3, 0), (10, 7), (500, 497))
    ]
    by_distance = ((0.3 - 1.2j) * (1.1 - 0.2j) * np.exp(3j) + (0.7 + 0.4j) * (-0.5 - 0.9j) * np.exp(0.03j)).real
    check.close(
        scores,
        [by_distance] * 3,
        "scores of a query and a key at positions (3, 0), (10, 7), (500, 497)",
        atol=3e-4,  # 500 * eps of fp32 times the size of the vectors
        hint="the score must depend on the distance alone, which is 3 in all",
    )
    check.close(
        rotate_complex(torch.tensor([[1.0, 0.0, 1.0, 0.0]]).bfloat16(), torch.tensor([257]), torch.tensor([1.0, 0.01])),
        [[math.cos(257), math.sin(257), math.cos(2.57), math.sin(2.57)]],
        "rotate_complex([[1, 0, 1, 0]] in bf16, positions=[257], frequencies=[1, 0.01])",
        rtol=2.0**-8,  # half a unit in the last place of bf16, rounded up
        atol=1e-4,  # the angle: 257 * eps of fp32
        dtype=torch.bfloat16,
        likely={
            "the angle was computed in bf16, which has no 257: this is position 256": [
                [math.cos(256), math.sin(256), math.cos(2.56), math.sin(2.56)]
            ]
        },
    )
### BEGIN HIDDEN TESTS
_rng = check.rng(2)


def _oracle(x, positions, frequencies):
    """A 2 x 2 matrix for each position and pair, in float64."""
    x, out = x.detach().double().numpy(), np.empty(tuple(x.shape))
    for row, p in enumerate(positions.tolist()):
        for i, w in enumerate(frequencies.double().tolist()):
            matrix = np.array([[math.cos(p * w), -math.sin(p * w)], [math.sin(p * w), math.cos(p * w)]])
            out[..., row, 2 * i : 2 * i + 2] = x[..., row, 2 * i : 2 * i + 2] @ matrix.T
    return torch.from_numpy(out)


def _draw(*shape):
    return torch.from_numpy(_rng.standard_normal(shape)).float()


with by_hand():
    # The angle p w is rounded to eps of itself, so an entry is off by eps * p * |pair|, and |pair| stays below 6.
    for _shape, _positions in (
        ((2, 3, 5, 8), [0, 1, 2, 3, 4]),
        ((7, 6), [40, 3, 3, 900, 0, 17, 2]),
        ((2, 1, 3, 4, 10), [1000, 1001, 1002, 1003]),
        ((3, 1, 2), [int(_rng.integers(50, 90))]),
    ):
        _x, _p = _draw(*_shape), torch.tensor(_positions)
        _w = torch.from_numpy(_rng.uniform(0.001, 1.0, _shape[-1] // 2)).float()
        with check.unchanged("rotate_complex(x, ...)", _x, _p, _w):
            _y = rotate_complex(_x, _p, _w)
        check.close(
            _y,
            _oracle(_x, _p, _w),
            f"rotate_complex(x {_shape}, positions {_positions}, drawn frequencies)",
            atol=1e-5 + 8e-7 * max(_positions),
            dtype=torch.float32,
        )
    _x = _draw(2, 5, 3, 8)
    _p, _w = torch.arange(4, 9), torch.tensor([1.0, 0.3, 0.1, 0.03])
    check.close(
        rotate_complex(_x.transpose(1, 2), _p, _w),
        _oracle(_x.transpose(1, 2), _p, _w),
        "rotate_complex(x.transpose(1, 2), ...): not contiguous",
        atol=2e-5,
    )
    _wide = _draw(5, 16)
    check.close(
        rotate_complex(_wide[:, ::2], _p, _w),
        _oracle(_wide[:, ::2], _p, _w),
        "rotate_complex(x[:, ::2], ...): features not next to each other in memory",
        atol=2e-5,
    )
    check.equal(tuple(rotate_complex(_draw(2, 3, 0, 8), torch.arange(0), _w).shape), (2, 3, 0, 8), "shape for no token")
    for _dtype, _half_ulp in ((torch.bfloat16, 2.0**-8), (torch.float16, 2.0**-11)):
        _x = _draw(3, 64, 8).to(_dtype)
        _p = torch.arange(1000, 1064)
        # Rounded once, an entry is off by half a unit in its own last place; the angle adds 1e3 * eps of fp32.
        check.close(
            rotate_complex(_x, _p, _w),
            _oracle(_x, _p, _w),
            f"rotate_complex(x in {_dtype}, positions 1000 to 1063)",
            rtol=_half_ulp * 1.01,
            atol=1e-3,
            dtype=_dtype,
            hint="compute angles and products in fp32, and round only the result",
        )
    _x, _g, _p = _draw(2, 4, 8).requires_grad_(), _draw(2, 4, 8), torch.arange(11, 15)
    (_grad,) = torch.autograd.grad((rotate_complex(_x, _p, _w) * _g).sum(), _x)
    check.close(_grad, _oracle(_g, -_p, _w), "gradient of rotate_complex: the gradient above, turned back", atol=2e-5)
### END HIDDEN TESTS

# %% [markdown]
# ### 1.4 Halves as pairs
#
# The code that most people run, transformers' and the many that follow it, pairs feature $i$ with feature $i + d/2$:
# the first half of a head holds the real parts, the second half the imaginary ones. Call this the **half** pairing.
# No strided reads, no complex numbers:
#
# $$y = x \odot [\cos, \cos] + \mathrm{rot}(x) \odot [\sin, \sin], \qquad \mathrm{rot}([a, b]) = [-b, a]$$
#
# where $a$ and $b$ are the halves of $x$, $[\cdot, \cdot]$ joins two halves, and $\odot$ multiplies entry by entry.
# The trick with `rot` gave the function its well-known name, `rotate_half`; ours is the whole rotation.
#
# **A worked example.** The same four features and frequencies, at position 2. Now $(x_0, x_2)$ turn by 2 radians and
# $(x_1, x_3)$ by 0.02: $(1, 0, 0, 1)$ becomes $(\cos 2, -\sin 0.02, \sin 2, \cos 0.02)$.
#
# **Build** `rotate_half`, with the same promises as before.
#
# <details><summary>Hint 1</summary>
#
# `a, b = x.float().chunk(2, dim=-1)`, and the result is two halves, joined.
#
# </details>


# %% exercise="rotate_half" minutes=12 difficulty=2
def rotate_half(
    x: Float[Tensor, "... length head_dim"], positions: Int[Tensor, "length"], frequencies: Float[Tensor, "half"]
) -> Float[Tensor, "... length head_dim"]:
    """Turn each pair (i, i + head_dim / 2) of a token at position p by the angle p * frequencies[i].

    Args and returns: as those of rotate_complex; only the pairing is another. Computed in fp32, rounded once, x is not
    changed, gradients flow.
    """
    ### BEGIN SOLUTION
    angles = torch.outer(positions.float(), frequencies)  # (length, half)
    cos, sin = angles.cos(), angles.sin()
    a, b = x.float().chunk(2, dim=-1)  # (..., length, half) each
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1).to(x.dtype)  # (..., length, head_dim)
    ### END SOLUTION


# %% test="rotate_half" points=3
c, s, c2, s2 = math.cos(2), math.sin(2), math.cos(0.02), math.sin(0.02)
with by_hand():
    check.close(
        rotate_half(torch.tensor([[1.0, 0.0, 0.0, 1.0]]), torch.tensor([2]), torch.tensor([1.0, 0.01])),
        [[c, -s2, s, c2]],
        "rotate_half([[1, 0, 0, 1]], positions=[2], frequencies=[1, 0.01])",
        atol=1e-6,
        likely={
            "turned the other way: rot([a, b]) is [-b, a]": [[c, s2, -s, c2]],
            "the pair is (i, i + d/2), not (2i, 2i + 1)": [[c, s, -s2, c2]],
            "the halves are right, but the angles repeat each (w0, w0, w1, w1) instead of (w0, w1, w0, w1)": [
                [c, -s, s2, c2]
            ],
            "the minus of rot([a, b]) = [-b, a] is missing": [[c, s2, s, c2]],
            "positions count from 0": [[math.cos(3), -math.sin(0.03), math.sin(3), math.cos(0.03)]],
        },
    )
    check.close(
        rotate_half(torch.tensor([[1.0, 1.0, 0.0, 0.0]]).bfloat16(), torch.tensor([257]), torch.tensor([1.0, 0.01])),
        [[math.cos(257), math.cos(2.57), math.sin(257), math.sin(2.57)]],
        "rotate_half([[1, 1, 0, 0]] in bf16, positions=[257], frequencies=[1, 0.01])",
        rtol=2.0**-8,  # half a unit in the last place of bf16, rounded up
        atol=1e-4,  # the angle: 257 * eps of fp32
        dtype=torch.bfloat16,
        likely={
            "the angle was computed in bf16, which has no 257: this is position 256": [
                [math.cos(256), math.cos(2.56), math.sin(256), math.sin(2.56)]
            ]
        },
    )
### BEGIN HIDDEN TESTS
_rng = check.rng(3)


def _oracle(x, positions, frequencies):
    """Complex numbers in float64: a + ib, times e^(i angle)."""
    x, half = x.detach().double().numpy(), x.shape[-1] // 2
    turned = (x[..., :half] + 1j * x[..., half:]) * np.exp(
        1j * np.outer(positions.double().numpy(), frequencies.double().numpy())
    )
    return torch.from_numpy(np.concatenate((turned.real, turned.imag), axis=-1))


def _draw(*shape):
    return torch.from_numpy(_rng.standard_normal(shape)).float()


with by_hand():
    for _shape, _positions in (
        ((2, 3, 5, 8), [0, 1, 2, 3, 4]),
        ((7, 6), [40, 3, 3, 900, 0, 17, 2]),
        ((2, 1, 3, 4, 10), [1000, 1001, 1002, 1003]),
        ((3, 1, 2), [int(_rng.integers(50, 90))]),
    ):
        _x, _p = _draw(*_shape), torch.tensor(_positions)
        _w = torch.from_numpy(_rng.uniform(0.001, 1.0, _shape[-1] // 2)).float()
        with check.unchanged("rotate_half(x, ...)", _x, _p, _w):
            _y = rotate_half(_x, _p, _w)
        check.close(
            _y,
            _oracle(_x, _p, _w),
            f"rotate_half(x {_shape}, positions {_positions}, drawn frequencies)",
            atol=1e-5 + 8e-7 * max(_positions),  # as for rotate_complex
            dtype=torch.float32,
        )
    _x = _draw(2, 5, 3, 8)
    _p, _w = torch.arange(4, 9), torch.tensor([1.0, 0.3, 0.1, 0.03])
    check.close(
        rotate_half(_x.transpose(1, 2), _p, _w),
        _oracle(_x.transpose(1, 2), _p, _w),
        "rotate_half(x.transpose(1, 2), ...): not contiguous",
        atol=2e-5,
    )
    check.equal(tuple(rotate_half(_draw(2, 3, 0, 8), torch.arange(0), _w).shape), (2, 3, 0, 8), "shape for no token")
    for _dtype, _half_ulp in ((torch.bfloat16, 2.0**-8), (torch.float16, 2.0**-11)):
        _x = _draw(3, 64, 8).to(_dtype)
        _p = torch.arange(1000, 1064)
        check.close(
            rotate_half(_x, _p, _w),
            _oracle(_x, _p, _w),
            f"rotate_half(x in {_dtype}, positions 1000 to 1063)",
            rtol=_half_ulp * 1.01,
            atol=1e-3,
            dtype=_dtype,
            hint="compute angles and products in fp32, and round only the result",
        )
    _x, _g, _p = _draw(2, 4, 8).requires_grad_(), _draw(2, 4, 8), torch.arange(11, 15)
    (_grad,) = torch.autograd.grad((rotate_half(_x, _p, _w) * _g).sum(), _x)
    check.close(_grad, _oracle(_g, -_p, _w), "gradient of rotate_half: the gradient above, turned back", atol=2e-5)
### END HIDDEN TESTS

# %% [markdown]
# ### 1.5 From one pairing to the other
#
# A model does not care which features it calls a pair, as long as training and inference agree. But weights travel.
# Meta's files are made for interleaved pairs, and so are the GGUF files that llama.cpp reads; transformers' are made
# for halves. Do you have to change the code?
#
# No. Change the weights. A feature of a query is a row of $W_q$: $q_j = W_q[j] \cdot x$. Reorder the rows, and the
# features come out in another order. So put the rows of each head such that what was feature $2i$ becomes feature $i$,
# and what was $2i + 1$ becomes $i + d/2$. Do so for $W_q$ and for $W_k$. Then every query and every key has the same
# numbers in another order, each pair is turned by the same angle, and a dot product does not care about the order.
# $W_v$ is not turned, and stays as it is.
#
# ```text
#   head of 6 features, interleaved:   a0 b0 a1 b1 a2 b2        pair i is (a_i, b_i)
#   the same, in halves:               a0 a1 a2 b0 b1 b2
# ```
#
# transformers' converter for Meta's checkpoints does this, and llama.cpp's converter does the opposite when it makes
# a GGUF file of transformers' weights. Get the direction wrong and nothing complains, because it is a reordering as
# good as any.
#
# A trap for testers: for a head of *four* features the reordering is $(0, 2, 1, 3)$, which is its own inverse. A test
# with `head_dim=4` can't tell the two directions apart.
#
# **Build** `interleaved_to_half`.
#
# <details><summary>Hint 1</summary>
#
# View the rows as (heads, half, 2): head, pair, which of the two. Which order of axes do you want?
#
# </details>


# %% exercise="interleaved_to_half" minutes=15 difficulty=3
def interleaved_to_half(weight: Float[Tensor, "rows ..."], heads: int) -> Float[Tensor, "rows ..."]:
    """Reorder the rows of W_q or W_k: a head's rows 2i and 2i + 1 become its rows i and i + head_dim / 2.

    With the new weights, rotate_half gives the scores that rotate_complex gives with the old ones.

    Args:
        weight: (rows, dim), rows = heads * head_dim, one head after the other, as in nn.Linear; or a bias, (rows,).
            Any dtype; every number is moved, none is computed with. Not changed.
        heads: how many heads the rows belong to.

    Returns:
        A tensor of the shape and dtype of `weight`.

    Raises:
        ValueError: the rows are not `heads` heads of an even number of rows each.
    """
    ### BEGIN SOLUTION
    if weight.shape[0] % (2 * heads):
        raise ValueError(f"{weight.shape[0]} rows are not {heads} heads of an even number of rows")
    pairs = weight.unflatten(0, (heads, -1, 2))  # (heads, half, 2, ...)
    return pairs.transpose(1, 2).flatten(0, 2)  # (heads, 2, half, ...) -> (rows, ...)
    ### END SOLUTION


# %% test="interleaved_to_half" points=4
names = torch.tensor([[10 * h + j] for h in (1, 2) for j in range(6)])  # two heads, features 10 ... 15 and 20 ... 25
with by_hand():
    check.equal(
        interleaved_to_half(names, heads=2).flatten().tolist(),
        [10, 12, 14, 11, 13, 15, 20, 22, 24, 21, 23, 25],
        "interleaved_to_half(rows 10-15 and 20-25, heads=2)",
        likely={
            "the opposite direction: from halves to neighbours": [10, 13, 11, 14, 12, 15, 20, 23, 21, 24, 22, 25],
            "across all rows, but each head is reordered on its own": [10, 12, 14, 20, 22, 24, 11, 13, 15, 21, 23, 25],
            "nothing moved": [10, 11, 12, 13, 14, 15, 20, 21, 22, 23, 24, 25],
        },
    )
    check.raises(ValueError, "interleaved_to_half(12 rows, heads=4)", interleaved_to_half, names, 4)
### BEGIN HIDDEN TESTS
_rng = check.rng(4)


def _turn(x, order):
    """(heads, length, d) in float64, turned with pairs (order[0][i], order[1][i])."""
    angles = np.outer(np.arange(3, 3 + x.shape[1]), 100.0 ** -np.linspace(0, 0.9, len(order[0])))
    out, (a, b) = np.empty_like(x), (x[..., order[0]], x[..., order[1]])
    out[..., order[0]], out[..., order[1]] = (
        a * np.cos(angles) - b * np.sin(angles),
        a * np.sin(angles) + b * np.cos(angles),
    )
    return out


def _scores(weights, heads, x, order):
    q, k = (_turn((x @ w.double().numpy().T).reshape(len(x), heads, -1).swapaxes(0, 1), order) for w in weights)
    return q @ k.swapaxes(1, 2)


with by_hand():
    for _heads, _d, _dim in ((3, 10, 7), (1, 6, 5), (9, 4, 3), (4, 2, 9)):
        _w = torch.from_numpy(_rng.standard_normal((_heads * _d, _dim))).float()
        _order = [h * _d + j for h in range(_heads) for j in [*range(0, _d, 2), *range(1, _d, 2)]]
        with check.unchanged("interleaved_to_half(weight, heads)", _w):
            _new = interleaved_to_half(_w, _heads)
        check.close(
            _new,
            torch.stack([_w[i] for i in _order]),
            f"interleaved_to_half(weight ({_heads * _d}, {_dim}), heads={_heads})",
            atol=0,
            dtype=torch.float32,
        )
    _pair = [torch.from_numpy(_rng.standard_normal((3 * 10, 7))).float() for _ in "qk"]
    _x = _rng.standard_normal((4, 7))
    _want = _scores(_pair, 3, _x, (np.arange(0, 10, 2), np.arange(1, 10, 2)))
    check.close(
        _scores([interleaved_to_half(w, 3) for w in _pair], 3, _x, (np.arange(5), np.arange(5, 10))),
        _want,
        "scores in halves with the reordered weights, against scores in neighbours with the old ones",
        atol=1e-10,
    )
    _bias = torch.from_numpy(_rng.standard_normal(12)).to(torch.bfloat16)
    check.close(
        interleaved_to_half(_bias, 2),
        _bias[[0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11]],
        "interleaved_to_half(bias (12,) in bf16, heads=2)",
        atol=0,
        dtype=torch.bfloat16,
    )
    # Numbers that fp32 does not have, and some that a product with zeros would spread.
    _exact = torch.from_numpy(_rng.integers(2**40, 2**50, (12, 3)))
    _order = [0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11]
    for _dtype in (torch.int64, torch.float64):
        check.equal(
            interleaved_to_half(_exact.to(_dtype), 2).tolist(),
            _exact[_order].to(_dtype).tolist(),
            f"interleaved_to_half(weight (12, 3) in {_dtype}, heads=2)",
            hint="move the rows; a product with a permutation matrix rounds",
        )
    _holes = torch.where(_exact % 3 == 0, float("inf"), _exact.double())
    check.equal(
        interleaved_to_half(_holes, 2).tolist(),
        _holes[_order].tolist(),
        "interleaved_to_half(weight with inf, heads=2)",
    )
    for _rows, _heads in ((15, 5), (14, 4), (6, 2), (13, 2), (13, 3), (9, 4)):
        check.raises(
            ValueError,
            f"interleaved_to_half({_rows} rows, heads={_heads})",
            interleaved_to_half,
            torch.zeros(_rows, 2),
            _heads,
        )
### END HIDDEN TESTS

# %% [markdown]
# ## Part 2. Beyond the length of the training
#
# ### 2.1 What distance does to a score
#
# RoFormer's section 3.4.3 promises a **long-term decay**: far apart means, on the whole, a smaller score. Where does
# it come from? A score is the real part of $\sum_i h_i\, e^{i s \omega_i}$, with the distance $s$ and
# $h_i = q_i k_i^*$ for pair $i$, from $0$ to $d/2 - 1$; set $h_{d/2} = 0$. Sum by parts (Abel), with the partial sums
# $S_k(s) = \sum_{j<k} e^{i s \omega_j}$, the maximum taken over the same $i$:
#
# $$\Big|\sum_i h_i\, e^{is\omega_i}\Big| \le \Big(\max_i |h_{i+1} - h_i|\Big) \sum_{k=1}^{d/2} |S_k(s)|$$
#
# The first factor is a matter of the content, the second of the distance alone. At distance 0 all arrows point the
# same way and $|S_k| = k$; at larger distances they point anywhere, and the partial sums stay small.


# %% explore
def partial_sums(frequencies, distances):
    """Mean of |S_k| over k: (distances,)"""
    arrows = np.exp(1j * np.outer(distances, frequencies.double().numpy()))
    return np.abs(np.cumsum(arrows, axis=1)).mean(axis=1)


distances = np.arange(0, 4096)
bound = {theta: partial_sums(rope_frequencies(128, theta), distances) for theta in (100.0, 10000.0, 500000.0)}
figure, axis = plt.subplots()
for (theta, values), color in zip(bound.items(), (plots.GREY, plots.BLUE, plots.PURPLE), strict=True):
    axis.plot(distances, values, color=color, lw=1.3, label=f"θ = {theta:,.0f}")
axis.set(
    xscale="symlog",
    xlim=(0, 4096),
    ylim=(0, None),
    xlabel="distance (tokens)",
    ylabel="mean of |S_k|",
    title="The bound on a score falls with distance (head_dim 128)",
)
axis.legend()
plots.show(
    figure,
    alt="The bound against distance on a logarithmic axis for three bases. All start at 32.5 and fall, with waves. The "
    "larger the base, the farther the curve reaches before it flattens out.",
)
print(f"largest sum over the smallest at distances up to 4095, θ = 10000: {bound[1e4].max() / bound[1e4].min():.1f}")
print(f"smallest sum of |S_k|: {64 * bound[1e4].min():.0f}, head_dim is 128")
print(f"32 ln 10000 = {32 * math.log(10000):.2f}, and twice that is {64 * math.log(10000):.0f}")

# %% [markdown]
# The curve is a bound. It says what scores *may* do, not what a trained model does: a head that looks for the previous
# token makes a sharp peak at distance 1, and that is no slow decay.
#
# **A remark on a number.** Positional interpolation, the first answer below, comes from Chen et al. (arXiv 2306.15595,
# section 2.3), whose abstract says that its bound is some 600 times smaller than that of extrapolation. Two bounds are
# compared. Between neighbouring integer distances a score is off from the straight line by at most
#
# $$\frac{d \max_i |h_i|}{32 \ln\theta} = \frac{d \max_i |h_i|}{294.73} \qquad (\theta = 10000)$$
#
# For a distance that the training never saw there is only the bound above. With $|h_{i+1} - h_i| \le 2 \max_i |h_i|$,
# and a sum of $|S_k|$ that at these distances is never below $d$ (the second line that the cell prints), it comes to
# $2 d \max_i |h_i|$ or more. That is a weak bound: the $d/2$ terms of a score add up to $\frac{d}{2} \max_i |h_i|$ at
# most. So do not take 600 for a factor between scores. What it stands for is true: between distances that it was
# trained on a score can't run away, and beyond them nothing holds it.
#
# ### 2.2 Turn slower
#
# So: squeeze the positions. A model was trained on $L$ tokens, and now meets $sL$ of them, with a **factor** $s$ of,
# say, 8. Three answers, in the order in which they were found within about a year:
#
# **Position interpolation** (Chen et al. 2023). Divide every position by $s$. Since an angle is position times
# frequency, this is the same as dividing every frequency by $s$. All hands turn slower: no angle is new. But the second
# hand is slower, too, and what the model knew as "one token back" now looks like "an eighth of a token back". A
# fine-tuning of some 1000 steps mends that.
#
# **NTK-aware** (named after neural tangent kernels; first a post by "bloc97", then in section 3.1 of YaRN, arXiv
# 2309.00071). Change the base instead, such that the slowest hand is slowed exactly by $s$ and the fastest not at
# all. The slowest frequency is $\theta^{-(d-2)/d}$, so the new base is
#
# $$\theta' = \theta \cdot s^{\,d/(d-2)}$$
#
# **Llama 3.1's scaling** decides hand by hand, by how many full turns it makes in the original context:
# $r_i = L \omega_i / 2\pi$. A hand with many turns has shown the model all its angles and many times over, so it stays.
# A hand with less than one turn must be interpolated. In between, mix:
#
# $$\omega_i' = (1 - \gamma_i) \frac{\omega_i}{s} + \gamma_i\, \omega_i, \qquad
# \gamma_i = \frac{r_i - r_{low}}{r_{high} - r_{low}} \text{, kept within } [0, 1]$$
#
# with $s = 8$, $r_{low} = 1$, $r_{high} = 4$, $L = 8192$ in Llama 3.1. (Meta's code says it in wavelengths
# $2\pi / \omega_i = L / r_i$; it is the same rule. YaRN has it too, with other limits and a correction of the softmax.)
#
# **A worked example.** $L = 8192$, frequency 0.001: $r = 1.304$ turns, $\gamma = 0.304 / 3 = 0.1013$, and
# $\omega' = 0.8987 \cdot 0.000125 + 0.1013 \cdot 0.001 = 0.0002137$.
#
# **Build** all three.
#
# <details><summary>Hint 1</summary>
#
# Where $\gamma$ lies within $[0, 1]$ is a matter of one `clamp`; the two other cases need no `if`.
#
# </details>


# %% exercise="context_extension" minutes=20 difficulty=2
def interpolated(frequencies: Float[Tensor, "half"], factor: float) -> Float[Tensor, "half"]:
    """Position interpolation: frequencies that give position p the angles that p / factor had.

    Source: arXiv 2306.15595, section 2.3.
    """
    ### BEGIN SOLUTION
    return frequencies / factor
    ### END SOLUTION


def ntk_theta(theta: float, head_dim: int, factor: float) -> float:
    """The base that leaves the fastest frequency alone and divides the slowest by `factor` (NTK-aware).

    Args:
        theta: the base of the training.
        head_dim: features of one head, even, at least 4.
        factor: how many times longer the context gets, at least 1.

    Source: YaRN, arXiv 2309.00071, section 3.1.
    """
    ### BEGIN SOLUTION
    return theta * factor ** (head_dim / (head_dim - 2))
    ### END SOLUTION


def llama3_frequencies(
    frequencies: Float[Tensor, "half"],
    factor: float = 8.0,
    low_freq_factor: float = 1.0,
    high_freq_factor: float = 4.0,
    original: int = 8192,
) -> Float[Tensor, "half"]:
    """Frequencies divided by `factor` where they turn slowly, kept where they turn fast, mixed in between.

    Args:
        frequencies: radians per position, fp32, in any order. Not changed.
        factor: how many times longer the context gets.
        low_freq_factor: with at most so many turns in the original context, a frequency is divided by `factor`.
        high_freq_factor: with at least so many, it is kept; above low_freq_factor.
        original: tokens in the original context.

    Returns:
        The scaled frequencies, fp32. In between, the share of the kept frequency grows linearly with the turns.

    Source: `apply_scaling` in Meta's llama-models (Llama 3.1).
    """
    ### BEGIN SOLUTION
    turns = frequencies * original / (2 * math.pi)
    kept = ((turns - low_freq_factor) / (high_freq_factor - low_freq_factor)).clamp(0, 1)
    return (1 - kept) * frequencies / factor + kept * frequencies
    ### END SOLUTION


# %% test="context_extension" points=5
with by_hand():
    check.close(
        interpolated(torch.tensor([1.0, 0.1]), 8.0),
        [0.125, 0.0125],
        "interpolated([1, 0.1], factor=8)",
        rtol=1e-6,
        likely={"the hands must turn slower, not faster": [8.0, 0.8]},
    )
    check.close(
        ntk_theta(10000.0, 6, 8.0),
        10000 * 8**1.5,
        "ntk_theta(theta=10000, head_dim=6, factor=8)",
        rtol=1e-12,
        likely={
            "theta times the factor: then the slowest frequency slows down by factor ** ((d - 2) / d) only": 80000.0,
            "the exponent is d / (d - 2), not its inverse": 10000 * 8 ** (4 / 6),
            "the slowest frequency should slow down, so the base grows": 10000 / 8**1.5,
        },
    )
    check.close(
        llama3_frequencies(torch.tensor([1.0, 0.001, 0.0001])),
        [1.0, 0.000213608, 0.0000125],
        "llama3_frequencies([1, 0.001, 0.0001])",
        rtol=2e-5,  # the figures are rounded to six digits
        likely={
            "the shares of the two are swapped in between": [1.0, 0.000911392, 0.0000125],
            "fast and slow are swapped": [0.125, 0.000911392, 0.0001],
            "a step without a mixture, or turns counted in radians": [1.0, 0.001, 0.0000125],
            "all are divided": [0.125, 0.000125, 0.0000125],
        },
        hint="turns in the original context: 1304, 1.304, 0.1304",
    )
### BEGIN HIDDEN TESTS
_rng = check.rng(5)


def _by_wavelength(w, factor, low, high, original):
    """Meta's way to say it: by wavelength, one at a time, in float64."""
    wavelength = 2 * math.pi / w
    if wavelength < original / high:
        return w
    if wavelength > original / low:
        return w / factor
    smooth = (original / wavelength - low) / (high - low)
    return (1 - smooth) * w / factor + smooth * w


with by_hand():
    for _factor in (1.0, 2.0, float(_rng.uniform(3, 40))):
        _w = torch.from_numpy(_rng.uniform(1e-5, 1, 7)).float()
        with check.unchanged("interpolated(frequencies, factor)", _w):
            _got = interpolated(_w, _factor)
        check.close(_got, _w.double() / _factor, "interpolated(drawn frequencies, factor)", rtol=1e-6)
        for _d in (4, 10, 128):
            _theta = float(_rng.uniform(100, 500000))
            _base = ntk_theta(_theta, _d, _factor)
            # What defines it: theta' ** -((d - 2) / d) is theta ** -((d - 2) / d) / factor.
            check.close(
                _base ** (-(_d - 2) / _d) * _theta ** ((_d - 2) / _d),
                1 / _factor,
                f"the slowest of {_d // 2} frequencies with ntk_theta, as a share of the old one",
                rtol=1e-9,
            )
    for _scaling in (
        (8.0, 1.0, 4.0, 8192),
        (32.0, 1.0, 4.0, 8192),
        (4.0, 2.0, 3.0, 512),
        (float(_rng.uniform(2, 9)), 0.5, 6.0, int(_rng.integers(60, 900))),
    ):
        for _theta, _half in ((500000.0, 64), (10000.0, 16)):
            _w = torch.tensor([_theta ** (-i / _half) for i in range(_half)])[torch.from_numpy(_rng.permutation(_half))]
            with check.unchanged("llama3_frequencies(frequencies, ...)", _w):
                _got = llama3_frequencies(_w, *_scaling)
            # (turns - low) / (high - low) carries eps * high / (high - low) <= 3 eps, times at most `factor`.
            check.close(
                _got,
                [_by_wavelength(w, *_scaling) for w in _w.double().tolist()],
                f"llama3_frequencies(frequencies of theta {_theta:g}, {_scaling})",
                rtol=2e-5,
                dtype=torch.float32,
            )
    # Exactly on the borders: 2 pi times a power of two, over one.
    _w = torch.tensor([2 * math.pi / 512]) * torch.tensor([4.0, 1.0, 2.0, 0.5])
    check.close(
        llama3_frequencies(_w, 8.0, 1.0, 4.0, 512),
        [_by_wavelength(w, 8.0, 1.0, 4.0, 512) for w in _w.double().tolist()],
        "llama3_frequencies(frequencies of 4, 1, 2 and 0.5 turns, low_freq_factor=1, high_freq_factor=4)",
        rtol=2e-5,
        hint="the borders belong to the two sides: at most low is divided, at least high is kept",
    )
### END HIDDEN TESTS

# %% [markdown]
# Here is what the three do to the 64 hands of a Llama 3 head, when a context of 8192 is stretched eightfold.

# %% explore
original = rope_frequencies(128, 500000.0)
ways = {
    "trained": (original, plots.GREY, "-"),
    "interpolation": (interpolated(original, 8.0), plots.ORANGE, "-"),
    "NTK-aware": (rope_frequencies(128, ntk_theta(500000.0, 128, 8.0)), plots.PURPLE, "-"),
    "Llama 3.1": (llama3_frequencies(original), plots.BLUE, "--"),
}
figure, axis = plt.subplots()
for name, (frequencies, color, style) in ways.items():
    axis.plot(original / frequencies, style, color=color, label=name)
turns = (original * 8192 / (2 * math.pi)).tolist()
slow, fast = sum(r > 1 for r in turns), sum(r > 4 for r in turns)
axis.axvspan(fast - 0.5, slow - 0.5, color=plots.GREEN, alpha=0.15, lw=0)
axis.text((fast + slow) / 2 - 0.5, 5.6, "1 to 4\nturns", ha="center", color=plots.GREEN, fontsize=10)
axis.set(
    xlabel="pair i (fast hands left, slow hands right)",
    ylabel="times slower than trained",
    title="Which hands are slowed: 8192 tokens stretched eightfold",
)
axis.legend(loc=(0.02, 0.42))
plots.show(
    figure,
    alt="How many times slower each of 64 pairs turns. Interpolation: 8 for all. NTK-aware: rising exponentially from "
    "1 to 8. Llama 3.1: 1 up to pair 28, then a steep rise to 8 at pair 35, and 8 from there on.",
)

# %% [markdown]
# ## Part 3. Nothing computed twice
#
# ### 3.1 What is worth keeping
#
# A language model writes one token, appends it, and runs again. Of a text of $n$ tokens, the run for token $n + 1$
# computes the same $n$ keys and values as the run before, but for rounding: they do not depend on what comes after
# them (that is what causal means), and a key's rotation depends on its own position alone (that is what we asked for
# in 1.1). So keep them. The **KV cache** holds the keys, already turned, and the values of all tokens so far, for
# each layer. A step then needs the query, key and value of one token only.
#
# The price is memory. For each token it holds
#
# $$2 \times \text{layers} \times \text{key and value heads} \times \text{head\_dim} \times \text{bytes per number}$$
#
# For Llama 3 70B in bf16, with 80 layers and 8 such heads of 128: $2 \cdot 80 \cdot 8 \cdot 128 \cdot 2$ bytes
# $= 320$ KiB for each token, 2.5 GiB for a context of 8192. With the 64 heads that its queries have it would be eight
# times as much: grouped-query attention is there for this number.
#
# **Build** `KVCache`. It may join tensors at every step, or keep room and fill it: only what it returns, and what it
# counts, is looked at.
#
# <details><summary>Hint 1</summary>
#
# A layer that holds nothing yet has nothing to join; what comes in is then all there is.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# While the model runs, the first layers hold more tokens than the last. Which layer says how many *all* of them hold?
#
# </details>


# %% exercise="KVCache" minutes=15 difficulty=2
class KVCache:
    """Keys and values of all tokens so far, for each layer.

    Args:
        layers: how many layers the model has.
    """

    def __init__(self, layers: int):
        ### BEGIN SOLUTION
        self.keys: list[Tensor | None] = [None] * layers
        self.values: list[Tensor | None] = [None] * layers
        ### END SOLUTION

    def append(
        self,
        layer: int,
        key: Float[Tensor, "batch kv_heads new head_dim"],
        value: Float[Tensor, "batch kv_heads new head_dim"],
    ) -> tuple[Float[Tensor, "batch kv_heads total head_dim"], Float[Tensor, "batch kv_heads total head_dim"]]:
        """Put the keys and values of new tokens (one or more) behind those that the layer holds.

        Layers are counted from 0, and filled in this order, each with the same number of new tokens. There is no limit
        to how many tokens a layer holds. `key` and `value` may be kept as they are: nobody changes them afterwards.

        Returns:
            All keys and all values of this layer, the new ones last, in the dtype in which they came. What earlier
            calls returned keeps its values.
        """
        ### BEGIN SOLUTION
        if self.keys[layer] is not None:
            key = torch.cat((self.keys[layer], key), dim=2)  # (batch, kv_heads, total, head_dim)
            value = torch.cat((self.values[layer], value), dim=2)
        self.keys[layer], self.values[layer] = key, value
        return key, value
        ### END SOLUTION

    def __len__(self) -> int:
        """How many tokens all layers hold: while the model runs, still those of before."""
        ### BEGIN SOLUTION
        return 0 if self.keys[-1] is None else self.keys[-1].shape[2]
        ### END SOLUTION

    @property
    def nbytes(self) -> int:
        """Bytes of the keys and values held in all layers. Room that is kept for later does not count."""
        ### BEGIN SOLUTION
        return sum(held.nbytes for held in (*self.keys, *self.values) if held is not None)
        ### END SOLUTION


# %% test="KVCache" points=4
with by_hand():
    cache = KVCache(layers=2)
    check.equal((len(cache), cache.nbytes), (0, 0), "len(cache), cache.nbytes of an empty cache")
    first = torch.arange(6.0).view(1, 1, 3, 2)
    cache.append(0, first, -first)
    check.equal(
        len(cache),
        0,
        "len(cache) while only the first of two layers holds tokens",
        likely={"the first layer is asked; it is ahead while the model runs": 3},
    )
    cache.append(1, first + 10, -first - 10)
    check.equal(
        len(cache),
        3,
        "len(cache) after 3 tokens in each of two layers",
        likely={"the layers were added up": 6, "calls of append were counted": 2},
    )
    keys, values = cache.append(0, torch.tensor([[[[6.0, 7.0]]]]), torch.tensor([[[[-6.0, -7.0]]]]))
    check.close(
        keys,
        torch.arange(8.0).view(1, 1, 4, 2),
        "keys from cache.append(0, one more token)",
        likely={"only the new one was returned": torch.tensor([[[[6.0, 7.0]]]])},
    )
    check.close(values, -torch.arange(8.0).view(1, 1, 4, 2), "values from cache.append(0, one more token)")
    check.equal(cache.nbytes, (4 + 3) * 2 * 2 * 4, "cache.nbytes: 4 + 3 tokens, keys and values, 2 numbers of 4 bytes")
### BEGIN HIDDEN TESTS
_rng = check.rng(6)


def _draw(*shape):
    return torch.from_numpy(_rng.standard_normal(shape)).float()


with by_hand():
    for _dtype in (torch.float32, torch.bfloat16):
        _cache, _other = KVCache(3), KVCache(3)
        _all = [[_draw(2, 3, 12, 5).to(_dtype) for _ in "kv"] for _ in range(3)]
        _at, _earlier = 0, []
        for _new in (4, 1, 2, 1, 4):
            for _layer, (_k, _v) in enumerate(_all):
                _keys, _values = _cache.append(_layer, _k[:, :, _at : _at + _new], _v[:, :, _at : _at + _new])
                for _what, _got, _want in (("keys", _keys, _k), ("values", _values, _v)):
                    check.close(
                        _got,
                        _want[:, :, : _at + _new],
                        f"{_what} from cache.append(layer {_layer}, {_new} behind {_at})",
                        atol=0,
                        dtype=_dtype,
                    )
                _earlier.append((_keys, _k, _at + _new))
                check.equal(len(_cache), _at + _new if _layer == 2 else _at, f"len(cache) after layer {_layer} of 3")
            _at += _new
        check.equal(_cache.nbytes, 2 * 3 * 2 * 3 * 12 * 5 * _dtype.itemsize, f"cache.nbytes, 12 tokens in {_dtype}")
        check.equal((len(_other), _other.nbytes), (0, 0), "len and nbytes of another cache, made before")
        for _got, _want, _count in _earlier:
            check.close(_got, _want[:, :, :_count], "keys that an earlier append returned", atol=0)
    _cache, _at = KVCache(1), 0
    for _new in (3, 5000, 1, 40, 12000):
        _cache.append(0, *torch.zeros(2, 1, 1, _new, 2))
        _at += _new
        check.equal(len(_cache), _at, f"len(cache) after {_new} more, without a limit")
    _cache = KVCache(80)
    for _layer in range(80):
        _cache.append(_layer, *torch.zeros(2, 1, 8, 1, 128, dtype=torch.bfloat16))
    check.equal(_cache.nbytes, 320 * 1024, "cache.nbytes of one token in Llama 3 70B's shape, bf16: 320 KiB")
### END HIDDEN TESTS

# %% [markdown]
# ### 3.2 Attention that knows where it is
#
# Now the heart of the model, with everything that this lesson is about in it. For `length` new tokens:
#
# 1. project $x$ to queries, keys and values; cut them into heads: `heads` for the queries, `kv_heads` for the others
# 2. turn queries and keys, by their positions
# 3. append keys and values to the cache, if there is one, and go on with all of them
# 4. attend: the token at position $p$ sees the keys of the positions $0 \dots p$
# 5. join the heads, project
#
# Two lines decide whether decoding with a cache equals decoding without.
#
# **Turn before you append.** What is in the cache has its rotation. Turn what comes out, and old keys turn anew at each
# step, by the new token's position.
#
# **The mask is not square.** With 3 tokens in the cache and 2 new ones there are 2 queries and 5 keys:
#
# ```text
#                key 0  1  2  3  4                                    key 0  1  2  3  4
#   query at 3       x  x  x  x  .          what is_causal=True gives:    x  .  .  .  .
#   query at 4       x  x  x  x  x                                        x  x  .  .  .
# ```
#
# The triangle belongs in the lower *right* corner. `F.scaled_dot_product_attention(..., is_causal=True)` puts it in
# the upper *left* one, as its documentation says (the mask is `torch.ones(L, S).tril(diagonal=0)`). For a single new
# token the left picture is a row of
# crosses: no mask at all. The right one lets it see the first token only, and raises no error.
#
# **Which query head goes with which key head?** Consecutive ones share: with 6 query heads and 2 key heads, queries 0,
# 1, 2 use key head 0, and 3, 4, 5 use key head 1. (`repeat_interleave`, not `repeat`. The argument `enable_gqa=True` of
# `scaled_dot_product_attention` does it, without copies in some of its implementations.)
#
# **A trap of Python.** An object with `__len__` is false while its length is 0. So `if cache:` skips an *empty* cache,
# and the prompt is never stored. Ask `if cache is not None:`.
#
# Sizes come in a `Config`, given:


# %%
@dataclass(frozen=True)
class RopeScaling:
    """The arguments of llama3_frequencies."""

    factor: float = 8.0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original: int = 8192


@dataclass(frozen=True)
class Config:
    """The sizes of a Llama. heads is a multiple of kv_heads; dim / heads is even."""

    vocab_size: int
    dim: int
    layers: int
    heads: int
    kv_heads: int
    hidden_dim: int
    rope_theta: float = 10000.0
    rope_scaling: RopeScaling | None = None
    norm_eps: float = 1e-5
    tied: bool = True

    @property
    def head_dim(self) -> int:
        return self.dim // self.heads


# %% [markdown]
# **Build** `Attention.forward`. Use `rotate_half`.
#
# <details><summary>Hint 1</summary>
#
# `self.query(x).unflatten(-1, (-1, head_dim)).transpose(1, 2)` has the shape (batch, heads, length, head_dim).
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The positions of all keys are `torch.arange(total)`. Which of them may a query at `positions[i]` see? Compare the two
# as a row and a column.
#
# </details>


# %% exercise="Attention" minutes=35 difficulty=4
class Attention(nn.Module):
    """Causal attention with rotary positions; query heads share key and value heads in consecutive groups."""

    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        self.query = nn.Linear(config.dim, config.heads * config.head_dim, bias=False)
        self.key = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.value = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.output = nn.Linear(config.heads * config.head_dim, config.dim, bias=False)

    def forward(
        self,
        x: Float[Tensor, "batch length dim"],
        positions: Int[Tensor, "length"],
        frequencies: Float[Tensor, "half"],
        cache: KVCache | None = None,
        layer: int = 0,
    ) -> Float[Tensor, "batch length dim"]:
        """Attention of `length` new tokens to themselves and to what came before.

        Args:
            x: the new tokens, at least one.
            positions: of the new tokens, consecutive; they start at 0, or with a cache at the number of tokens in it.
            frequencies: for rotate_half, which turns queries and keys.
            cache: its append(layer, keys, values) is called once: with turned keys, and kv_heads heads.
            layer: which layer of the cache is this one's.

        Returns:
            The result for the new tokens. Scores are divided by the square root of head_dim. The token at position p
            attends to the positions 0 ... p.
        """
        ### BEGIN SOLUTION
        q, k, v = (
            project(x).unflatten(-1, (-1, self.config.head_dim)).transpose(1, 2)  # (batch, heads, length, head_dim)
            for project in (self.query, self.key, self.value)
        )
        q, k = rotate_half(q, positions, frequencies), rotate_half(k, positions, frequencies)
        if cache is not None:
            k, v = cache.append(layer, k, v)  # (batch, kv_heads, total, head_dim)
        mask = torch.arange(k.shape[2], device=x.device) <= positions[:, None]  # (length, total)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
        return self.output(y.transpose(1, 2).flatten(2))  # (batch, length, dim)
        ### END SOLUTION


# %% test="Attention" points=7
def one_feature(heads, kv_heads):
    """Attention with heads of 4 features, where the queries and keys are feature 1, and the values feature 0."""
    attention = Attention(Config(vocab_size=11, dim=4 * heads, layers=1, heads=heads, kv_heads=kv_heads, hidden_dim=8))
    for linear in (attention.query, attention.key, attention.value):
        linear.weight.data.zero_()
    attention.query.weight.data[1::4, 1], attention.key.weight.data[1::4, 1] = 1.0, 1.0
    attention.value.weight.data[::4, 0] = torch.arange(1.0, kv_heads + 1)  # key head g says g + 1
    attention.output.weight.data.copy_(torch.eye(4 * heads))
    return attention


def first_share(score):
    """The share of the first token in the softmax over the tokens 0 ... p, for p = 0 ... 4."""
    weights = [[math.exp(score(p, n)) for n in range(p + 1)] for p in range(5)]
    return [row[0] / sum(row) for row in weights]


def feature_1(x, positions, frequencies):
    """What rotate_half does to heads of 4 features in which only feature 1 is not 0; so yours need not be right yet."""
    angles, zero = positions * frequencies[1], torch.zeros_like(x[..., 1])
    return torch.stack((zero, x[..., 1] * angles.cos(), zero, x[..., 1] * angles.sin()), dim=-1)


hands = torch.tensor([1.0, 0.3])
shares = first_share(lambda p, n: 2 * math.cos(0.3 * (p - n)))
with by_hand(), check.using(rotate_half=feature_1), torch.no_grad():
    x = torch.zeros(1, 5, 4)
    x[0, :, 1] = 2.0  # all queries and keys are alike
    x[0, 0, 0] = 1.0  # the value of the first token; the others have 0
    check.close(
        one_feature(1, 1)(x, torch.arange(5), hands)[0, :, 0],
        shares,
        "share of the first token at positions 0-4, when only the distance tells tokens apart (frequencies 1 and 0.3)",
        atol=1e-5,
        likely={
            "nothing was turned, so all tokens get the same share": first_share(lambda p, n: 1.0),
            "rotate_complex pairs the neighbours; these weights are for rotate_half": first_share(
                lambda p, n: 2 * math.cos(p - n)
            ),
            "only the keys, or only the queries, were turned": first_share(lambda p, n: 2 * math.cos(0.3 * n)),
            "scores are divided by the square root of head_dim": first_share(lambda p, n: 4 * math.cos(0.3 * (p - n))),
            "the values were turned, too; only queries and keys are": [0.0] * 5,
        },
        hint="the score at distance s is 4 cos(0.3 s) / sqrt(4)",
    )
    changed = x.clone()
    changed[:, 3:] = 7.0
    check.close(
        one_feature(1, 1)(changed, torch.arange(5), hands)[0, :3, 0],
        shares[:3],
        "the same at positions 0-2, when tokens 3 and 4 are others",
        atol=1e-5,
        hint="a token sees what came before it, and itself",
    )
    x = torch.zeros(2, 5, 16)
    x[..., 1] = 2.0
    x[0, 0, 0], x[1, 0, 0] = 1.0, 3.0
    attention, cache = one_feature(4, 2), KVCache(1)
    check.close(
        attention(x[:, :1], torch.arange(1), hands)[:, 0, ::4],
        [[1.0, 1.0, 2.0, 2.0], [3.0, 3.0, 6.0, 6.0]],
        "what 4 query heads get from 2 key heads, the second of which says twice as much; 2 sequences of one token",
        atol=1e-5,
        likely={"queries 0 and 2 share a key head: repeat_interleave, not repeat": [[1, 2, 1, 2], [3, 6, 3, 6]]},
    )
    for a, b, what, likely, hint in (
        (0, 2, "2 tokens behind 0", None, "the cache is empty: this is attention without one"),
        (2, 3, "1 token behind 2", [1.0], "turn before you append; one token sees all keys; an empty cache is false"),
        (
            *(3, 5, "2 tokens behind 3"),
            [1.0, 1 / (1 + math.exp(2 * math.cos(0.9) - 2 * math.cos(1.2)))],
            "the triangle of the mask belongs in the lower right corner",
        ),
    ):
        weight = torch.tensor([[1.0, 1.0, 2.0, 2.0], [3.0, 3.0, 6.0, 6.0]])[:, None]  # (batch, 1, heads)
        got = attention(x[:, a:b], torch.arange(a, b), hands, cache)
        check.close(
            got[..., ::4],
            weight * torch.tensor(shares[a:b])[:, None],
            f"the same with {what} in the cache",
            atol=1e-5,
            likely=likely
            and {
                "is_causal=True puts its triangle into the upper left corner": weight * torch.tensor(likely)[:, None],
            },
            hint=hint,
        )
    check.equal(tuple(got.shape), (2, 2, 16), "shape of attention(x (2, 2, 16), positions 3-4, frequencies, cache)")
### BEGIN HIDDEN TESTS
_rng = check.rng(7)


def _draw(*shape):
    return torch.from_numpy(_rng.standard_normal(shape)).float()


def _turned(x, positions, frequencies):
    """Halves as complex numbers, in float64; for the answer in the dtype in which x came."""
    z = torch.complex(*x.double().chunk(2, dim=-1)) * torch.exp(
        1j * torch.outer(positions.double(), frequencies.double())
    )
    return torch.cat((z.real, z.imag), dim=-1).to(x.dtype)


def _softmax_by_hand(weights, x, positions, frequencies, heads, kv_heads, past=None):
    """One query at a time, in float64. `past`: (length, dim) that came before, per batch."""
    wq, wk, wv, wo = (w.double() for w in weights)
    out = []
    for b in range(len(x)):
        before = x[b].double() if past is None else torch.cat((past[b], x[b])).double()
        first, row_of_heads = len(before) - x.shape[1], []
        d = wq.shape[0] // heads
        for p in range(first, len(before)):
            row = []
            for h in range(heads):
                g = h * kv_heads // heads
                q = _turned(before[p : p + 1] @ wq[h * d : h * d + d].T, torch.tensor([p]), frequencies)
                k = _turned(before[: p + 1] @ wk[g * d : g * d + d].T, torch.arange(p + 1), frequencies)
                share = torch.softmax((q @ k.T) / math.sqrt(d), dim=-1)
                row.append((share @ (before[: p + 1] @ wv[g * d : g * d + d].T))[0])
            row_of_heads.append(torch.cat(row))
        out.append(torch.stack(row_of_heads) @ wo.T)
    return torch.stack(out)


def _upper_left(weights, x, frequencies, past, d):
    """What is_causal=True makes of a cache."""
    both = torch.cat((past, x), dim=1)
    q, k, v = (
        (tokens @ w.T).unflatten(-1, (-1, d)).transpose(1, 2)
        for tokens, w in zip((x, both, both), weights[:3], strict=True)
    )
    q = _turned(q, torch.arange(past.shape[1], both.shape[1]), frequencies)
    k = _turned(k, torch.arange(both.shape[1]), frequencies)
    y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
    return y.transpose(1, 2).flatten(2) @ weights[3].T


class _Recorder:
    """A cache of one layer out of several, which notes what it is given."""

    def __init__(self):
        self.keys, self.values, self.seen = [], [], []

    def append(self, layer, key, value):
        self.seen.append((layer, tuple(key.shape), tuple(value.shape)))
        self.keys.append(key)
        self.values.append(value)
        return torch.cat(self.keys, dim=2), torch.cat(self.values, dim=2)

    def __len__(self):
        return sum(k.shape[2] for k in self.keys)


with by_hand(), check.using(rotate_half=_turned), torch.no_grad():
    for _heads, _kv_heads, _d, _dim, _length in (
        (6, 2, 4, 24, 7),
        (3, 3, 6, 18, 1),
        (4, 1, 10, 40, 5),
        (5, 5, 2, 10, 3),
    ):
        _attention = Attention(Config(9, _dim, 1, _heads, _kv_heads, 16))
        _shapes = ((_heads * _d, _dim), (_kv_heads * _d, _dim), (_kv_heads * _d, _dim), (_dim, _heads * _d))
        _weights = [_draw(*shape) / math.sqrt(shape[1]) for shape in _shapes]
        for _linear, _w in zip(
            (_attention.query, _attention.key, _attention.value, _attention.output), _weights, strict=True
        ):
            _linear.weight.copy_(_w)
        _x, _past = 1.5 * _draw(2, _length, _dim), 1.5 * _draw(2, 4, _dim)
        _w = torch.from_numpy(_rng.uniform(0.05, 1.0, _d // 2)).float()
        _where = f"{_heads} heads, {_kv_heads} kv heads"
        # A few chained sums of at most 40 terms of size 3, and a softmax: 1e-6 was seen, and wrong answers are off by
        # 0.1.
        check.close(
            _attention(_x, torch.arange(_length), _w),
            _softmax_by_hand(_weights, _x, None, _w, _heads, _kv_heads),
            f"attention to {_length} tokens, {_where}, no cache",
            atol=3e-5,
        )
        _cache = _Recorder()
        _attention(_past, torch.arange(4), _w, _cache, 3)
        check.close(
            _attention(_x, torch.arange(4, 4 + _length), _w, _cache, 3),
            _softmax_by_hand(_weights, _x, None, _w, _heads, _kv_heads, _past),
            f"attention to {_length} tokens behind 4 in the cache, {_where}",
            atol=3e-5,
            likely={
                "is_causal=True puts its triangle into the upper left corner": _upper_left(_weights, _x, _w, _past, _d)
            },
        )
        _shape = (2, _kv_heads, 4, _d), (2, _kv_heads, _length, _d)
        check.equal(
            _cache.seen,
            [(3, shape, shape) for shape in _shape],
            f"calls of cache.append in two runs: (layer, shape of keys, shape of values), {_where}",
            hint="one call a run, with the layer that was passed, and kv_heads heads: shared heads are stored once",
        )
        _keys = (torch.cat((_past, _x), dim=1) @ _weights[1].T).unflatten(-1, (-1, _d)).transpose(1, 2)
        check.close(
            torch.cat(_cache.keys, dim=2),
            _turned(_keys, torch.arange(4 + _length), _w),
            f"keys in the cache, {_where}",
            atol=2e-5,
            likely={"the keys are in the cache unturned": _keys},
        )
### END HIDDEN TESTS

# %% [markdown]
# ## Part 4. The whole model
#
# ### 4.1 Llama
#
# The rest of a block is given: RMSNorm before attention and before the MLP, a gated MLP (SwiGLU), two residual paths.
# Read how `Block.forward` hands positions, frequencies and cache through to your `Attention`.


# %%
class GatedMLP(nn.Module):
    """SwiGLU, as Llama has it."""

    def __init__(self, config: Config):
        super().__init__()
        self.gate = nn.Linear(config.dim, config.hidden_dim, bias=False)
        self.up = nn.Linear(config.dim, config.hidden_dim, bias=False)
        self.down = nn.Linear(config.hidden_dim, config.dim, bias=False)

    def forward(self, x):
        return self.down(F.silu(self.gate(x)) * self.up(x))


class Block(nn.Module):
    """x plus attention to its norm, then plus the MLP of its norm."""

    def __init__(self, config: Config):
        super().__init__()
        self.attention_norm = nn.RMSNorm(config.dim, eps=config.norm_eps)
        self.attention = Attention(config)
        self.mlp_norm = nn.RMSNorm(config.dim, eps=config.norm_eps)
        self.mlp = GatedMLP(config)

    def forward(self, x, positions, frequencies, cache=None, layer=0):
        x = x + self.attention(self.attention_norm(x), positions, frequencies, cache, layer)
        return x + self.mlp(self.mlp_norm(x))


def draw_weights(module: nn.Module) -> None:
    """Small weights at the start: with a tied head, logits are near 0 and the loss is near ln(vocab_size)."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)


# %% [markdown]
# The model around the blocks is short: embedding, blocks, a last norm, the **head**, which makes a logit for each
# token of the
# vocabulary. Small Llamas *tie* the head to the embedding: one and the same parameter. (For SmolLM2-135M the matrix is
# a fifth of the model: 49152 by 576.)
#
# Three things are easy to get wrong:
#
# - **Where the new tokens stand.** Behind those in the cache.
# - **Which frequencies.** Those of `head_dim`, not of `dim`, with the config's base, and scaled where the config says
#   so.
# - **Where they live.** A buffer that is part of the state dict makes other people's weights fail to load. A buffer
#   at all becomes bf16 when the model does (`model.bfloat16()` converts floating-point buffers along with the
#   parameters), and 1.3 says what that
#   means.
#
# **Build** `Llama`.
#
# <details><summary>Hint 1</summary>
#
# `nn.ModuleList(Block(config) for _ in range(config.layers))` holds the blocks; a plain list would hide their
# parameters.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Where do the new tokens start? `0 if cache is None else len(cache)`. Computing the frequencies anew in every `forward`
# costs microseconds, and keeps them out of the state dict and out of
# reach of `model.bfloat16()`.
#
# </details>


# %% exercise="Llama" minutes=25 difficulty=3
class Llama(nn.Module):
    """Embedding, blocks, norm, head.

    Attributes:
        embedding: nn.Embedding, (vocab_size, dim).
        blocks: nn.ModuleList of `layers` Blocks.
        norm: nn.RMSNorm(dim, eps=norm_eps).
        head: nn.Linear from dim to vocab_size, without a bias; its weight is the embedding's where config.tied.

    The state dict holds these parameters and nothing else.
    """

    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        ### BEGIN SOLUTION
        self.embedding = nn.Embedding(config.vocab_size, config.dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.dim, eps=config.norm_eps)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        if config.tied:
            self.head.weight = self.embedding.weight
        ### END SOLUTION
        self.apply(draw_weights)

    def forward(
        self,
        tokens: Int[Tensor, "batch length"],
        targets: Int[Tensor, "batch length"] | None = None,
        cache: KVCache | None = None,
    ) -> Tensor:
        """Logits for the token after each, or the loss.

        The blocks get the positions of the tokens, counted from 0 or, with a cache, from where it ends, and the
        frequencies of config.rope_theta, scaled by llama3_frequencies where there is a config.rope_scaling; in fp32,
        whatever the dtype of the model.

        Args:
            tokens: (batch, length) int64.
            targets: the token after each, not necessarily contiguous; then the result is their mean cross-entropy in
                nats, a scalar. Where a target is -100 there is no loss, and the mean is over the others, as
                F.cross_entropy has it.
            cache: holds what came before the tokens, and holds them afterwards.

        Returns:
            (batch, length, vocab_size) logits in the dtype of the weights, or the loss.
        """
        ### BEGIN SOLUTION
        config, start = self.config, 0 if cache is None else len(cache)
        positions = torch.arange(start, start + tokens.shape[1])
        frequencies = rope_frequencies(config.head_dim, config.rope_theta)
        if (scaling := config.rope_scaling) is not None:
            frequencies = llama3_frequencies(
                frequencies, scaling.factor, scaling.low_freq_factor, scaling.high_freq_factor, scaling.original
            )
        x = self.embedding(tokens)  # (batch, length, dim)
        for layer, block in enumerate(self.blocks):
            x = block(x, positions, frequencies, cache, layer)
        logits = self.head(self.norm(x))  # (batch, length, vocab_size)
        if targets is None:
            return logits
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())
        ### END SOLUTION


# %% test="Llama" points=6
config = Config(vocab_size=13, dim=24, layers=2, heads=4, kv_heads=2, hidden_dim=40)
torch.manual_seed(0)
with by_hand(), torch.no_grad():
    model, tokens = Llama(config), torch.tensor([[3, 1, 4, 1, 5], [9, 2, 6, 5, 3]])
    check.equal(
        sum(p.numel() for p in model.parameters()),
        13 * 24 + 2 * (2 * 24 * 24 + 2 * 24 * 12 + 3 * 24 * 40 + 2 * 24) + 24,
        "parameters of Llama(config)",
        likely={
            "the head has a matrix of its own, but config.tied": 2 * 13 * 24
            + 2 * (2 * 24 * 24 + 2 * 24 * 12 + 3 * 24 * 40 + 2 * 24)
            + 24
        },
    )
    check.equal(tuple(model(tokens).shape), (2, 5, 13), "shape of the logits for tokens (2, 5)")


class Spy(nn.Module):
    """In place of Attention: adds nothing, and notes what it is given."""

    given = []  # noqa: RUF012

    def __init__(self, config):
        super().__init__()

    def forward(self, x, positions, frequencies, cache=None, layer=0):
        Spy.given.append((positions.tolist(), layer, frequencies))
        if cache is not None:
            cache.append(layer, x[:, None], x[:, None])
        return 0 * x


class Tally:
    """In place of KVCache, for two layers."""

    count = 0

    def append(self, layer, key, value):
        self.count += key.shape[2] if layer == 1 else 0

    def __len__(self):
        return self.count


def known_frequencies(head_dim, theta=10000.0):
    """In place of rope_frequencies: right for these two bases."""
    known = {(6, 1000.0): [1.0, 0.1, 0.01], (6, 10000.0): [1.0, 0.0464159, 0.00215443]}
    return torch.tensor(known.get((head_dim, theta), [0.0, 0.0, 0.0]))


def known_scaling(frequencies, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original=8192):
    """In place of llama3_frequencies: right for the scaling below, and with the default arguments, on these bases."""
    slowed = (factor, low_freq_factor, high_freq_factor, original) == (4.0, 2.0, 4.0, 64)
    return frequencies * torch.tensor([1.0, 0.25, 0.25]) if slowed else frequencies


parts = {"Attention": Spy, "rope_frequencies": known_frequencies, "llama3_frequencies": known_scaling}
scaling = RopeScaling(factor=4.0, low_freq_factor=2.0, high_freq_factor=4.0, original=64)
with by_hand(), check.using(**parts), torch.no_grad():
    model, generator = Llama(config), torch.Generator().manual_seed(1)
    for _, weight in sorted(model.state_dict().items()):
        weight.copy_(0.3 * torch.randn(weight.shape, generator=generator))
    targets = torch.tensor([[1, 4, 1, 5, -100], [2, 6, 5, 3, 12]])
    surprise = -model(tokens).log_softmax(-1)
    check.close(
        model(tokens, targets),
        np.mean([surprise[b, t, targets[b, t]].item() for b, t in np.ndindex(2, 5) if targets[b, t] >= 0]),
        "model(tokens, targets), against the mean of -log p of the targets that are not -100",
        atol=1e-5,
        hint="the targets come shifted already; where a target is -100 there is no loss",
    )
    Spy.given.clear()
    cache = Tally()
    for part in tokens.split([3, 1, 1], dim=1):
        model(part, cache=cache)
    check.equal(
        [(positions, layer) for positions, layer, _ in Spy.given],
        [([0, 1, 2], 0), ([0, 1, 2], 1), ([3], 0), ([3], 1), ([4], 0), ([4], 1)],
        "positions and layer that each block gets; 3 tokens, then 1 and 1, with a cache",
        hint="new tokens stand at len(cache), len(cache) + 1, ...; each block has a layer of its own in the cache",
    )
    Llama(Config(13, 24, 1, 4, 2, 40, rope_theta=1000.0, rope_scaling=scaling))(tokens)
    check.close(
        Spy.given[-1][2],
        [1.0, 0.025, 0.0025],
        "frequencies that a block gets: head_dim 6, theta 1000, slowed 4 times where they make less than 2 turns of 64",
        rtol=1e-5,
        likely={
            "rope_scaling is ignored, or its arguments are left at their defaults": [1.0, 0.1, 0.01],
            "rope_theta is left at its default": [1.0, 0.0464159 / 4, 0.00215443 / 4],
            "both rope_theta and rope_scaling are ignored": [1.0, 0.0464159, 0.00215443],
        },
        hint="the frequencies of head_dim, not of dim, with config.rope_theta, through llama3_frequencies",
    )
with by_hand(), torch.no_grad():
    model, cache = Llama(config), KVCache(2)
    step_by_step = torch.cat([model(tokens[:, [t]], cache=cache) for t in range(5)], dim=1)
    check.close(
        step_by_step - model(tokens),
        torch.zeros(2, 5, 13),
        "with your Attention and KVCache: logits token by token with a cache, minus logits of all at once",
        atol=1e-5,
        hint="what the blocks get was right above; so look at Attention and KVCache",
    )
### BEGIN HIDDEN TESTS
_rng = check.rng(8)


class _Attention(nn.Module):
    """Neighbours as complex numbers on reordered features, torch's attention; notes what it is given."""

    given = []  # noqa: RUF012

    def __init__(self, config):
        super().__init__()
        self.config, d = config, config.head_dim
        self.query = nn.Linear(config.dim, config.heads * d, bias=False)
        self.key = nn.Linear(config.dim, config.kv_heads * d, bias=False)
        self.value = nn.Linear(config.dim, config.kv_heads * d, bias=False)
        self.output = nn.Linear(config.heads * d, config.dim, bias=False)

    def forward(self, x, positions, frequencies, cache=None, layer=0):
        _Attention.given.append((positions.tolist(), frequencies, layer))
        q, k, v = (
            p(x).unflatten(-1, (-1, self.config.head_dim)).transpose(1, 2) for p in (self.query, self.key, self.value)
        )
        angles = torch.outer(positions.double(), frequencies.double())
        q, k = (
            torch.view_as_real(torch.complex(*t.double().chunk(2, dim=-1)) * torch.exp(1j * angles)).mT.flatten(-2)
            for t in (q, k)
        )
        q, k = q.to(x.dtype), k.to(x.dtype)
        if cache is not None:
            k, v = cache.append(layer, k, v)
        mask = torch.ones(x.shape[1], k.shape[2], dtype=torch.bool).tril(k.shape[2] - x.shape[1])
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
        return self.output(y.transpose(1, 2).flatten(2))


class _Cache:
    def __init__(self, layers):
        self.held = [None] * layers

    def append(self, layer, key, value):
        old = self.held[layer]
        self.held[layer] = (
            (key, value)
            if old is None
            else tuple(torch.cat(pair, dim=2) for pair in zip(old, (key, value), strict=True))
        )
        return self.held[layer]

    def __len__(self):
        return 0 if self.held[-1] is None else self.held[-1][0].shape[2]


def _scaled(frequencies, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original=8192):
    turns = frequencies * original / (2 * math.pi)
    return torch.where(
        turns >= high_freq_factor,
        frequencies,
        torch.lerp(
            frequencies / factor,
            frequencies,
            ((turns - low_freq_factor) / (high_freq_factor - low_freq_factor)).clamp(0, 1),
        ),
    )


def _plain(head_dim, theta=10000.0):
    return torch.tensor([theta ** (-2 * i / head_dim) for i in range(head_dim // 2)])


def _logits(weights, config, tokens):
    """The whole model as torch operators on a state dict."""
    x = F.embedding(tokens, weights["embedding.weight"])
    frequencies = _plain(config.head_dim, config.rope_theta)
    if config.rope_scaling:
        frequencies = _scaled(frequencies, **vars(config.rope_scaling))
    angles = torch.outer(torch.arange(tokens.shape[1]).double(), frequencies.double())
    spin = torch.exp(1j * angles)
    for layer in range(config.layers):
        w = {name.split(".", 2)[2]: t for name, t in weights.items() if name.startswith(f"blocks.{layer}.")}
        y = F.rms_norm(x, (config.dim,), w["attention_norm.weight"], config.norm_eps)
        q, k, v = (
            F.linear(y, w[f"attention.{name}.weight"]).unflatten(-1, (-1, config.head_dim)).transpose(1, 2)
            for name in ("query", "key", "value")
        )
        q, k = (torch.complex(*t.double().chunk(2, dim=-1)) * spin for t in (q, k))
        q, k = (torch.cat((t.real, t.imag), dim=-1).float() for t in (q, k))
        k, v = (t.repeat_interleave(config.heads // config.kv_heads, dim=1) for t in (k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
        x = x + F.linear(y, w["attention.output.weight"])
        y = F.rms_norm(x, (config.dim,), w["mlp_norm.weight"], config.norm_eps)
        gated = F.silu(F.linear(y, w["mlp.gate.weight"])) * F.linear(y, w["mlp.up.weight"])
        x = x + F.linear(gated, w["mlp.down.weight"])
    return F.linear(F.rms_norm(x, (config.dim,), weights["norm.weight"], config.norm_eps), weights["head.weight"])


def _dress(model):
    """Drawn weights, the same for every answer; the names are those of the docstring."""
    weights = {}
    for name, tensor in sorted(model.state_dict().items()):
        drawn = torch.from_numpy(_rng.standard_normal(tuple(tensor.shape))).float()
        weights[name] = 1 + 0.3 * drawn if "norm" in name else drawn / math.sqrt(tensor.shape[-1])
    if model.config.tied:
        weights["head.weight"] = weights["embedding.weight"]
    model.load_state_dict(weights)
    return weights


_parts = {
    "Attention": _Attention,
    "KVCache": _Cache,
    "rope_frequencies": _plain,
    "llama3_frequencies": _scaled,
}
_scaling = RopeScaling(factor=4.0, low_freq_factor=0.25, high_freq_factor=1.0, original=64)
with by_hand(), check.using(**_parts), torch.no_grad():
    for _config in (
        Config(17, 24, 2, 4, 4, 40),
        Config(17, 32, 3, 4, 2, 40, rope_theta=float(_rng.uniform(50, 900)), norm_eps=0.3, tied=False),
        Config(19, 30, 2, 3, 1, 20, rope_theta=100.0, rope_scaling=_scaling),
    ):
        _model, _kind = Llama(_config), f"{_config.heads} heads, {_config.kv_heads} kv heads, tied {_config.tied}"
        _names = {"embedding.weight", "norm.weight", "head.weight"}
        for _layer in range(_config.layers):
            _names |= {f"blocks.{_layer}.{name}" for name in Block(_config).state_dict()}
        check.equal(set(_model.state_dict()), _names, f"names in the state dict, {_kind}")
        check.equal(
            _model.head.weight is _model.embedding.weight, _config.tied, f"head.weight is embedding.weight, {_kind}"
        )
        _weights = _dress(_model)
        _tokens = torch.from_numpy(_rng.integers(0, _config.vocab_size, (2, 7)))
        _want = _logits(_weights, _config, _tokens)
        # Three layers of sums of at most 40 terms in fp32, on logits of size 10: 5e-6 was seen; wrong positions,
        # frequencies
        # or norms change them by 0.1 and more.
        check.close(_model(_tokens), _want, f"logits, {_kind}", atol=1e-4)
        _cache = _Cache(_config.layers)
        _parts_of = [_model(part, cache=_cache) for part in _tokens.split([4, 1, 2], dim=1)]
        check.close(torch.cat(_parts_of, dim=1), _want, f"logits of 4, 1 and 2 tokens with a cache, {_kind}", atol=1e-4)
        _targets = torch.from_numpy(_rng.integers(0, _config.vocab_size, (2, 7)))
        _loss = -_want.double().log_softmax(-1).gather(-1, _targets[..., None]).mean()
        check.close(_model(_tokens, _targets), _loss.item(), f"loss, {_kind}", atol=1e-4)
        _wide = torch.from_numpy(_rng.integers(0, _config.vocab_size, (2, 8)))
        _wide[0, 2:5], _wide[1, 7] = -100, -100
        _kept = _wide[:, 1:] >= 0
        _loss = -_want.double().log_softmax(-1).gather(-1, _wide[:, 1:].clamp(min=0)[..., None])[..., 0][_kept].mean()
        check.close(
            _model(_tokens, _wide[:, 1:]),
            _loss.item(),
            f"loss with targets[:, 1:], a slice in which four are -100, {_kind}",
            atol=1e-4,
            hint="the targets need not be contiguous; where one is -100 there is no loss; the mean is over the rest",
        )
    _Attention.given.clear()
    _model = Llama(Config(17, 24, 2, 4, 4, 40, rope_theta=300.0)).bfloat16()
    _tokens = torch.from_numpy(_rng.integers(0, 17, (1, 3)))
    _cache = _Cache(2)
    _model(_tokens, cache=_cache)
    _logits16 = _model(_tokens[:, :2], cache=_cache)
    check.equal(
        [(positions, layer) for positions, _, layer in _Attention.given],
        [([0, 1, 2], 0), ([0, 1, 2], 1), ([3, 4], 0), ([3, 4], 1)],
        "positions and layer that the attention of each block gets; 3 tokens, then 2 with a cache",
    )
    for _, _frequencies, _ in _Attention.given:
        check.close(
            _frequencies,
            _plain(6, 300.0),
            "frequencies that a block gets in model.bfloat16()",
            rtol=4e-6,
            dtype=torch.float32,
            hint="a buffer is converted together with the parameters",
        )
    check.equal(str(_logits16.dtype), "torch.bfloat16", "dtype of the logits of model.bfloat16()")
with by_hand(), check.using(**_parts):
    _model = Llama(Config(17, 24, 2, 4, 2, 40))
    _model(_tokens, _tokens).backward()
    _without = sorted(name for name, p in _model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0)
    check.equal(_without, [], "parameters that get no gradient from the loss")
### END HIDDEN TESTS

# %% [markdown]
# ### 4.2 Writing
#
# To write a text, run the prompt through the model once; this is called **prefill**. The logits of its last token
# choose the first new one. From then on feed the model one token at a time, the one that it has just chosen. This is
# **decoding**. *Greedy* means: take the token with the largest logit.
#
# **A worked example.** A prompt of 5 tokens and 3 new ones: the model runs three times, over 5 tokens, 1 and 1.
# Together 7, because the last new token is never fed. Without a cache it would be $5 + 6 + 7 = 18$.
#
# **Build** `generate`.
#
# <details><summary>Hint 1</summary>
#
# `logits[:, -1].argmax(-1, keepdim=True)` has the shape (batch, 1), just what the next call needs.
#
# </details>


# %% exercise="generate" minutes=15 difficulty=2
def generate(model: Llama, prompt: Int[Tensor, "batch length"], count: int) -> Int[Tensor, "batch total"]:
    """Go on with each prompt by `count` tokens, greedily, with a KVCache.

    Args:
        model: called as model(tokens, cache=cache), exactly `count` times: with the whole prompt, then with the one
            token of each sequence that was chosen last. Nothing is recorded for a backward pass.
        prompt: (batch, length) int64, at least one token. Not changed.
        count: how many new tokens, 0 or more.

    Returns:
        (batch, length + count) int64: the prompts and what follows. Of equal logits the first wins.
    """
    ### BEGIN SOLUTION
    cache, tokens, new = KVCache(model.config.layers), prompt, prompt
    with torch.no_grad():
        for _ in range(count):
            new = model(new, cache=cache)[:, -1].argmax(-1, keepdim=True)  # (batch, 1)
            tokens = torch.cat((tokens, new), dim=1)
    return tokens
    ### END SOLUTION


# %% test="generate" points=4
class Counter:
    """A model whose next token is the sum of all tokens so far, mod 10. It notes how many tokens it is fed."""

    def __init__(self):
        self.config, self.fed, self.caches, self.recording = Config(10, 2, 3, 1, 1, 2), [], set(), []

    def __call__(self, tokens, targets=None, cache=None):
        assert cache is not None, "generate calls model(tokens, cache=cache)"
        self.fed.append(tuple(tokens.shape))
        self.caches.add(id(cache))
        self.recording.append(torch.is_grad_enabled())
        for layer in range(self.config.layers):
            seen, _ = cache.append(layer, tokens[:, None, :, None].float(), tokens[:, None, :, None].float())
        sums = seen[:, 0, :, 0].cumsum(-1)[:, -tokens.shape[1] :]  # (batch, new)
        return -(sums[..., None] % 10 - torch.arange(10)).abs()  # largest where it is the sum


with by_hand():
    model, prompt = Counter(), torch.tensor([[1, 2, 0, 0, 3], [4, 0, 5, 0, 0]])
    check.equal(
        generate(model, prompt, 3).tolist(),
        [[1, 2, 0, 0, 3, 6, 2, 4], [4, 0, 5, 0, 0, 9, 8, 6]],
        "generate(a model that adds up what it has seen, prompts (2, 5), 3)",
        likely={
            "the new tokens are right, but the prompts belong in front of them": [[6, 2, 4], [9, 8, 6]],
            "it is fed the whole text each time, and the cache has that already": [
                [1, 2, 0, 0, 3, 6, 8, 8],
                [4, 0, 5, 0, 0, 9, 7, 2],
            ],
        },
    )
    check.equal(
        model.fed,
        [(2, 5), (2, 1), (2, 1)],
        "shapes of the tokens that the model is called with",
        hint="the whole prompt once, then one token at a time",
    )
### BEGIN HIDDEN TESTS
_rng = check.rng(9)


class _Cache:
    """In place of the answer's own KVCache."""

    def __init__(self, layers):
        self.held = [None] * layers

    def append(self, layer, key, value):
        old = self.held[layer]
        self.held[layer] = (key, value) if old is None else (torch.cat((old[0], key), 2), torch.cat((old[1], value), 2))
        return self.held[layer]

    def __len__(self):
        return 0 if self.held[-1] is None else self.held[-1][0].shape[2]

    @property
    def nbytes(self):
        return sum(k.nbytes + v.nbytes for k, v in filter(None, self.held))


def _expected(prompt, count):
    rows = [list(row) for row in prompt]
    for row in rows:
        for _ in range(count):
            row.append(sum(row) % 10)
    return rows


with by_hand(), check.using(KVCache=_Cache):
    for _batch, _length, _count in ((3, 4, 6), (1, 1, 5), (2, 6, 1), (4, 3, 0)):
        _model, _prompt = Counter(), torch.from_numpy(_rng.integers(0, 10, (_batch, _length)))
        with check.unchanged("generate(model, prompt, count)", _prompt):
            _got = generate(_model, _prompt, _count)
        _call = f"generate(model, prompts ({_batch}, {_length}), {_count})"
        check.equal(_got.tolist(), _expected(_prompt.tolist(), _count), _call)
        _fed = [(_batch, _length), *[(_batch, 1)] * (_count - 1)][:_count]
        check.equal(_model.fed, _fed, f"shapes that the model is called with by {_call}")
        check.equal(len(_model.caches), min(_count, 1), f"caches in {_call}")
        check.equal(any(_model.recording), False, f"whether autograd records in {_call}")
        check.equal(str(_got.dtype), "torch.int64", f"dtype of {_call}")
    check.equal(torch.is_grad_enabled(), True, "whether autograd records after generate")
    _model = Counter()
    _ties = type(
        "Ties",
        (),
        {"config": _model.config, "__call__": lambda self, t, targets=None, cache=None: _model(t, cache=cache) * 0},
    )()
    check.equal(
        generate(_ties, torch.tensor([[3, 3]]), 2).tolist(), [[3, 3, 0, 0]], "tokens where all logits are equal"
    )
    _close = type(
        "Close",
        (),
        {"config": _model.config, "__call__": lambda self, t, targets=None, cache=None: _model(t, cache=cache) * 1e-4},
    )()
    check.equal(
        generate(_close, torch.tensor([[3, 5]]), 3).tolist(),
        [[3, 5, 8, 6, 2]],
        "tokens where the logits are 1e-4 apart",
        hint="compare the logits as they are; probabilities in 16 bits make near ones equal",
    )
### END HIDDEN TESTS

# %% [markdown]
# ### 4.3 A book, and what the cache is worth
#
# Train your Llama on real text, byte by byte: one token is one byte, so there are 256 of them. Half a minute is little
# for a model; the cell prints two marks to measure it by. A model that knows only how often each byte occurs (a
# unigram model, week 3) needs so many bits per byte; zlib, which looks for repetitions, needs so many.

# %% explore
book = corpus.default()
text, held_out = corpus.byte_tokens(book.train), corpus.byte_tokens(book.valid)
writer_config = Config(256, dim=128, layers=4, heads=4, kv_heads=2, hidden_dim=256)
torch.manual_seed(0)
writer = Llama(writer_config)


def read(model, steps, progress=None):
    data = train.batches(text, 4, 128, torch.Generator().manual_seed(0))
    return train.fit(model, data, steps, lr=3e-3, progress=progress)


trial = Llama(writer_config)
read(trial, 5)  # the first steps of all are slow
start = time.perf_counter()
read(trial, 20)
speed = 20 / (time.perf_counter() - start)
read(writer, max(100, min(900, round(30 * speed))), "your Llama reads")  # about 30 s
with torch.no_grad():
    inputs, targets = next(train.batches(held_out, 64, 128, torch.Generator().manual_seed(1)))
    unseen = writer(inputs, targets).item()
print(f"{sum(p.numel() for p in writer.parameters()):,} parameters; {book.name}")
shares = (torch.bincount(text, minlength=256) + 1.0) / (len(text) + 256)
packed = 8 * len(zlib.compress(book.valid.encode(), 9)) / len(held_out)
print(f"bits per byte on text that it has not seen: {train.bits_per_byte(unseen):.2f} (8.00 when it knew nothing)")
print(f"single bytes by their frequency: {-shares.log2()[held_out].mean().item():.2f}; zlib: {packed:.2f}\n")
opening = book.valid.split("\n\n")[1][:60]


def goes_on(model, count=200):
    """What a model of bytes writes behind the opening."""
    tokens = generate(model, corpus.byte_tokens(opening)[None], count)[0, len(opening.encode()) :]
    return bytes(tokens.tolist()).decode(errors="replace")


@torch.no_grad()
def sampled(model, count=300, temperature=0.7):
    """The same with a draw instead of the likeliest byte."""
    cache, new, out = KVCache(writer_config.layers), corpus.byte_tokens(opening)[None], []
    for _ in range(count):
        new = torch.multinomial((model(new, cache=cache)[:, -1] / temperature).softmax(-1), 1)
        out.append(new.item())
    return bytes(out).decode(errors="replace")


print(opening + "| greedy:" + goes_on(writer, 100) + "\n")
print(opening + "| sampled:" + sampled(writer))

# %% [markdown]
# Greedy decoding runs in circles: the likeliest token behind a phrase is what followed it the last time. A draw gets
# out
# of them. Both use your cache.
#
# What does the next token cost, with a cache and without? Without one, the whole text goes through the model again.


# %% explore
@torch.no_grad()
def milliseconds(run, repeat=9):
    """The fastest of some runs, after one to warm up: what disturbs a run only makes it slower."""
    run()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1000 * min(times)


lengths, whole, step = [64, 128, 256, 512, 1024, 2048], [], []
for length in lengths:
    tokens = text[None, :length]
    cache = KVCache(writer_config.layers)
    with torch.no_grad():
        writer(tokens, cache=cache)
    whole.append(milliseconds(lambda tokens=tokens: writer(tokens)))
    step.append(milliseconds(lambda tokens=tokens, cache=cache: writer(tokens[:, :1], cache=cache)))

figure, axis = plt.subplots()
axis.loglog(lengths, whole, "o-", color=plots.RED, label="without a cache: all tokens again")
axis.loglog(lengths, step, "o-", color=plots.GREEN, label="with a cache: one token")
axis.set(
    xticks=lengths,
    xticklabels=lengths,
    xlabel="tokens so far",
    ylabel="time for the next token (ms)",
    title="What the next token costs",
)
axis.minorticks_off()
axis.legend()
plots.show(
    figure,
    alt="Time for the next token against the number of tokens so far, on log axes. Without a cache it grows with the "
    "length, and faster in the end; with a cache it stays nearly level.",
)
print(f"one token leaves {cache.nbytes / len(cache):,.0f} bytes in the cache of this model (fp32)")
print(f"Llama 3 70B, bf16: {2 * 80 * 8 * 128 * 2 / 1024:.0f} KiB")

# %% [markdown]
# ### 4.4 How a wrong pairing looks
#
# Now break it, the way it happens in the wild: your model was trained with halves. Pretend that somebody took its
# weights for interleaved ones and "converted" them. All shapes are right, and nothing is raised. The figure asks for
# the loss at each position of the text.

# %% explore
broken = Llama(writer_config)
broken.load_state_dict(
    {
        name: interleaved_to_half(w, writer_config.heads if "query" in name else writer_config.kv_heads)
        if "attention.query" in name or "attention.key" in name
        else w
        for name, w in writer.state_dict().items()
    }
)


@torch.no_grad()
def bits_by_position(model):
    logits = model(inputs)
    losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)
    return losses.mean(0) / math.log(2)


inputs, targets = next(train.batches(held_out, 256, 128, torch.Generator().manual_seed(2)))
right, wrong = bits_by_position(writer), bits_by_position(broken)
figure, axis = plt.subplots()
axis.plot(wrong, color=plots.RED, lw=1.5, label="rows of another pairing")
axis.plot(right, color=plots.BLUE, lw=1.5, label="as trained")
axis.plot(0, right[0], "o", color=plots.GREEN, ms=8, label="position 0: one key, so its share is 1")
axis.set(
    xscale="symlog",
    xlim=(-0.2, 127),
    xticks=[0, 1, 3, 10, 30, 100],
    xticklabels=[0, 1, 3, 10, 30, 100],
    ylim=(0, 1.05 * float(wrong.max())),
    xlabel="position of the token",
    ylabel="loss (bits per byte)",
    title="The same weights, read with another pairing",
)
axis.minorticks_off()
axis.legend(loc="lower right")
plots.show(
    figure,
    alt="Loss by position on a logarithmic axis. Both curves start at the same point, which is marked. As trained, the "
    "loss falls as the context grows and then stays level; with the wrong pairing it ends well above.",
)

# %% [markdown]
# The first position agrees: its token sees only itself, so its softmax is 1, whatever the rotation. A test with one
# token passes. This is why parity tests compare logits over a whole sequence.

# %% [markdown]
# ### 4.5 A needle in a longer haystack
#
# Part 2 stretched frequencies. Does it help? Now you have a model to find out with. A small test of the kind that
# the papers use (Chen et al. hide a passkey in a long text): letters at
# random,
# one of them behind a mark, and at the very end a question mark. The answer is the letter behind the mark.
#
# The needle model is a Llama of two layers, trained on haystacks of 32 letters. To solve the task, it needs two kinds
# of position at once. The first layer has to tell each token what stood *one step* before it, which takes fast
# hands. The second has to find the token behind the mark *anywhere*, also where no training example ever had it.

# %% explore
LETTERS, MARK, ASK, TRAINED = 16, 16, 17, 32


def haystacks(batch, length, generator, questions=1):
    """Letters with one needle: the letter behind MARK is the answer wherever ASK stands (one of them at the end)."""
    tokens = torch.randint(LETTERS, (batch, length), generator=generator)
    where = torch.randint(length - 3 if questions == 1 else length // 2, (batch, 1), generator=generator)
    room = length - where - 2
    asks = where + 2 + (torch.rand(batch, questions, generator=generator) * room).long()
    asks[:, 0] = length - 1
    answers = tokens.gather(1, where + 1)
    tokens.scatter_(1, where, MARK).scatter_(1, asks, ASK)
    return tokens, torch.full_like(tokens, -100).scatter_(1, asks, answers.expand_as(asks))  # -100: no loss here


def endless(generator):
    while True:
        yield haystacks(64, TRAINED, generator, questions=6)


torch.manual_seed(1)
seeker = Llama(Config(LETTERS + 2, dim=64, layers=2, heads=2, kv_heads=2, hidden_dim=128))
train.fit(seeker, endless(torch.Generator().manual_seed(2)), steps=400, lr=5e-3, weight_decay=0.0)


@torch.no_grad()
def found(length, frequencies):
    """Share of 256 needles that the model finds at this length, when its hands turn with these frequencies."""
    tokens, targets = haystacks(256, length, torch.Generator().manual_seed(length))
    x = seeker.embedding(tokens)
    for block in seeker.blocks:
        x = block(x, torch.arange(length), frequencies)
    answers = seeker.head(seeker.norm(x[:, -1])).argmax(-1)
    return (answers == targets[:, -1]).float().mean().item()


hands = rope_frequencies(32)
stretched = {
    "as trained": lambda s: hands,
    "interpolation": lambda s: interpolated(hands, s),
    "NTK-aware": lambda s: rope_frequencies(32, ntk_theta(10000.0, 32, s)),
    "Llama 3.1": lambda s: llama3_frequencies(hands, s, original=TRAINED),
}
factors = [1, 1.5, 2, 4, 8]
figure, axis = plt.subplots()
for (name, frequencies), color, marker in zip(
    stretched.items(), (plots.GREY, plots.ORANGE, plots.PURPLE, plots.BLUE), "sDo^", strict=True
):
    shares = [100 * found(round(TRAINED * s), frequencies(s)) for s in factors]
    axis.plot([TRAINED * s for s in factors], shares, marker=marker, color=color, label=name)
axis.axhline(100 / LETTERS, color=plots.GREY, ls=":", lw=1.2)
axis.text(TRAINED, 100 / LETTERS + 2, "guessing", color=plots.GREY, fontsize=9)
axis.set(
    xscale="log",
    xticks=[32, 64, 128, 256],
    xticklabels=["32\n(trained)", "64", "128", "256"],
    ylim=(0, 104),
    xlabel="length of the haystack (tokens)",
    ylabel="needles found (%)",
    title="Retrieval beyond the length of the training, without any fine-tuning",
)
axis.minorticks_off()
axis.legend()
plots.show(
    figure,
    alt="Share of needles found against the length of the haystack, from 32 to 256 tokens, for four sets of "
    "frequencies, and a dotted line for guessing. All four begin at the same point, at the trained length, and fall.",
)

# %% [markdown]
# Nothing was fine-tuned here, and a model of some 80,000 parameters that has seen 32 positions is no Llama. Do not be
# surprised if interpolation loses to doing nothing: it keeps all angles within what was seen, but it changes *every*
# hand, and with them the "one step back" that the first layer lives on; the fine-tuning that it was made for is
# missing. *As trained*, fast hands are as they were, and slow hands reach angles that they never had. *NTK-aware* slows
# the middle hands by too little: only the very slowest is slowed by the whole factor. Llama 3.1's rule keeps the fast
# hands and slows the slow ones by the whole factor; in the three seeds that we tried it held out longest. The order of
# the other three changed from seed to seed. Put in seeds of your own, and see what stays.
#
# In a real model a phase of training at the new length follows, and then even plain interpolation does well. Llama 3
# went from 8K to 128K tokens in six stages (arXiv 2407.21783, section 3.4.2).

# %% [markdown]
# ## Part 5. Somebody else's weights
#
# Everything is there to read a model that somebody else has trained. The one for this lesson is
# **SmolLM2-135M-Instruct**
# (Hugging Face, 2024): a Llama with 30 layers, 9 query heads, 3 key and value heads, $\theta = 100000$, and a head
# tied to
# the embedding. It comes as a **GGUF** file, the format of llama.cpp: a list of named tensors, most of them quantised
# to
# a few bits, and of settings.
#
# The names in it are llama.cpp's. And its rows are llama.cpp's: the converter that makes a GGUF of a Llama reorders
# the rows of $W_q$ and $W_k$, head by head, from halves to neighbours. You have the way back: `interleaved_to_half`.
#
# | in the GGUF file | in your `Llama` |
# |---|---|
# | `token_embd.weight` | `embedding.weight` |
# | `blk.N.attn_norm.weight` | `blocks.N.attention_norm.weight` |
# | `blk.N.attn_q.weight` | `blocks.N.attention.query.weight` |
# | `blk.N.attn_k.weight` | `blocks.N.attention.key.weight` |
# | `blk.N.attn_v.weight` | `blocks.N.attention.value.weight` |
# | `blk.N.attn_output.weight` | `blocks.N.attention.output.weight` |
# | `blk.N.ffn_norm.weight` | `blocks.N.mlp_norm.weight` |
# | `blk.N.ffn_gate.weight` | `blocks.N.mlp.gate.weight` |
# | `blk.N.ffn_up.weight` | `blocks.N.mlp.up.weight` |
# | `blk.N.ffn_down.weight` | `blocks.N.mlp.down.weight` |
# | `output_norm.weight` | `norm.weight` |
# | `output.weight`, absent where the head is tied | `head.weight` |
#
# **A worked example.** With 9 query heads and 3 key heads of 64 features, `blk.0.attn_q.weight` has 576 rows and
# `blk.0.attn_k.weight` has 192. The rows of both are reordered within heads of 64, so the second has 3 heads, not 9.
# Reorder it as 9 heads of some 21 rows and you get a `ValueError`, as 192 is no multiple of 18; in another model you
# would get nonsense.
#
# **Build** `weights_from_gguf`.
#
# <details><summary>Hint 1</summary>
#
# `name.split(".")` gives `["blk", "7", "attn_q", "weight"]`. A dictionary does the rest.
#
# </details>


# %% exercise="weights_from_gguf" minutes=20 difficulty=3
def weights_from_gguf(tensors: dict[str, Tensor], config: Config) -> dict[str, Tensor]:
    """The state dict of a Llama from the tensors of a GGUF file.

    Args:
        tensors: by their names in the file, already dequantised; matrices are (outputs, inputs), as in nn.Linear. The
            rows of attn_q and attn_k are in neighbours, those of a Llama in halves. Tensors that are not in the table
            above (such as rope_freqs.weight, or blk.0.attn_q.bias) are to be left out. Not changed.
        config: of the model.

    Returns:
        What Llama(config).load_state_dict takes: the names of the table's right column. head.weight is the file's
        output.weight, and where the file has none, the embedding. The file decides this, not config.tied.
    """
    ### BEGIN SOLUTION
    whole = {"token_embd": "embedding", "output_norm": "norm", "output": "head"}
    in_block = {
        "attn_norm": "attention_norm",
        "attn_q": "attention.query",
        "attn_k": "attention.key",
        "attn_v": "attention.value",
        "attn_output": "attention.output",
        "ffn_norm": "mlp_norm",
        "ffn_gate": "mlp.gate",
        "ffn_up": "mlp.up",
        "ffn_down": "mlp.down",
    }
    heads = {"attn_q": config.heads, "attn_k": config.kv_heads}
    weights = {"head.weight": tensors["token_embd.weight"]}  # unless the file has an output of its own
    for name, tensor in tensors.items():
        match name.split("."):
            case ["blk", number, part, "weight"] if part in in_block:
                tensor = interleaved_to_half(tensor, heads[part]) if part in heads else tensor
                weights[f"blocks.{number}.{in_block[part]}.weight"] = tensor
            case [part, "weight"] if part in whole:
                weights[f"{whole[part]}.weight"] = tensor
    return weights
    ### END SOLUTION


# %% test="weights_from_gguf" points=4
config = Config(vocab_size=3, dim=12, layers=1, heads=2, kv_heads=1, hidden_dim=4)
rows = torch.arange(12.0)[:, None].expand(12, 12)  # row number as the value
file = {
    "token_embd.weight": torch.ones(3, 12),
    "blk.0.attn_norm.weight": torch.ones(12),
    "blk.0.attn_q.weight": rows,
    "blk.0.attn_k.weight": rows[:6],
    "blk.0.attn_v.weight": rows[:6],
    "blk.0.attn_output.weight": torch.ones(12, 12),
    "blk.0.ffn_norm.weight": torch.ones(12),
    "blk.0.ffn_gate.weight": torch.ones(4, 12),
    "blk.0.ffn_up.weight": torch.ones(4, 12),
    "blk.0.ffn_down.weight": torch.ones(12, 4),
    "output_norm.weight": torch.ones(12),
}
with by_hand():
    weights = weights_from_gguf(file, config)
    check.equal(
        sorted(weights),
        sorted(
            [
                *("embedding.weight", "head.weight", "norm.weight"),
                *(f"blocks.0.attention.{part}.weight" for part in ("query", "key", "value", "output")),
                *(f"blocks.0.mlp.{part}.weight" for part in ("gate", "up", "down")),
                *("blocks.0.attention_norm.weight", "blocks.0.mlp_norm.weight"),
            ]
        ),
        "names of the weights",
        hint="a tied model has no output.weight in the file, but head.weight in the state dict",
    )
    for part, order in (
        ("query", [0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11]),
        ("key", [0, 2, 4, 1, 3, 5]),
        ("value", [0, 1, 2, 3, 4, 5]),
    ):
        check.equal(
            weights[f"blocks.0.attention.{part}.weight"][:, 0].int().tolist(),
            order,
            f"order of the rows of the {part} matrix",
            likely={
                "the other direction, from halves to neighbours": [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11][: len(order)],
                "the rows are those of the file: for queries and keys they have to be reordered": list(
                    range(len(order))
                ),
                "values are not turned, so their rows are not reordered": [0, 2, 4, 1, 3, 5],
            },
        )
### BEGIN HIDDEN TESTS
_rng = check.rng(10)


def _by_rows(weight, heads):
    d = len(weight) // heads
    return torch.stack([weight[h * d + j] for h in range(heads) for j in (*range(0, d, 2), *range(1, d, 2))])


_parts = [
    ("attn_norm", "attention_norm", lambda c: (c.dim,)),
    ("attn_q", "attention.query", lambda c: (c.heads * c.head_dim, c.dim)),
    ("attn_k", "attention.key", lambda c: (c.kv_heads * c.head_dim, c.dim)),
    ("attn_v", "attention.value", lambda c: (c.kv_heads * c.head_dim, c.dim)),
    ("attn_output", "attention.output", lambda c: (c.dim, c.heads * c.head_dim)),
    ("ffn_norm", "mlp_norm", lambda c: (c.dim,)),
    ("ffn_gate", "mlp.gate", lambda c: (c.hidden_dim, c.dim)),
    ("ffn_up", "mlp.up", lambda c: (c.hidden_dim, c.dim)),
    ("ffn_down", "mlp.down", lambda c: (c.dim, c.hidden_dim)),
]


def _draw(*shape):
    return torch.from_numpy(_rng.standard_normal(shape)).float()


with by_hand(), check.using(interleaved_to_half=_by_rows):
    for _config, _own in (
        (Config(7, 48, 12, 4, 2, 9), False),
        (Config(5, 30, 2, 5, 5, 8, tied=False), True),
        (Config(6, 60, 1, 6, 1, 7, tied=False), True),
        (Config(6, 16, 1, 2, 1, 7, tied=False), False),
        (Config(6, 16, 1, 2, 1, 7), True),
    ):
        _file = {"rope_freqs.weight": _draw(3), "token_embd.weight": _draw(_config.vocab_size, _config.dim)}
        _want = {"embedding.weight": _file["token_embd.weight"], "head.weight": _file["token_embd.weight"]}
        for _n in range(_config.layers):
            for _theirs, _ours, _shape in _parts:
                _w = _file[f"blk.{_n}.{_theirs}.weight"] = _draw(*_shape(_config))
                _heads = {"attn_q": _config.heads, "attn_k": _config.kv_heads}.get(_theirs)
                _want[f"blocks.{_n}.{_ours}.weight"] = _by_rows(_w, _heads) if _heads else _w
        _file["output_norm.weight"] = _want["norm.weight"] = _draw(_config.dim)
        for _part, _rows in (("attn_q", _config.dim), ("attn_output", _config.dim), ("ffn_up", _config.hidden_dim)):
            _file[f"blk.0.{_part}.bias"] = _draw(_rows)
        if _own:
            _file["output.weight"] = _want["head.weight"] = _draw(_config.vocab_size, _config.dim)
        _names = list(_file)
        with check.unchanged("weights_from_gguf(tensors, config)", *_file.values()):
            _got = weights_from_gguf(_file, _config)
        _kind = f"{_config.layers} layers, {_config.heads} heads, {_config.kv_heads} kv heads, output.weight: {_own}"
        check.equal(list(_file), _names, f"names in `tensors` after the call, {_kind}")
        check.equal(sorted(_got), sorted(_want), f"names of the weights, {_kind}")
        for _name in sorted(_want):
            check.close(_got[_name], _want[_name], f"{_name}, {_kind}", atol=0)
### END HIDDEN TESTS

# %% [markdown]
# ### 5.1 Ask it something
#
# The file is not part of the course's installation: `llmsys fetch-data smollm2` brings it once, 98 MB. Without it the
# cells below say so in a line, and the lesson is complete all the same. `smollm2.tensors()` reads the file with the
# package `gguf`, and dequantises the 4-bit weights to fp32, which takes some seconds; rows are still llama.cpp's.

# %% explore
if smollm2.path() is None:
    print("SmolLM2 is not on this machine; fetch it once, and run this cell again: llmsys fetch-data smollm2")
else:
    start = time.perf_counter()
    facts = smollm2.config()
    names = ("vocab_size", "dim", "layers", "heads", "kv_heads", "hidden_dim", "rope_theta", "norm_eps")
    smol_config = Config(**{name: facts[name] for name in names})
    file = smollm2.tensors()
    smol = Llama(smol_config)
    smol.load_state_dict(weights_from_gguf(file, smol_config))
    unordered = {name: w for name, w in file.items() if "attn_q" in name or "attn_k" in name}  # for the next cell
    del file
    count = sum(p.numel() for p in smol.parameters())
    print(f"{count / 1e6:.1f} M parameters in your Llama, after {time.perf_counter() - start:.0f} s")

# %% explore
if smollm2.path() is not None:
    tokenizer = smollm2.tokenizer()

    def answer(question, count=20):
        """The model's answer, and new tokens per second."""
        prompt = torch.tensor([tokenizer.encode(smollm2.chat(question)).ids])
        start = time.perf_counter()
        new = generate(smol, prompt, count)[0, prompt.shape[1] :].tolist()
        speed = count / (time.perf_counter() - start)
        return tokenizer.decode(new[: new.index(smollm2.END)] if smollm2.END in new else new), speed

    def first_tokens(question, count=16):
        """What comes out, special tokens and all, not cut at the end of the answer."""
        prompt = torch.tensor([tokenizer.encode(smollm2.chat(question)).ids])
        new = generate(smol, prompt, count)[0, prompt.shape[1] :].tolist()
        return tokenizer.decode(new, skip_special_tokens=False)

    questions = ["What is the capital of France?", "How many days are there in a week?"]
    print("rows reordered, as your weights_from_gguf does it:")
    for question in questions:
        reply, speed = answer(question)
        print(f"  {question}\n    {reply!r}   ({speed:.0f} tokens/s, prompt included)")

    ordered = {name: w.clone() for name, w in smol.state_dict().items() if ".query." in name or ".key." in name}
    smol.load_state_dict(
        {
            f"blocks.{name.split('.')[1]}.attention.{'query' if 'attn_q' in name else 'key'}.weight": w
            for name, w in unordered.items()
        },
        strict=False,
    )
    print("\nrows as they are in the file, the first tokens that come out:")
    for question in questions:
        print(f"  {question}\n    {first_tokens(question)!r}")
    smol.load_state_dict(ordered, strict=False)

# %% [markdown]
# That is a language model of the real kind, in code that you wrote, on a machine without a network. It is a small one:
# ask it to add 17 and 25, and do not be surprised. Week 6 takes it from there.
#
# ## In production
#
# **One table for all layers.** Your model computes cosines and sines anew in each layer, twice. transformers makes them
# once per forward pass, at the top of the model, and hands them down; vLLM keeps one table for all positions up to the
# maximum, made at the start, and a fused kernel looks up the rows and turns queries and keys in place. RoPE does few
# operations for each byte, so what
# counts is how often the data is read.
#
# **Which pairing?** vLLM's rotary layers have a flag for it (`is_neox_style`, after GPT-NeoX: halves; the other style
# is GPT-J's: neighbours), because both kinds of weights are about. FlashAttention's rotary kernels call it
# `interleaved`. In llama.cpp, each architecture is listed with its rope type, *norm* or *neox*; Llama is *norm*, which
# is why its converter reorders rows.
#
# **The cache, in pages.** Your cache joins tensors, so step $n$ copies $n$ tokens. Serving systems cannot allocate the
# longest possible text for each request either: most of it would stay empty. vLLM cuts the cache into **blocks** of
# a few tokens (16 by default), in a common pool, with a table from a sequence's blocks to the pool's, like
# the page
# table of an operating system: PagedAttention (arXiv 2309.06180). Sequences that begin alike share blocks. Since keys
# carry
# their own absolute rotation, a shared prefix must begin at position 0 in both.
#
# **Less to keep.** Grouped-query attention divides the cache by the size of a group. DeepSeek-V2's multi-head latent
# attention (arXiv 2405.04434) keeps one compressed vector for each token instead of keys and values. RoPE stands in the
# way: a rotation between compression and key can't be merged into the matrices. So a small part of each key is kept
# apart,
# uncompressed, and only this part is turned (*decoupled RoPE*).
#
# **Not every layer, not every feature.** GPT-NeoX turns only a quarter of each head. Llama 4 leaves RoPE out in every
# fourth layer, and Gemma 3 gives its local layers the base 10000 and its global ones 1000000. All of this is one `if`
# away from your code.

# %% [markdown] question="positions_in_cache" points=4
# **One open question.** A service keeps a chat going for hours, with a model that was trained on 8192 positions. When
# its cache holds 8192 tokens, it drops the oldest 4096 of every layer and goes on.
#
# 1. Keys are stored as in this lesson, turned. Which position must the next token get after the drop? Why would it make
#    no difference to subtract 4096 from all positions, those of the cached keys included? And what exactly goes wrong
#    when the next token gets the position `len(cache)`?
# 2. In a second version the first four tokens of the chat always stay, and the drop begins behind them (without them,
#    quality collapses: "attention sinks"). Positions are the true ones. After 100,000 tokens of chat, what is it about
#    the four tokens that the model has never met? How would it help to store the keys *unturned*, and to turn them at
#    each step by their place in the cache, and what does it cost?
# 3. Take the first version, with right positions. Is its output the same as if the dropped tokens had never been
#    written?
#
# ### BEGIN MARK SCHEME
# One point for each of 1a, 1b, 2 and 3.
#
# 1a. Position 8192, its true one: count on. A score depends on the difference of the two positions only, so the same
#     number taken from both sides changes nothing.
# 1b. `len(cache)` is 4096, while the cached keys still carry the rotations of positions 4096 to 8191. The newest key
#     seems to stand 4095 places in the *future* of the token (4096 - 8191), and every distance is off by 4096. No error
#     is raised, and the mask does not notice. A cache that drops needs a counter apart from its length. (Either the
#     shift by 4096 or the negative distances is enough, if it is said that no error shows it.)
# 2.  The other tokens are at most 8191 away, as in training. The four are up to 100,000 away: at angles of the slow
#     hands that no training example had. Unturned keys can get new positions: by place in the cache, the gap is closed,
#     and all distances stay below 8192. (This is what StreamingLLM does.) Cost: at each step all cached keys are turned
#     again, in every layer, work proportional to the length instead of one token's (bandwidth too, unless it happens
#     inside
#     the attention kernel). Half a point without the cost. An answer that gives large *absolute* positions as the
#     problem, and does not say that only differences enter a score, gets half.
# 3.  No. From the second layer on, keys and values were computed from hidden states that had attended to the dropped
#     tokens; something of them lives on. Only the first layer's keys and values depend on their own token alone. (So
#     the reach is up to layers times 4096, as with sliding-window attention.)
# ### END MARK SCHEME

# %% [markdown]
# ## References
#
# - Su et al. 2021, [RoFormer: enhanced transformer with rotary position
#   embedding](https://arxiv.org/abs/2104.09864): sections 3.2 (the rotation) and 3.4.3 (decay)
# - Touvron et al. 2023, [LLaMA](https://arxiv.org/abs/2302.13971); Grattafiori et al. 2024, [The Llama 3 herd of
#   models](https://arxiv.org/abs/2407.21783): the model, its base of 500000, its long-context phase
# - Chen et al. 2023, [Extending context window of large language models via positional
#   interpolation](https://arxiv.org/abs/2306.15595): part 2, and the bound
# - Peng et al. 2023, [YaRN](https://arxiv.org/abs/2309.00071): NTK-aware, by parts, and the softmax's temperature
# - Meta, [llama-models](https://github.com/meta-llama/llama-models): `apply_scaling` and the interleaved rotation
# - Ainslie et al. 2023, [GQA](https://arxiv.org/abs/2305.13245): fewer key and value heads
# - Kwon et al. 2023, [Efficient memory management for large language model serving with
#   PagedAttention](https://arxiv.org/abs/2309.06180)
# - Xiao et al. 2023, [Efficient streaming language models with attention sinks](https://arxiv.org/abs/2309.17453):
#   dropping from the middle of a cache
# - DeepSeek-AI 2024, [DeepSeek-V2](https://arxiv.org/abs/2405.04434): latent attention and decoupled RoPE
# - Allal et al. 2025, [SmolLM2](https://arxiv.org/abs/2502.02737): the model of part 5
