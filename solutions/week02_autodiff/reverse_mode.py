# %% [markdown]
# # 2.1 Reverse mode: from one derivative to an engine that trains a network
#
# **How does a framework find seven billion derivatives in the time of three forward passes?**
#
# A 7-billion-parameter model turns a batch into one number, the loss. A training step needs the derivative of the
# loss with respect to every parameter. The definition of a derivative suggests how: nudge one parameter, run the
# model again, see how far the loss moved. Say that a run takes one second. Then one training step takes
# $7 \cdot 10^9$ seconds, more than 220 years. PyTorch takes about three seconds: one for the forward pass, two for
# the backward pass. And its derivatives have more correct digits.
#
# The trick is called **reverse-mode automatic differentiation**. It is less than a page of code. In this lesson you
# write that page for numbers; for arrays the class is given, and you write the mathematics that it calls:
#
# | part | you build | so that you can |
# |---|---|---|
# | 1 | finite differences, dual numbers | differentiate with respect to *one* input |
# | 2 | a scalar engine: `Value` | differentiate with respect to *all* inputs, in one pass |
# | 3 | a tensor engine: `Tensor` on NumPy | do so for whole arrays |
# | 4 | a checker and a training loop | trust it, and train a network with it |
# | 5 | measurements | see what a gradient costs, and why reverse mode won |
#
# Everything that you write is Python and NumPy in `float64`. PyTorch appears in tests and comparisons only, as the
# judge.
#
# You need: the chain rule, matrix multiplication, Python classes. Fourteen exercises of about 230 minutes together,
# and one question: 46 points. Beside the tests that you see there are hidden ones, which check the whole docstring:
# read each to its end.
#
# The types in the signatures are those of [jaxtyping](https://docs.kidger.site/jaxtyping/): `Float[ndarray, "n k"]` is
# an array of floats with two axes, named `n` and `k`. The same name means the same length, and `...` any axes at all.

# %%
import functools
import gc
import math
import sys  # this and functools: for the tests
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from rich.progress import track

from llmsys import check, plots

plots.style()

# %% [markdown]
# ## Part 1. One derivative
#
# ### 1.1 Nudge the input
#
# The derivative of $f$ at $x$ is how fast $f$ moves when $x$ does. So move $x$ by a small step $h$, in both
# directions, and see:
#
# $$f'(x) \approx \frac{f(x+h) - f(x-h)}{2h}$$
#
# This is the **central difference**. For $f(x) = x^2$ at $x = 3$ with $h = 0.5$: $f(3.5) = 12.25$ and
# $f(2.5) = 6.25$, so the estimate is $6 / 1 = 6$, which is exact. The one-sided quotient $(f(x+h) - f(x))/h$ gives
# $6.5$.
#
# You will not train with it, but you will never trust a gradient without it: `torch.autograd.gradcheck` compares
# PyTorch's own derivatives with central differences, and your own checker will do the same in part 4.
#
# **Build** `central_difference`.
#
# <details><summary>Hint 1</summary>
#
# The two points are $2h$ apart. Python reads `a / 2 * h` from left to right, as `(a / 2) * h`.
#
# </details>


# %% exercise="central_difference" minutes=5 difficulty=1
def central_difference(f: Callable[[float], float], x: float, h: float = 6e-6) -> float:
    """Estimate f'(x) from the values of f at x - h and at x + h.

    Args:
        f: a smooth function of one number. It is called twice, at these two points, in either order.
        x: where to differentiate.
        h: the step, any number above 0. It is taken as it is, whatever the size of x.

    Returns:
        The central difference. Its error is about h**2 / 6 * f'''(x), plus round-off.

    Raises:
        ValueError: h is zero or negative.
    """
    ### BEGIN SOLUTION
    if h <= 0:
        raise ValueError(f"the step is {h}, but must be above 0")
    return (f(x + h) - f(x - h)) / (2 * h)
    ### END SOLUTION


# %% test="central_difference" points=1
check.close(
    central_difference(lambda x: x**3, 2.0, 0.5),
    12.25,
    "central_difference(x³, x=2, h=0.5)",
    likely={"the derivative itself is 12; use the step that was passed": 12.0},
    hint="by hand: (2.5³ - 1.5³) / 1",
)
check.close(
    central_difference(lambda x: x**2, 3.0, 0.5),
    6.0,
    "central_difference(x², x=3, h=0.5)",
    likely={
        "one-sided: the step goes to the right only": 6.5,
        "one-sided: the step goes to the left only": 5.5,
        "divided by h, but the two points are 2h apart": 12.0,
        "`/ 2 * h` multiplies by h": 1.5,
        "the sign: it is f(x + h) minus f(x - h)": -6.0,
    },
    hint="use the step h that was passed: by hand, (3.5² - 2.5²) / 1",
)
check.raises(ValueError, "central_difference(math.exp, 0.0, h=0.0)", central_difference, math.exp, 0.0, 0.0)
### BEGIN HIDDEN TESTS
_rng = check.rng(1)
for _h in (0.4, 0.05, 0.002):
    _x = float(_rng.uniform(0.5, 2.5))
    # The central difference of sin is cos(x) sin(h) / h exactly. Round-off: eps in each of two values, divided by 2h.
    check.close(
        central_difference(math.sin, _x, _h),
        math.cos(_x) * math.sin(_h) / _h,
        "central_difference(sin)",
        atol=1e-15 / _h,
    )
    check.close(
        central_difference(lambda x: 3 * x * x - x, _x, _h),
        6 * _x - 1,
        "central_difference(3x² - x)",
        atol=4e-14 / _h,
        hint="the central difference of a parabola is exact for every h",
    )
check.close(central_difference(lambda x: 5 - 2 * x, 1.0, 0.25), -2.0, "central_difference(5 - 2x, x=1), which falls")
_seen = []
central_difference(lambda x: _seen.append(x) or x, 1.0, 0.25)
check.equal(sorted(_seen), [0.75, 1.25], "the points at which central_difference(f, 1.0, 0.25) calls f")
_seen = []
central_difference(lambda x: _seen.append(x) or x, 4096.0, 0.25)
check.equal(
    sorted(_seen),
    [4095.75, 4096.25],
    "the points at which central_difference(f, 4096.0, 0.25) calls f",
    hint="the step is h, also where x is large",
)
try:
    _tiny = central_difference(lambda x: 3 * x, 0.0, 1e-100)
except ValueError:
    _tiny = math.nan
check.close(_tiny, 3.0, "central_difference(3x, x=0, h=1e-100)", hint="every step above 0 is allowed")
check.close(central_difference(math.exp, 0.0), 1.0, "central_difference(exp, 0.0), default step", atol=1e-9)
check.raises(ValueError, "central_difference(math.sin, 1.0, h=-0.1)", central_difference, math.sin, 1.0, -0.1)
### END HIDDEN TESTS

# %% [markdown]
# ### How small a step?
#
# Two errors pull in opposite directions.
#
# - **Truncation.** Taylor's series gives
#   $f(x \pm h) = f \pm h f' + \tfrac{h^2}{2} f'' \pm \tfrac{h^3}{6} f''' + \dots$ In the difference the even terms
#   cancel, and the quotient is $f' + \tfrac{h^2}{6} f'''$. The error falls as $h^2$.
# - **Round-off.** A `float64` holds 16 digits: each value of $f$ is off by up to $\varepsilon |f|$, with
#   $\varepsilon \approx 2.2 \cdot 10^{-16}$. Subtracting two nearly equal numbers keeps this error, and dividing by
#   $h$ blows it up to $\varepsilon |f| / h$.
#
# The sum $E(h) = \tfrac{h^2}{6}|f'''| + \tfrac{\varepsilon |f|}{h}$ is smallest where its derivative is zero:
#
# $$\frac{h}{3}|f'''| = \frac{\varepsilon |f|}{h^2} \quad\Rightarrow\quad
# h^* = \left(3 \varepsilon \left|\frac{f}{f'''}\right|\right)^{1/3} \sim \varepsilon^{1/3} \approx 6 \cdot 10^{-6}$$
#
# There $E \sim \varepsilon^{2/3} \approx 4 \cdot 10^{-11}$. So at best you get two thirds of the digits. A step that
# looks safely small is worse: $10^{-12}$ gets some four digits, $10^{-15}$ one at best.
#
# The one-sided quotient has truncation $\tfrac h2 f''$, so
# its best step is $\sim\varepsilon^{1/2}$ and it gets half of the digits. Does your function agree?

# %% explore
steps = np.logspace(-15, -0.5, 120)
exact = math.exp(1.0)
central = [abs(central_difference(math.exp, 1.0, h) - exact) for h in steps]
one_sided = [abs((math.exp(1.0 + h) - exact) / h - exact) for h in steps]
eps = np.finfo(np.float64).eps

figure, axis = plt.subplots()
axis.loglog(steps, one_sided, ".", color=plots.ORANGE, label="one-sided difference")
axis.loglog(steps, central, ".", color=plots.BLUE, label="yours: central difference")
axis.loglog(steps, exact * steps**2 / 6, "--", color=plots.GREY, lw=1.2, label=r"truncation  $h^2 |f'''| / 6$")
axis.loglog(steps, exact * eps / steps, ":", color=plots.GREY, lw=1.6, label=r"round-off  $\varepsilon |f| / h$")
axis.axvline(eps ** (1 / 3), ymax=0.72, color=plots.GREEN, lw=1.2, label=r"$h = \varepsilon^{1/3}$")
axis.set(ylim=(1e-13, 30), xlabel="step h", ylabel="absolute error", title="Error of a finite difference: exp at x = 1")
axis.legend(loc="upper center", ncols=2, fontsize=9)
plots.show(
    figure,
    alt="Error against step on log axes. The central difference falls as h squared down to a minimum near 6e-6, below "
    "which round-off makes it grow again; the one-sided difference has its minimum near 1e-8 and is worse.",
)

# %% [markdown]
# ### 1.2 Carry the derivative along: dual numbers
#
# A finite difference throws digits away because it subtracts. So don't subtract: compute the derivative *next to* the
# value, by the rules of calculus, one operation at a time. Write a number as
#
# $$a + a'\varepsilon, \qquad \varepsilon^2 = 0$$
#
# where $a$ is the value, $a'$ is the **tangent** (how fast the value moves), and $\varepsilon$ is now a symbol, not
# round-off. Multiply two such **dual numbers** as you would any brackets:
#
# $$(a + a'\varepsilon)(b + b'\varepsilon) = ab + (a'b + ab')\varepsilon$$
#
# The product rule falls out. The other operations come from the same rule,
# $f(a + a'\varepsilon) = f(a) + f'(a)\,a'\varepsilon$; for a quotient, the tangent is $(a' b - a b') / b^2$.
#
# **A worked example.** $f(x, y) = xy + x$ at $(3, 2)$. How does $f$ move when $x$ does? Seed $x$ with tangent 1 and
# $y$ with tangent 0: $xy = (3 + 1\varepsilon)(2 + 0\varepsilon) = 6 + 2\varepsilon$, and adding $x$ gives
# $9 + 3\varepsilon$. The value is 9, and $\partial f / \partial x = 3$.
#
# With other seeds $v_1, \dots, v_n$ the tangent of the result is $\sum_i v_i\, \partial f / \partial x_i$: the
# derivative in the direction $v$. The **Jacobian** of a function is the matrix of the derivatives of each output with
# respect to each input; this is the Jacobian times a vector, hence the name **jvp** (Jacobian-vector product), and
# the whole method is called **forward mode**, because derivatives travel in the direction of the computation.
# `torch.func.jvp` and `jax.jvp` do this. One pass gives one direction.
#
# The class below is given. Its operators call functions that you write.


# %%
@dataclass(frozen=True)
class Dual:
    """value + tangent * ε, with ε² = 0."""

    value: float
    tangent: float = 0.0

    def __add__(self, other: "Dual | float") -> "Dual":
        other = as_dual(other)
        return Dual(self.value + other.value, self.tangent + other.tangent)

    def __neg__(self) -> "Dual":
        return Dual(-self.value, -self.tangent)

    def __sub__(self, other: "Dual | float") -> "Dual":
        return self + -as_dual(other)

    def __mul__(self, other: "Dual | float") -> "Dual":
        return dual_mul(self, as_dual(other))

    def __truediv__(self, other: "Dual | float") -> "Dual":
        return dual_div(self, as_dual(other))

    def exp(self) -> "Dual":
        return dual_exp(self)

    __radd__, __rmul__ = __add__, __mul__


def as_dual(x: "Dual | float") -> Dual:
    """A plain number does not move: its tangent is 0."""
    return x if isinstance(x, Dual) else Dual(x)


# %% [markdown]
# **Build** the three rules, and `jvp`, which seeds the inputs, runs the function once and reads off the result.
#
# <details><summary>Hint 1</summary>
#
# In `dual_exp`, the derivative of exp at `a.value` says how the result moves when the value moves by one. The value
# moves by `a.tangent`.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `jvp` needs no loop over directions: input $i$ enters as `Dual(x[i], v[i])`, all of them in one call.
#
# </details>


# %% exercise="dual" minutes=15 difficulty=2
def dual_mul(a: Dual, b: Dual) -> Dual:
    """a * b by the product rule, for any values, 0 among them."""
    ### BEGIN SOLUTION
    return Dual(a.value * b.value, a.tangent * b.value + a.value * b.tangent)
    ### END SOLUTION


def dual_div(a: Dual, b: Dual) -> Dual:
    """a / b by the quotient rule; neither b.value nor its square is 0."""
    ### BEGIN SOLUTION
    return Dual(a.value / b.value, (a.tangent * b.value - a.value * b.tangent) / b.value**2)
    ### END SOLUTION


def dual_exp(a: Dual) -> Dual:
    """e to the power of a, for every a whose exponential a float can hold."""
    ### BEGIN SOLUTION
    return Dual(math.exp(a.value), math.exp(a.value) * a.tangent)
    ### END SOLUTION


def jvp(f: Callable[[list[Dual]], Dual], x: Sequence[float], v: Sequence[float]) -> tuple[float, float]:
    """Value of f and its derivative in the direction v, by one call of f.

    Args:
        f: takes a list of n Duals, returns a Dual.
        x: the n numbers at which to differentiate. They may be what behaves like a number; part 5 sends numbers through
            that count their multiplications, so use them as they are, without `float(...)`.
        v: the direction, n numbers.

    Returns:
        (f(x), sum over i of v[i] * ∂f/∂x[i]), a tuple of two numbers.
    """
    ### BEGIN SOLUTION
    result = f([Dual(x_i, v_i) for x_i, v_i in zip(x, v, strict=True)])
    return result.value, result.tangent
    ### END SOLUTION


# %% test="dual" points=2
six = dual_mul(Dual(3.0, 1.0), Dual(2.0, 5.0))
check.close(
    [six.value, six.tangent],
    [6.0, 17.0],
    "dual_mul(Dual(3, 1), Dual(2, 5)): value, tangent",
    likely={
        "the tangents were multiplied; the product rule is a'b + ab'": [6.0, 5.0],
        "the values are crossed; it is a'b + ab'": [6.0, 13.0],
        "half of the product rule is missing": [6.0, 2.0],
    },
)
ratio = dual_div(Dual(3.0, 1.0), Dual(2.0, 5.0))
check.close(
    [ratio.value, ratio.tangent],
    [1.5, -3.25],
    "dual_div(Dual(3, 1), Dual(2, 5)): value, tangent",
    likely={
        "the sign: a' b comes first": [1.5, 3.25],
        "the division by b² is missing": [1.5, -13.0],
        "divided by b, not by b²": [1.5, -6.5],
        "the tangents were divided": [1.5, 0.2],
    },
)
one = dual_exp(Dual(0.0, 3.0))
check.close(
    [one.value, one.tangent],
    [1.0, 3.0],
    "dual_exp(Dual(0, 3)): value, tangent",
    likely={"the chain rule is missing: times a.tangent": [1.0, 1.0]},
)
check.close(
    jvp(lambda x: x[0] * x[1] + x[0], [3.0, 2.0], [1.0, 0.0]),
    (9.0, 3.0),
    "jvp(xy + x, x=[3, 2], v=[1, 0])",
    likely={"every input was seeded with 1, not with v": (9.0, 6.0)},
)
### BEGIN HIDDEN TESTS
_rng = check.rng(2)


def _f(x):
    return (x[0] * x[1] - x[2]).exp() / (x[2] * x[2] + 1.5) + 2.0 * x[0] * x[0]


_runs = []


def _counted(x):
    _runs.append(len(x))
    return _f(x)


_x, _v = _rng.uniform(0.3, 1.2, 3).tolist(), _rng.uniform(-2.0, 2.0, 3).tolist()
_leaves = torch.tensor(_x, dtype=torch.float64, requires_grad=True)
_out = _f(_leaves)
_tangent = float(np.dot(torch.autograd.grad(_out, _leaves)[0].numpy(), _v))
_result = jvp(_counted, _x, _v)
check.that(
    isinstance(_result, tuple) and len(_result) == 2, "jvp(f, x, v): expected the pair (value, directional derivative)"
)
# Terms of mixed sign may cancel: the tolerance is 100 eps of the size of the terms, which is below 50.
check.close(_result, (_out.item(), _tangent), "jvp(f, x, v) for a function with exp, /, * and -", atol=1e-12)
check.equal(len(_runs), 1, "calls of f by jvp(f, x, v)", hint="one pass carries all the tangents at once")
_a, _b = Dual(float(_rng.uniform(1, 3)), 2.0), Dual(-float(_rng.uniform(1, 3)), -0.5)
_r = dual_div(dual_mul(_a, _b), _b)
check.close([_r.value, _r.tangent], [_a.value, _a.tangent], "dual_div(dual_mul(a, b), b) is a", atol=1e-13)
_r = dual_exp(_b)
check.close([_r.value, _r.tangent], [math.exp(_b.value), -0.5 * math.exp(_b.value)], "dual_exp(Dual(b, -0.5))", terms=8)
check.close(jvp(lambda x: x[0] * x[0] * x[0], [2.0], [0.0]), (8.0, 0.0), "jvp(x³, x=[2], v=[0])")
for _pair, _want in (((Dual(0.0, 2.0), Dual(3.0, 5.0)), [0.0, 6.0]), ((Dual(0.0, 2.0), Dual(0.0, 5.0)), [0.0, 0.0])):
    try:
        _r = dual_mul(*_pair)
    except ZeroDivisionError:
        _r = Dual(math.nan, math.nan)
    check.close(
        [_r.value, _r.tangent], _want, "dual_mul with a factor 0", atol=1e-12, hint="a'b + ab' divides by nothing"
    )
_r = dual_div(Dual(3.0, 0.0), Dual(2.0, 5.0))
check.close([_r.value, _r.tangent], [1.5, -3.75], "dual_div(Dual(3, 0), Dual(2, 5)): a does not move, but b does")
for _power in (50.0, -50.0):
    _r = dual_exp(Dual(_power, 2.0))
    _want = [1.0, 2.0]  # as multiples of the value; exp of 50 amplifies the rounding of its argument by 50
    check.close(np.array([_r.value, _r.tangent]) / math.exp(_power), _want, f"dual_exp(Dual({_power:g}, 2))", terms=64)
_kinds = []
jvp(lambda x: _kinds.append((isinstance(x, list), all(isinstance(d, Dual) for d in x))) or x[0], [1.0, 2.0], [0.0, 1.0])
check.equal(_kinds, [(True, True)], "jvp(f, x, v) hands f (a list, of Duals)", hint="also where v is 0")
### END HIDDEN TESTS

# %% [markdown]
# Forward mode is exact to the last digit or so. But it answers the question "what does *this one* input do to
# everything that follows?" A gradient with seven billion entries needs seven billion seeds, and so seven billion
# passes. The 220 years are still there.
#
# ## Part 2. All derivatives at once
#
# ### 2.1 The same chain, multiplied from the other end
#
# Let $y = f_3(f_2(f_1(x)))$ with 1000 inputs, two layers of 1000 numbers, and one output. The chain rule says
#
# $$\frac{dy}{dx} = J_3 \, J_2 \, J_1 \qquad \text{with shapes } (1 \times 1000)(1000 \times 1000)(1000 \times 1000)$$
#
# where $J_k$ is the Jacobian of $f_k$. From right to left (forward mode, for all inputs) you first multiply two big
# matrices: $10^9$ multiplications. From left to right (**reverse mode**) there is always a single row:
# $2 \cdot 10^6$. The product is the same, only the brackets moved.
#
# In the language of passes: forward mode pushes one column (a seed) at a time through $J_1$, $J_2$, $J_3$, and needs
# 1000 of them. Reverse mode pulls the one row through $J_3$, $J_2$, $J_1$.
#
# From left to right means: start at the output, where $dy/dy = 1$, and walk back to the inputs. But the Jacobians
# depend on values that the forward pass computes. So reverse mode has two halves:
#
# 1. **Forward:** compute, and write down for each operation what its inputs were and its **local derivatives**, those
#    of its output with respect to its inputs.
# 2. **Backward:** walk through these notes from the end to the start.
#
# `Value`, below, is a number that takes such notes. Read it once: every operator goes through `record`, which asks
# `local_derivatives` (you write it) for the numbers to note.

# %%
FORWARD = {
    "+": lambda a, b: a + b,
    "*": lambda a, b: a * b,
    "**": lambda a, n: a**n,
    "exp": math.exp,
    "log": math.log,
    "tanh": math.tanh,
    "relu": lambda a: max(a, 0.0),
}


class Value:
    """A number that remembers how it was made."""

    def __init__(self, data: float, parents: tuple = (), partials: tuple = (), op: str = ""):
        self.data = data  # the number
        self.grad = 0.0  # d root / d self, once backward(root) has run
        self.parents = parents  # the Values that it was computed from
        self.partials = partials  # d self / d parent, one for each parent
        self.op = op

    def __repr__(self):
        return f"Value({self.data:.4g}, grad={self.grad:.4g})"

    def __add__(self, other):
        return record("+", self, as_value(other))

    def __mul__(self, other):
        return record("*", self, as_value(other))

    def __pow__(self, n):
        if isinstance(n, Value):
            raise TypeError("the exponent is a plain number")
        return record("**", self, n)

    def exp(self):
        return record("exp", self)

    def log(self):
        return record("log", self)

    def tanh(self):
        return record("tanh", self)

    def relu(self):
        return record("relu", self)

    def __neg__(self):
        return self * -1.0

    def __sub__(self, other):
        return self + -other

    def __rsub__(self, other):
        return as_value(other) - self

    def __truediv__(self, other):
        return self * as_value(other) ** -1

    def __rtruediv__(self, other):
        return as_value(other) / self

    __radd__, __rmul__ = __add__, __mul__


def as_value(x):
    """A plain number becomes a Value without parents."""
    return x if isinstance(x, Value) else Value(x)


def record(op, a, b=None):
    """Compute one operation and note its parents and local derivatives."""
    parents = tuple(x for x in (a, b) if isinstance(x, Value))
    x, y = a.data, b.data if isinstance(b, Value) else b
    out = FORWARD[op](x) if y is None else FORWARD[op](x, y)
    return Value(out, parents, local_derivatives(op, x, y, out), op)


# %% [markdown]
# ### 2.2 Local derivatives
#
# This table is all the calculus in the engine. Two things are worth a look. The derivatives of some operations are
# cheapest from the *output*: for $e^a$ the derivative is the output itself. PyTorch's rules make the same choice,
# operation by operation, because what a rule uses must be kept in memory until the backward pass. And `relu` has a
# kink at 0, where no derivative exists; any number between 0 and 1 would do, and everybody takes 0.
#
# **A worked example.** `local_derivatives("*", 3.0, 2.0, 6.0)` is `(2.0, 3.0)`: when the first factor moves by one,
# the product moves by the *second* factor.
#
# **Build** `local_derivatives`.
#
# <details><summary>Hint 1</summary>
#
# With $t = \tanh a$: $\;\frac{dt}{da} = 1 - t^2$. Which of the arguments is $t$?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# A tuple with a single entry is written `(x,)`.
#
# </details>


# %% exercise="local_derivatives" minutes=15 difficulty=2
def local_derivatives(op: str, a: float, b: float | None, out: float) -> tuple[float, ...]:
    """The derivatives of one operation's output with respect to its inputs.

    | op     | out         | inputs | note                                        |
    |--------|-------------|--------|---------------------------------------------|
    | "+"    | a + b       | a, b   |                                             |
    | "*"    | a * b       | a, b   |                                             |
    | "**"   | a ** b      | a      | b is a constant; a is not 0 unless b >= 1   |
    | "exp"  | e ** a      | a      |                                             |
    | "log"  | ln a        | a      | a is above 0                                |
    | "tanh" | tanh a      | a      | any a, even 1000: must not overflow         |
    | "relu" | max(a, 0)   | a      | the derivative at a = 0 is 0                |

    Args:
        op: one of the seven above.
        a, b: the inputs; b is None where the operation has only one.
        out: the output, already computed.

    Returns:
        A tuple (a list will do) with one number for each name in the column "inputs": two for "+" and "*", one for the
        others.

    Raises:
        ValueError: any other op.
    """
    ### BEGIN SOLUTION
    match op:
        case "+":
            return (1.0, 1.0)
        case "*":
            return (b, a)
        case "**":
            return (b * a ** (b - 1),)
        case "exp":
            return (out,)
        case "log":
            return (1 / a,)
        case "tanh":
            return (1 - out**2,)
        case "relu":
            return (1.0 if a > 0 else 0.0,)
        case _:
            raise ValueError(f"no rule for {op!r}")
    ### END SOLUTION


# %% test="local_derivatives" points=3
check.close(
    local_derivatives("*", 3.0, 2.0, 6.0),
    (2.0, 3.0),
    'local_derivatives("*", a=3, b=2)',
    likely={"the derivative with respect to a is b, and the other way round": (3.0, 2.0)},
)
check.close(
    local_derivatives("**", 2.0, 3, 8.0),
    (12.0,),
    'local_derivatives("**", a=2, b=3)',
    likely={
        "the exponent does not go down by one": (24.0,),
        "the factor in front is missing": (4.0,),
        "a tuple with one entry is written (x,)": 12.0,
    },
    hint="one derivative: b is a constant",
)
check.close(
    local_derivatives("tanh", 0.5, None, math.tanh(0.5)),
    (1 / math.cosh(0.5) ** 2,),
    'local_derivatives("tanh", a=0.5)',
    atol=1e-15,
    likely={"1 - a², but it is 1 - out²": (0.75,)},
)
check.close(local_derivatives("relu", -1.0, None, 0.0), (0.0,), 'local_derivatives("relu", a=-1)')
### BEGIN HIDDEN TESTS
for _op, _b, _want in (("+", 2.0, (1.0, 1.0)), ("*", 2.0, (2.0, 0.0)), ("exp", None, (1.0,)), ("tanh", None, (1.0,))):
    try:
        _got = local_derivatives(_op, 0.0, _b, FORWARD[_op](*([0.0] if _b is None else [0.0, _b])))
    except ZeroDivisionError:
        _got = math.nan
    check.close(_got, _want, f'local_derivatives("{_op}", a=0)', hint="compute only what this op needs")
_rng = check.rng(3)
_torch = {"+": torch.add, "*": torch.mul, "exp": torch.exp, "log": torch.log, "tanh": torch.tanh, "relu": torch.relu}
for _op, _function in _torch.items():
    for _a in (float(_rng.uniform(0.2, 0.9)), float(_rng.uniform(1.5, 3.0)), -float(_rng.uniform(0.2, 2.0))):
        if _op == "log" and _a < 0:
            continue
        _inputs = [_a, -1.7 * _a] if _op in "+*" else [_a]
        _leaves = [torch.tensor(i, dtype=torch.float64, requires_grad=True) for i in _inputs]
        _out = _function(*_leaves)
        _expected = [float(d) for d in torch.autograd.grad(_out, _leaves)]
        # 1 - out² and 1 / cosh² differ by a few eps of 1, not of the small result: hence an absolute tolerance.
        check.close(
            local_derivatives(_op, _inputs[0], _inputs[1] if len(_inputs) > 1 else None, _out.item()),
            _expected,
            f'local_derivatives("{_op}", ...)',
            rtol=1e-14,
            atol=4e-15,
        )
for _a, _n in ((2.5, -1), (2.5, 0.5), (-1.5, 2), (-1.5, 3), (0.0, 1), (0.0, 2), (1.2, -2.5)):
    _t = torch.tensor(_a, dtype=torch.float64, requires_grad=True)
    (_t**_n).backward()
    try:
        _got = local_derivatives("**", _a, _n, _a**_n)
    except ZeroDivisionError:
        _got = "ZeroDivisionError"
    check.close(_got, (_t.grad.item(),), f'local_derivatives("**", a={_a}, b={_n})', rtol=1e-14)
check.equal(tuple(local_derivatives("relu", 0.0, None, 0.0)), (0.0,), 'local_derivatives("relu", a=0): 0 at the kink')
for _a in (1000.0, -1000.0):
    try:
        _steep = tuple(local_derivatives("tanh", _a, None, math.tanh(_a)))
    except OverflowError:
        _steep = "OverflowError"
    check.equal(
        _steep, (0.0,), f'local_derivatives("tanh", a={_a:g})', hint="cosh(a) and exp(a) overflow there; use out"
    )
check.raises(ValueError, 'local_derivatives("sin", ...)', local_derivatives, "sin", 1.0, None, math.sin(1.0))
### END HIDDEN TESTS

# %% [markdown]
# ### 2.3 In which order?
#
# Going back, a node hands its gradient on to its parents. It may do so only when its own gradient is complete: when
# *every* node that uses it has handed over its share. Take
#
# ```text
#        ┌──────────► d         b = 2a
#   a ───┤            ▲         c = b²
#        └──► b ──► c ┘         d = a + c
# ```
#
# From `d`, both `a` and `c` are one step away. Go level by level, and `a` is processed right after `d`, before `b`
# has handed over its share. An order that works puts every node after all its parents: `a, b, c, d`. This is a
# **topological order**. Walk through it from the end, and every node comes after all the nodes that use it.
#
# Graphs get deep. A recurrent network over 10,000 tokens is a chain of tens of thousands of nodes, and Python stops
# at about 1000 nested calls. So you do it without recursion. Graphs also get many paths: ten times `x = x + x` has
# 1024 paths but 11 nodes. You visit nodes, not paths.
#
# **Build** `topological_order`. It works on any object with an attribute `parents`, like the `Node` in the next cell.
# (`assert_topological`, there, belongs to the tests and says what makes an order right.)
#
# <details><summary>Hint 1</summary>
#
# Recursively it would be: visit all parents that have not been visited, then append yourself. To get rid of the
# recursion, keep your own stack.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# A node passes the stack twice: the first time you push its parents on top of it, the second time they are done and
# you append it. A flag in the stack entry tells the two apart.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# A node may wait on the stack more than once, if several nodes use it. Decide whether it is new when you take it
# *off* the stack, not when you put it on.
#
# </details>


# %%
class Node:
    """The least that topological_order needs: something with parents."""

    def __init__(self, name, *parents):
        self.name, self.parents = name, parents

    def __repr__(self):
        return self.name


def assert_topological(order, root, nodes, call):
    """`order` holds each of `nodes` once, parents first, root last."""
    check.that(isinstance(order, list), f"{call}\n  returned  {type(order).__name__}\n  expected  a list")
    names = str([node.name for node in order[:12]]) + ("..." if len(order) > 12 else "")
    at = {id(node): i for i, node in enumerate(order)}
    check.that(len(at) == len(order), f"{call}\n  got       {names}\n  a node stands in it twice")
    missing = [node for node in nodes if id(node) not in at]
    check.that(not missing, f"{call}\n  got       {names}\n  {missing[:1]} is missing, and {len(missing)} in all")
    check.that(len(order) == len(nodes), f"{call}\n  got       {names}\n  {len(order)} nodes instead of {len(nodes)}")
    late = [f"{node} stands before its parent {p}" for node in order for p in node.parents if at[id(p)] > at[id(node)]]
    check.that(not late, f"{call}\n  got       {names}\n  {late[:1]}")
    check.that(order[-1] is root, f"{call}\n  got       {names}\n  the last one should be the root")


# %% exercise="topological_order" minutes=25 difficulty=3
def topological_order(root) -> list:
    """All nodes that `root` depends on, each after its parents.

    Args:
        root: a node. A node has an attribute `parents`, a tuple of nodes, empty for a leaf. The same parent may stand
            in it twice (x * x). Nodes are hashable and told apart by identity (`is`; `==` and `hash` mean the same),
            and there are no cycles. The nodes are left as they were: no marks stay, and `parents` is not used up.

    Returns:
        A list that holds root and everything it can reach through `parents`, each node once, every node after all of
        its parents; so root is the last. If several orders do this, any of them.

    Depth is limited by memory only: a chain of 20,000 nodes works, and the recursion limit is not touched. The time is
    proportional to the number of nodes and edges, however many paths there are; the tests count, they do not time.
    """
    ### BEGIN SOLUTION
    order, seen, stack = [], set(), [(root, False)]
    while stack:
        node, parents_done = stack.pop()
        if parents_done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack += [(parent, False) for parent in node.parents]
    return order
    ### END SOLUTION


# %% test="topological_order" points=4
a = Node("a")
b = Node("b", a)
c = Node("c", b)
d = Node("d", a, c)
assert_topological(topological_order(d), d, [a, b, c, d], "topological_order(d), the graph of the text")

chain = [Node("x0")]
for i in range(1, 20_000):
    chain.append(Node(f"x{i}", chain[-1]))
try:
    order = topological_order(chain[-1])
except RecursionError:
    order = None
check.that(
    order is not None, "topological_order of a chain of 20,000 nodes\n  RecursionError: keep a stack of your own"
)
assert_topological(order, chain[-1], chain, "topological_order of a chain of 20,000 nodes")
### BEGIN HIDDEN TESTS
_rng = check.rng(4)


class _Compared(Node):
    """Counts comparisons: a set makes next to none, a list one for each node that it holds."""

    count = 0

    def __eq__(self, other):
        _Compared.count += 1
        if _Compared.count > 40_000:
            check.that(
                False,
                "topological_order of a chain of 2,000 nodes\n"
                "  compares nodes more than 40,000 times: `in` and `index` walk through a list; use a set",
            )
        return self is other

    __hash__ = Node.__hash__


_nodes = [_Compared("x0")]
for _i in range(1, 2000):
    _nodes.append(_Compared(f"x{_i}", _nodes[-1]))
assert_topological(topological_order(_nodes[-1]), _nodes[-1], _nodes, "topological_order of a chain of 2,000 nodes")

_s = Node("s")
_p = Node("p", _s)
_q = Node("q", _s, _p)
_before = [dict(vars(_node)) for _node in (_s, _p, _q)]
for _which in ("first", "second"):
    assert_topological(topological_order(_q), _q, [_s, _p, _q], f"topological_order, the {_which} call on one graph")
    check.that(
        [vars(_node) for _node in (_s, _p, _q)] == _before,
        "topological_order\n  changes the nodes; they belong to the caller, so keep your notes in a set of your own",
    )
assert_topological(topological_order(_p), _p, [_s, _p], "topological_order of a graph of which more was seen before")


class _Watched(Node):
    """Counts how often parents are looked at, so that following every path is noticed before it takes forever."""

    reads, budget = 0, 20_000

    @property
    def parents(self):
        _Watched.reads += 1
        if _Watched.reads > _Watched.budget:
            check.that(
                False,
                "topological_order of 40 diamonds in a row (121 nodes, 2^40 paths)\n"
                "  follows every path; remember which nodes were visited already",
            )
        return self._parents

    @parents.setter
    def parents(self, parents):
        self._parents = parents


_limit = sys.getrecursionlimit()
sys.setrecursionlimit(3000)
try:
    with check.forbid("sys.setrecursionlimit", because="leave the recursion limit alone; keep a stack of your own"):
        _nodes = [_Watched("d0")]
        for _i in range(40):
            _top = _nodes[-1]
            _left, _right = _Watched(f"l{_i}", _top), _Watched(f"r{_i}", _top)
            _nodes += [_left, _right, _Watched(f"d{_i + 1}", _left, _right)]
        _order = topological_order(_nodes[-1])
        _Watched.budget = 10**9
        assert_topological(_order, _nodes[-1], _nodes, "topological_order of 40 diamonds in a row")

        _nodes = [Node("s")]
        for _i in range(20_000):  # deep, and every node is used twice by the next
            _nodes.append(Node(f"y{_i}", _nodes[-1], _nodes[-1]))
        try:
            _order = topological_order(_nodes[-1])
        except RecursionError:
            _order = None
        check.that(_order is not None, "topological_order of a deep graph\n  RecursionError: keep a stack of your own")
        assert_topological(_order, _nodes[-1], _nodes, "topological_order of a deep graph, the same parent twice")

        for _trial in range(20):  # every node may be used at any distance; some are not reached from the root
            _nodes = [Node("n")]  # all names equal: nodes are told apart by identity
            for _i in range(1, 30):
                _chosen = _rng.integers(0, _i, size=_rng.integers(1, 4))
                _nodes.append(Node("n", *(_nodes[j] for j in _chosen)))
            _root = _nodes[20]
            _reached, _front = {}, [_root]
            while _front:
                _node = _front.pop()
                if id(_node) not in _reached:
                    _reached[id(_node)] = _node
                    _front += _node.parents
            assert_topological(
                topological_order(_root), _root, list(_reached.values()), "topological_order of a random graph"
            )

        for _first in (0, 1):  # a short cut and a long way to the same node, in both orders
            _s = Node("s")
            _p = Node("p", _s)
            _q = Node("q", _p)
            _r = Node("r", *((_s, _q) if _first else (_q, _s)))
            _t = Node("t", *((_s, _r, _p) if _first else (_p, _r, _s)))
            assert_topological(topological_order(_t), _t, [_s, _p, _q, _r, _t], "topological_order with short cuts")
finally:
    sys.setrecursionlimit(_limit)
_leaf = Node("leaf")
check.equal(topological_order(_leaf), [_leaf], "topological_order of a single node")
### END HIDDEN TESTS

# %% [markdown]
# ### 2.4 Backward
#
# Now the heart of it. Write $\bar x$ for the gradient of the root with respect to a node $x$. If $x$ is used by
# $c_1, c_2, \dots$, then by the chain rule
#
# $$\bar x = \sum_{k} \bar c_k \, \frac{\partial c_k}{\partial x}, \qquad \overline{\text{root}} = 1$$
#
# Each user hands over its own gradient times its local derivative, and the shares **add up**.
#
# **A worked example.** $f = (a + b) \cdot b$ with $a = 2$, $b = 3$. Call the sum $s = 5$, so $f = 15$. Backward:
# $\bar f = 1$. The product hands $\bar s = b = 3$ to $s$, and $s = 5$ to $b$. Then the sum hands $3 \cdot 1$ to $a$
# and $3 \cdot 1$ to $b$. Totals: $\bar a = 3$, $\bar b = 5 + 3 = 8$. If the second share overwrote the first,
# $\bar b$ would be 3.
#
# **What `grad` means.** `backward` *adds* to `node.grad`, it does not set it. PyTorch does the same:
#
# - Set the gradients to zero between two calls, and the second result is right.
# - Forget it, and the second call adds the same again: every `grad` is exactly twice as large. In a training loop it
#   is a bug. Used on purpose it is *gradient accumulation*: several small batches, one big step.
#
# For the second point to hold in the middle of the graph too, a call must hand on what arrived *in this call*, not
# what an earlier call left in `grad`. A node in the middle with an old 3 in `grad` must not hand the 3 on once more.
#
# **Build** `backward`. Your `topological_order` is there to be used. (Part 3 gives you the same walk for arrays, as
# `Tensor.backward`. Write yours first, and compare afterwards.)
#
# <details><summary>Hint 1</summary>
#
# Keep what arrives during this call in a dictionary, node → sum of shares. It starts as `{root: 1.0}`.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Take the nodes in an order in which the sum of each is complete when its turn comes. Then two things are left to do
# with it: one for the node's own `grad`, one for each parent's entry.
#
# </details>


# %% exercise="backward" minutes=25 difficulty=3
def backward(root: Value) -> None:
    """Add d root / d node to `node.grad`, for root and for every node that it depends on.

    Args:
        root: a Value. Every node has `parents`, and `partials` with d node / d parent for each of them; the same
            parent may stand there twice. `grad` holds a number from earlier calls, which may be far larger than what
            this call adds; only the caller sets it to zero.

    Each call adds the same amount: two calls without zeroing in between give twice the gradient in every node. Two
    roots that share a part of the graph give the sum of both gradients there. Each node hands its gradient on once, so
    the time is proportional to the number of edges. A chain of 20,000 nodes works. A gradient is handed on however
    small it is. Nothing but `grad` is changed.
    """
    ### BEGIN SOLUTION
    arrived = {root: 1.0}
    for node in reversed(topological_order(root)):
        gradient = arrived[node]
        node.grad += gradient
        for parent, partial in zip(node.parents, node.partials, strict=True):
            arrived[parent] = arrived.get(parent, 0.0) + gradient * partial
    ### END SOLUTION


# %% test="backward" points=5
a, b = Value(2.0), Value(3.0)
s = Value(5.0, parents=(a, b), partials=(1.0, 1.0))  # a + b
f = Value(15.0, parents=(s, b), partials=(3.0, 5.0))  # s * b
try:
    backward(f)
except KeyError:
    check.that(False, "backward(f)\n  KeyError: a node was taken before anything arrived there; start at the root")
check.close(
    [f.grad, s.grad, a.grad, b.grad],
    [1.0, 3.0, 3.0, 8.0],
    "gradients of f, s, a, b after backward(f)",
    likely={
        "b has two users; the second share overwrote the first": [1.0, 3.0, 3.0, 3.0],
        "b has two users; one of the shares was lost": [1.0, 3.0, 3.0, 5.0],
        "the gradient of the root with respect to itself is 1": [0.0, 0.0, 0.0, 0.0],
        "the nodes were taken from the inputs to the root; start at the root": [1.0, 3.0, 0.0, 5.0],
        "each share is the gradient times the partial": [1.0, 1.0, 1.0, 2.0],
    },
)
backward(f)
check.close(
    [f.grad, s.grad, a.grad, b.grad],
    [2.0, 6.0, 6.0, 16.0],
    "the same after a second backward(f), without zeroing",
    likely={
        "`grad` was set, not added to; or zeroed, which is for the caller to do": [1.0, 3.0, 3.0, 8.0],
        "what the first call left in `grad` was handed on again": [2.0, 9.0, 12.0, 27.0],
        "the root was set to 1, and what the first call left in the others was handed on again": [1.0, 6.0, 9.0, 19.0],
    },
)
### BEGIN HIDDEN TESTS
_rng = check.rng(5)
for _node in (f, s, a, b):
    _node.grad = 0.0
backward(f)
check.close([f.grad, s.grad, a.grad, b.grad], [1.0, 3.0, 3.0, 8.0], "gradients after zeroing and a third backward(f)")

_x = Value(3.0)
_square = Value(9.0, (_x, _x), (3.0, 3.0))
backward(_square)
check.close(
    _x.grad,
    6.0,
    "x.grad after backward(x * x), x = 3",
    likely={"x is both factors; the second share overwrote the first, or x was visited as one parent": 3.0},
)


_a = Value(1.0)
_m = Value(1.0, (_a,), (0.5,))
_root = Value(1.0, (_m,), (0.25,))
_m.grad = 1e20  # left from before
backward(_root)
check.close(
    _a.grad,
    0.125,
    "gradient of the leaf of a chain of three, where the middle's grad was 1e20",
    hint="1e20 + 0.25 is 1e20: the new share can't be told from the difference of grad; keep it apart",
)
_a = Value(1.0)
_root = Value(1.0, (Value(1.0, (_a,), (1e-20,)),), (1e-20,))
backward(_root)
check.close(_a.grad, 1e-40, "gradient of the leaf, two partials of 1e-20", hint="small is not zero: hand it on")
_a, _b = Value(2.0), Value(2.0)  # equal numbers, different nodes
_root = Value(4.0, (_a, _b, Value(2.0, (_a,), (1.0,))), (3.0, 5.0, 7.0))
_before = [(_node.data, _node.parents, _node.partials) for _node in (_root, _a, _b)]
backward(_root)
check.close([_a.grad, _b.grad], [10.0, 5.0], "gradients of two leaves that hold the same number")
check.that(
    [(_node.data, _node.parents, _node.partials) for _node in (_root, _a, _b)] == _before,
    "backward\n  changes data, parents or partials; the next call needs them",
)


class _Compared(Value):
    """Counts comparisons: a dictionary makes next to none, a list one for each node that it holds."""

    count = 0

    def __eq__(self, other):
        _Compared.count += 1
        if _Compared.count > 40_000:
            check.that(
                False,
                "backward through a chain of 2,000 nodes\n"
                "  compares nodes more than 40,000 times: `in` and `index` walk through a list from its start; "
                "use a dictionary",
            )
        return self is other

    __hash__ = Value.__hash__


_top = _start = _Compared(1.0)
for _ in range(2000):
    _top = _Compared(1.0, (_top,), (1.0,))
backward(_top)
check.close(_start.grad, 1.0, "gradient at the start of a chain of 2,000 nodes")


class _Counting(Value):
    """Counts how often parents are looked at."""

    reads, budget = 0, 20_000

    @property
    def parents(self):
        _Counting.reads += 1
        if _Counting.reads > _Counting.budget:
            check.that(
                False,
                "backward through 40 diamonds in a row (121 nodes, 2^40 paths)\n"
                "  follows every path; hand a gradient on once, when it is complete",
            )
        return self._parents

    @parents.setter
    def parents(self, parents):
        self._parents = parents


_top = _start = _Counting(1.0)
for _ in range(40):
    _left, _right = _Counting(1.0, (_top,), (0.5,)), _Counting(1.0, (_top,), (0.75,))
    _top = _Counting(1.0, (_left, _right), (1.0, 0.5))
backward(_top)
_Counting.budget = 10**9
check.close(_start.grad, 0.875**40, "gradient through 40 diamonds in a row", rtol=1e-13)

_limit = sys.getrecursionlimit()
sys.setrecursionlimit(3000)
try:
    _chain = [Value(1.0)]
    for _ in range(20_000):
        _chain.append(Value(1.0, (_chain[-1],), (1.0,)))
    try:
        backward(_chain[-1])
        _deep = "ok"
    except RecursionError:
        _deep = "RecursionError"
    check.equal(
        _deep, "ok", "backward through a chain of 20,000 nodes", hint="no recursion: walk through a topological order"
    )
    check.close(_chain[0].grad, 1.0, "gradient at the start of a chain of 20,000 nodes")
finally:
    sys.setrecursionlimit(_limit)

# Random graphs. With P[i, j] = d node i / d node j, direct, the total derivatives are (I - P)^-1: no walk needed.
for _trial in range(5):
    _n, _nodes = 25, []
    _direct = np.zeros((_n, _n))
    for _i in range(_n):
        _chosen = _rng.integers(0, _i, size=3) if _i else []
        _partials = _rng.uniform(-0.6, 0.6, size=len(_chosen))
        np.add.at(_direct, (_i, np.asarray(_chosen, dtype=int)), _partials)
        _nodes.append(Value(0.0, tuple(_nodes[j] for j in _chosen), tuple(_partials.tolist())))
    _total = np.linalg.inv(np.eye(_n) - _direct)
    backward(_nodes[-1])
    # inv is backward stable: some n eps; the entries are of order 1.
    check.close([v.grad for v in _nodes], _total[-1], "gradients in a random graph of 25 nodes", atol=1e-12)
    backward(_nodes[-4])  # a second root in the same graph, nothing zeroed
    check.close(
        [v.grad for v in _nodes],
        _total[-1] + _total[-4],
        "gradients after backward of a second root, without zeroing",
        atol=1e-12,
        hint="hand on what arrived in this call, not what stands in grad",
    )
_lonely = Value(4.0)
check.equal(backward(_lonely), None, "what backward returns")
check.close(_lonely.grad, 1.0, "gradient of a root without parents")
### END HIDDEN TESTS

# %% [markdown]
# The engine is complete. Below, a single neuron meets its loss, $L = (\tanh(wx + b) - 0.2)^2 + w^2$, with a penalty
# on $w$ so that $w$ is used twice. Every box holds an operation, its value and the gradient of $L$. Start on the
# right, at $\bar L = 1$, and follow an arrow back: can you predict the gradient in the next box? And which two shares
# make up $\bar w$?

# %% explore
x, w, b = Value(2.0), Value(0.5), Value(-0.4)
loss = ((w * x + b).tanh() - 0.2) ** 2 + w**2
backward(loss)

names = {x: "x", w: "w", b: "b", loss: "L = sum"}
words = {"+": "sum", "*": "product", "**": "square"}
nodes = topological_order(loss)
labels = {n: f"{names.get(n, words.get(n.op, n.op))}\n{n.data:.3f}\ngrad {n.grad:.3f}" for n in nodes}
for n in nodes:
    if not n.parents and n not in names:
        labels[n] = f"constant\n{n.data:g}\ngrad {n.grad:.3f}"
plots.show(
    plots.graph(
        labels,
        [(parent, n) for n in nodes for parent in n.parents],
        colors=dict.fromkeys((x, w, b), plots.BLUE) | {loss: plots.GREEN},
        title="Values flow right, gradients flow left",
    ),
    alt="The computation graph of a neuron with a squared loss and a penalty; each box holds a value and a gradient.",
)

# %% [markdown]
# Neither engine asks what a number is. So let the numbers of the second be those of the first: a `Value` whose `data`
# is a `Dual`. Reverse mode then computes the gradient, and forward mode carries along how this gradient moves when $x$
# does. What comes out is a column of the **Hessian**, the matrix of second derivatives.

# %% explore
x, y = Value(Dual(3.0, 1.0)), Value(Dual(2.0, 0.0))  # the direction: x moves, y does not
backward(x * x * y + y)
print("gradient of x²y + y at (3, 2):", [node.grad.value for node in (x, y)], " by hand: 2xy, x² + 1 = 12, 10")
print("its derivative with respect to x:", [node.grad.tangent for node in (x, y)], " by hand: 2y, 2x = 4, 6")

# %% [markdown]
# ## Part 3. From numbers to arrays
#
# ### 3.1 One node for a whole matrix product
#
# A product of two $64 \times 64$ matrices is $64^3 = 262{,}144$ multiplications and $258{,}048$ additions. In the
# scalar engine each one is a Python object. Part 5 measures what that costs; it is why nobody trains with a scalar
# engine.
#
# So let a node be a whole array operation. What does it note? Not its Jacobian: for this product, that has
# $4096 \times 4096$ entries for each of the two inputs, 134 MB apiece. Nor is it needed. Backward only ever uses a
# Jacobian in one way: a gradient comes in, is multiplied by it, and goes out. It is enough to know a function that
# does this:
#
# $$\text{vjp}: \quad g = \frac{\partial L}{\partial y} \;\longmapsto\;
# \frac{\partial L}{\partial x} = g \cdot \frac{\partial y}{\partial x}$$
#
# $L$ is the loss, $y$ the output of the operation, $x$ its input. It is a **vjp**, a vector-Jacobian product, the
# mirror image of forward mode's jvp. Two facts settle most mistakes: **$g$ has the shape of $y$, and the result has
# the shape of $x$.**
#
# `Tensor` is `Value` for arrays: the same notes, with a function `vjp` where the partials were, and the same
# `backward` with `vjp(g)` where `gradient * partial` was. Read it; the functions that it calls and that do not exist
# yet (`unbroadcast`, `matmul_vjp`, ...) are the next exercises. All of them are plain functions from arrays to
# arrays. None may change its inputs, and none may later write into an array that it has returned: the arrays belong to
# other nodes. A result may be a view of an input, and may be read-only.


# %%
class Tensor:
    """A float64 array that remembers how it was made."""

    def __init__(self, data, parents=(), vjp=None):
        self.data = np.asarray(data, dtype=np.float64)
        self.grad = None  # an array of the shape of data, once backward has run
        self.parents = parents
        self.vjp = vjp  # gradient of this tensor -> a tuple with one gradient for each parent

    def __repr__(self):
        return f"Tensor(shape={self.data.shape})"

    def backward(self):
        """Add d self / d node to node.grad, for every node; self holds a single number."""
        arrived = {self: np.ones_like(self.data)}
        for node in reversed(topological_order(self)):
            g = arrived.pop(node)
            node.grad = g if node.grad is None else node.grad + g  # may be read-only, and shared: do not write into it
            if node.parents:
                for parent, share in zip(node.parents, node.vjp(g), strict=True):
                    arrived[parent] = arrived[parent] + share if parent in arrived else share

    # element by element, with broadcasting

    def __add__(self, other):
        x, y = self.data, as_tensor(other).data
        return Tensor(x + y, (self, as_tensor(other)), lambda g: (unbroadcast(g, x.shape), unbroadcast(g, y.shape)))

    def __mul__(self, other):
        x, y = self.data, as_tensor(other).data
        return Tensor(
            x * y, (self, as_tensor(other)), lambda g: (unbroadcast(g * y, x.shape), unbroadcast(g * x, y.shape))
        )

    def __neg__(self):
        return self * -1.0

    def __sub__(self, other):
        return self + -as_tensor(other)

    def __rsub__(self, other):
        return as_tensor(other) - self

    def __truediv__(self, other):
        return self * as_tensor(other) ** -1.0

    def __pow__(self, n):
        return Tensor(self.data**n, (self,), lambda g: (g * n * self.data ** (n - 1),))

    def exp(self):
        out = np.exp(self.data)
        return Tensor(out, (self,), lambda g: (g * out,))

    def tanh(self):
        out = np.tanh(self.data)
        return Tensor(out, (self,), lambda g: (g * (1 - out**2),))

    def relu(self):
        return Tensor(np.maximum(self.data, 0), (self,), lambda g: (g * (self.data > 0),))

    # arrays as a whole

    def __matmul__(self, other):
        other = as_tensor(other)
        if min(self.data.ndim, other.data.ndim) < 2:
            raise ValueError("both factors need two axes or more")
        return Tensor(self.data @ other.data, (self, other), lambda g: matmul_vjp(g, self.data, other.data))

    def sum(self, axis=None, keepdims=False):
        out = self.data.sum(axis=axis, keepdims=keepdims)
        return Tensor(out, (self,), lambda g: (sum_vjp(g, self.data, axis, keepdims),))

    def mean(self, axis=None, keepdims=False):
        out = self.data.mean(axis=axis, keepdims=keepdims)
        return Tensor(out, (self,), lambda g: (mean_vjp(g, self.data, axis, keepdims),))

    def max(self, axis=None, keepdims=False):
        out = self.data.max(axis=axis, keepdims=keepdims)
        return Tensor(out, (self,), lambda g: (max_vjp(g, self.data, axis, keepdims),))

    def reshape(self, *shape):
        return Tensor(self.data.reshape(shape), (self,), lambda g: (reshape_vjp(g, self.data.shape),))

    def transpose(self, *axes):
        return Tensor(self.data.transpose(axes), (self,), lambda g: (transpose_vjp(g, axes),))

    def __getitem__(self, index):
        return Tensor(self.data[index], (self,), lambda g: (index_vjp(g, self.data, index),))

    def cross_entropy(self, targets):
        loss, gradient = cross_entropy(self.data, targets)
        return Tensor(loss, (self,), lambda g: (g * gradient,))

    __radd__, __rmul__ = __add__, __mul__
    __array_ufunc__ = None  # in `array * tensor`, NumPy leaves the product to __rmul__


def as_tensor(x):
    """An array or a number becomes a Tensor without parents."""
    return x if isinstance(x, Tensor) else Tensor(x)


# %% [markdown]
# The test cells use two helpers. `judge` asks PyTorch for the gradients. `numpy_only` refuses PyTorch to your own
# code.


# %%
def judge(f: Callable, g: ndarray, *arrays: ndarray) -> list[ndarray]:
    """The gradients of sum(g * f(*arrays)) with respect to each array, by PyTorch."""
    leaves = [torch.tensor(np.array(a, order="C"), requires_grad=True) for a in arrays]
    total = (f(*leaves) * torch.tensor(np.array(g, order="C"))).sum()
    return [d.numpy() for d in torch.autograd.grad(total, leaves)]


class numpy_only(torch.overrides.TorchFunctionMode):
    """A block in which every function of PyTorch is refused."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        name = getattr(function, "__name__", str(function))
        raise check.CheckFailed(f"PyTorch's {name} was called: write it with NumPy; PyTorch is the judge here")


# %% [markdown]
# ### 3.2 Broadcasting, backwards
#
# A layer adds a bias of shape `(3,)` to a batch of shape `(4, 3)`. NumPy **broadcasts**: it uses the same bias for
# all four rows. So the bias has four users, and the rule for several users is that their shares add up. A gradient of
# shape `(4, 3)` comes in; the bias gets its sum over the rows, shape `(3,)`.
#
# In general NumPy lines shapes up **from the right**, puts missing axes in front, and stretches axes of size 1. The way
# back sums over just these axes:
#
# | gradient `g` | shape wanted | sum over | because |
# |---|---|---|---|
# | `(4, 3)` | `(3,)` | axis 0, which goes away | it was put in front |
# | `(4, 3)` | `(4, 1)` | axis 1, kept with size 1 | it was stretched |
# | `(2, 4, 3)` | `(4, 1)` | axis 0, goes away, and axis 2, kept | both |
# | `(4, 3)` | `()` | all of them | a number was broadcast |
#
# Every `+` and `*` of the engine goes through this function. Without it, a bias would be updated by a matrix.
#
# **Build** `unbroadcast`.
#
# <details><summary>Hint 1</summary>
#
# Two steps: first the axes in front, of which there are `g.ndim - len(shape)`; then every axis where `shape` says 1.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `g.sum(axis=(0, 1))` sums over several axes at once. `keepdims=True` leaves an axis of size 1 where the sum was.
#
# </details>


# %% exercise="unbroadcast" minutes=15 difficulty=2
def unbroadcast(g: Float[ndarray, "..."], shape: tuple[int, ...]) -> Float[ndarray, "*shape"]:
    """Sum g over the axes along which an array of the given shape was broadcast.

    Args:
        g: gradient with respect to the broadcast array. Not changed. A NaN in it counts: its sum is NaN.
        shape: shape of the array before; it broadcasts to g.shape by NumPy's rules, which stretch 1 to any size, 0 too.

    Returns:
        The gradient with respect to the array before broadcasting, of shape `shape` (for `()` a NumPy number will do).
        Where nothing was broadcast, it may be g itself.
    """
    ### BEGIN SOLUTION
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    stretched = tuple(i for i, size in enumerate(shape) if size == 1)
    return g.sum(axis=stretched, keepdims=True)
    ### END SOLUTION


# %% test="unbroadcast" points=2
g = np.arange(12.0).reshape(4, 3)
check.close(
    unbroadcast(g, (3,)),
    [18.0, 22.0, 26.0],
    "unbroadcast(g, (3,)), g of shape (4, 3)",
    likely={
        "the mean over the rows; shares add up": [4.5, 5.5, 6.5],
        "one row only; all rows used the bias": [0.0, 1.0, 2.0],
    },
)
check.close(
    unbroadcast(g, (4, 1)),
    [[3.0], [12.0], [21.0], [30.0]],
    "unbroadcast(g, (4, 1)), g of shape (4, 3)",
    likely={
        "the axis was stretched, not added: keep it, with size 1": [3.0, 12.0, 21.0, 30.0],
        "an axis of size 1 was stretched too: sum over it": g,
    },
)
check.close(unbroadcast(g, ()), 66.0, "unbroadcast(g, ()), g of shape (4, 3)")
### BEGIN HIDDEN TESTS
_rng = check.rng(6)
for _big, _small in [
    ((2, 5, 3), (5, 1)), ((2, 5, 3), (1, 1, 3)), ((2, 5, 3), (3,)), ((2, 5, 3), (2, 5, 3)),
    ((2, 5, 3), (2, 1, 3)), ((7,), (1,)), ((3, 3), (3, 1)), ((3, 3), (1, 3)), ((3, 3), (3,)),
    ((4, 2, 5, 3), (2, 1, 1)), ((1, 4), (1, 4)), ((6, 1, 4), (1, 4)), ((), ()), ((0, 3), (3,)), ((1, 1), ()),
    ((2, 1), (1, 1)), ((0, 3), (1, 3)), ((2, 0), (2, 1)),
]:  # fmt: skip
    _g = _rng.uniform(-1.5, 1.5, _big)
    with check.unchanged(f"unbroadcast(g, {_small})", _g), numpy_only():
        _result = unbroadcast(_g, _small)
    (_expected,) = judge(functools.partial(torch.broadcast_to, size=_big), _g, np.zeros(_small))
    check.close(_result, _expected, f"unbroadcast(g, {_small}), g of shape {_big}", terms=_g.size, scale=1.5)
_g = np.ones((4, 3))
_g[1, 2] = np.nan
check.that(
    np.isnan(unbroadcast(_g, (3,))[2]),
    "unbroadcast(g, (3,)) with a NaN in g\n  hides the NaN; whoever looks for the fault later must find it",
)
_g = _rng.uniform(0.5, 1.5, (3, 8, 5))[::-1, ::2].swapaxes(0, 2)  # (5, 4, 3), strides in disorder
check.close(
    unbroadcast(_g, (4, 1)), np.einsum("abc->b", _g)[:, None], "unbroadcast(g, (4, 1)) of a strided g", terms=15
)
### END HIDDEN TESTS

# %% [markdown]
# ### 3.3 Matrix product
#
# Here is where the time of a language model goes: forward and backward, nearly all of it is this operation. $C = AB$
# means $C_{ij} = \sum_k A_{ik} B_{kj}$. An entry $A_{ik}$ is used by every $C_{ij}$ of its row $i$, each time with
# the factor $B_{kj}$. Its shares add up to
#
# $$\bar A_{ik} = \sum_j g_{ij} B_{kj} \quad\Rightarrow\quad \bar A = g B^\top,
# \qquad\text{and likewise}\quad \bar B = A^\top g$$
#
# **Shapes.** $A$: `(5, 3)`, $B$: `(3, 4)`, so $g$: `(5, 4)`. $\bar A$ must be `(5, 3)`: of what you have, only
# `(5, 4) @ (4, 3)` fits. $\bar B$: `(3, 5) @ (5, 4)`. If you forget the formula, the shapes tell you; but with square
# matrices a wrong formula has the right shape, so the tests do not stop at shapes. Two products for backward, one for
# forward: this is why a backward pass costs about twice a forward pass.
#
# **Batches.** `A @ B` of NumPy multiplies the last two axes, and broadcasts all axes before them:
# `(6, 1, 5, 3) @ (2, 3, 4)` has shape `(6, 2, 5, 4)`. So the transposition concerns the last two axes alone, and what
# was broadcast must be summed again.
#
# **Build** `matmul_vjp`. Your `unbroadcast` is there to be used.
#
# <details><summary>Hint 1</summary>
#
# `.T` reverses *all* axes. `b.swapaxes(-1, -2)` swaps the last two.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Compute each product with all the batch axes of `g` first. What `a` or `b` lacks of them is for `unbroadcast`.
#
# </details>


# %% exercise="matmul_vjp" minutes=15 difficulty=2
def matmul_vjp(
    g: Float[ndarray, "... n m"], a: Float[ndarray, "... n k"], b: Float[ndarray, "... k m"]
) -> tuple[Float[ndarray, "... n k"], Float[ndarray, "... k m"]]:
    """The vjp of a @ b.

    Args:
        g: gradient with respect to a @ b.
        a, b: the two factors, with at least two axes each; axes before the last two broadcast, and may be missing in
            one of them. None of the three is changed, in values or shape.

    Returns:
        (gradient with respect to a, of a's shape; gradient with respect to b, of b's shape). They stay as they are when
        the function is called again: no buffers that are used twice.
    """
    ### BEGIN SOLUTION
    grad_a = g @ b.swapaxes(-1, -2)  # (..., n, m) @ (..., m, k)
    grad_b = a.swapaxes(-1, -2) @ g  # (..., k, n) @ (..., n, m)
    return unbroadcast(grad_a, a.shape), unbroadcast(grad_b, b.shape)
    ### END SOLUTION


# %% test="matmul_vjp" points=3
rng = check.rng()
for shape_a, shape_b in [((3, 3), (3, 3)), ((5, 3), (3, 4)), ((2, 5, 3), (2, 3, 4))]:
    a, b = rng.uniform(0.5, 2.0, shape_a), rng.uniform(0.5, 2.0, shape_b)
    g = rng.uniform(0.5, 2.0, (a @ b).shape)
    call = f"matmul_vjp(g, a, b) with a {shape_a}, b {shape_b}"
    try:
        grad_a, grad_b = matmul_vjp(g, a, b)
    except ValueError as error:
        check.that(False, f"{call}\n  {error}\n  the shapes do not fit: see *Shapes* and *Batches* in the text")
    want_a, want_b = judge(torch.matmul, g, a, b)
    square = shape_a == (3, 3)
    likely_a = {"b is not transposed": g @ b, "the factors are in the wrong order": b.T @ g} if square else {}
    likely_b = {"a is not transposed": a @ g, "the factors are in the wrong order": g @ a.T} if square else {}
    check.close(grad_a, want_a, f"{call}: first gradient", terms=8, likely=likely_a, hint="g times b transposed")
    check.close(grad_b, want_b, f"{call}: second gradient", terms=8, likely=likely_b, hint="a transposed times g")
### BEGIN HIDDEN TESTS
_rng = check.rng(7)
for _shape_a, _shape_b in [
    ((2, 5, 3), (3, 4)), ((5, 3), (2, 3, 4)), ((6, 1, 5, 3), (2, 3, 4)), ((1, 5, 3), (7, 3, 4)),
    ((2, 6, 5, 3), (2, 6, 3, 4)), ((4, 1, 1, 3), (3, 1)), ((3, 3, 3), (3, 3, 3)), ((1, 1), (1, 1)),
    ((3, 1, 2, 2), (1, 3, 2, 2)), ((0, 5, 3), (3, 4)),
]:  # fmt: skip
    _a, _b = _rng.uniform(-2.0, 2.0, _shape_a), _rng.uniform(-2.0, 2.0, _shape_b)
    _g = _rng.uniform(-2.0, 2.0, (_a @ _b).shape)
    _call = f"matmul_vjp(g, a, b) with a {_shape_a}, b {_shape_b}"
    with check.unchanged(_call, _g, _a, _b), numpy_only():
        _result = matmul_vjp(_g, _a, _b)
    for _got, _want, _which in zip(_result, judge(torch.matmul, _g, _a, _b), ("first", "second"), strict=True):
        check.close(_got, _want, f"{_call}: {_which} gradient", terms=16 + _g.size, scale=4.0)
        check.that(
            (_a.shape, _b.shape) == (_shape_a, _shape_b), f"{_call}\n  changes the shape of an input; work on a view"
        )
_a, _b = _rng.uniform(0.5, 2.0, (3, 5, 2)).T, _rng.uniform(0.5, 2.0, (4, 2, 6))[:, ::-1].swapaxes(1, 2)[:, :5]
_b = _b.swapaxes(1, 2)[:2]  # a (2, 5, 3), b (2, 2, 5): strides in disorder
_g = _rng.uniform(0.5, 2.0, (2, 3, 2))[:, ::-1].swapaxes(1, 2)  # of b @ a: (2, 2, 3)
for _got, _want in zip(matmul_vjp(_g, _b, _a), judge(torch.matmul, _g, _b, _a), strict=True):
    check.close(_got, _want, "matmul_vjp of strided arrays", terms=16)
_first = matmul_vjp(_g, _b, _a)
_kept = [np.array(_d) for _d in _first]
matmul_vjp(2 * _g, 3 * _b, 5 * _a)
check.that(
    all(np.array_equal(_d, _k) for _d, _k in zip(_first, _kept, strict=True)),
    "matmul_vjp, called twice with the same shapes\n"
    "  the second call writes into what the first one returned; those arrays are some node's gradient",
)
### END HIDDEN TESTS

# %% [markdown]
# ### 3.4 Sum, mean, maximum
#
# A sum spreads its gradient: each term moved the sum one to one, so each gets `g`. A mean of $n$ terms gives each
# $g / n$. A maximum passes `g` to the winner alone. Losses are means, normalisation layers are full of means and
# sums, and the stable softmax takes a maximum.
#
# The catch is in the shapes. With `x` of shape `(2, 3, 4)`:
#
# | operation | `g` has shape | must be spread to |
# |---|---|---|
# | `x.sum(axis=1)` | `(2, 4)` | `(2, 3, 4)`: put the lost axis back at place 1, then broadcast |
# | `x.sum(axis=1, keepdims=True)` | `(2, 1, 4)` | `(2, 3, 4)`: broadcast |
# | `x.sum(axis=(0, -1))` | `(3,)` | `(2, 3, 4)`: put back places 0 and 2 |
# | `x.sum()` | `()` | `(2, 3, 4)` |
#
# Broadcasting alone would line `(2, 4)` up from the right, which is an error here and a silent mistake when sizes
# happen to agree.
#
# **Ties.** In `[3, 5, 5]` both fives are the maximum. There is no derivative at a tie, so somebody must choose. Ours:
# they **share equally**, $g/2$ each. `torch.amax` and JAX do this as well (`torch.max` along an axis, which also
# returns *where* the maximum was, gives all of it to that one).
#
# **Build** the three vjps.
#
# <details><summary>Hint 1</summary>
#
# `np.expand_dims(g, axis)` puts an axis, or a tuple of axes, back. For `axis=None` these are all the axes of `x`.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `mean_vjp` is `sum_vjp` divided by how many entries of `x` go into one entry of `g`: compare their sizes.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# The winners are `x == x.max(axis=axis, keepdims=True)`. Count them along the same axes.
#
# </details>


# %% exercise="reduction_vjps" minutes=25 difficulty=3
def sum_vjp(
    g: Float[ndarray, "..."],
    x: Float[ndarray, "*shape"],
    axis: int | tuple[int, ...] | None = None,
    keepdims: bool = False,
) -> Float[ndarray, "*shape"]:
    """The vjp of x.sum(axis=axis, keepdims=keepdims).

    Args:
        g: gradient with respect to the sum, of the sum's shape.
        x: what was summed, with at least one entry and no NaN. Neither g nor x is changed.
        axis: an axis, a tuple of one or more axes in any order, or None for all; an axis may be negative.
        keepdims: whether the summed axes were kept, with size 1.

    Returns:
        The gradient with respect to x, of x's shape. It may be a read-only view.
    """
    ### BEGIN SOLUTION
    if not keepdims:
        g = np.expand_dims(g, tuple(range(x.ndim)) if axis is None else axis)
    return np.broadcast_to(g, x.shape)
    ### END SOLUTION


def mean_vjp(
    g: Float[ndarray, "..."],
    x: Float[ndarray, "*shape"],
    axis: int | tuple[int, ...] | None = None,
    keepdims: bool = False,
) -> Float[ndarray, "*shape"]:
    """The vjp of x.mean(axis=axis, keepdims=keepdims). Arguments and result as in sum_vjp."""
    ### BEGIN SOLUTION
    return sum_vjp(g, x, axis, keepdims) * (np.size(g) / x.size)
    ### END SOLUTION


def max_vjp(
    g: Float[ndarray, "..."],
    x: Float[ndarray, "*shape"],
    axis: int | tuple[int, ...] | None = None,
    keepdims: bool = False,
) -> Float[ndarray, "*shape"]:
    """The vjp of x.max(axis=axis, keepdims=keepdims). Arguments and result as in sum_vjp.

    All entries that attain the maximum share its gradient equally; all others get 0, however close they come.
    """
    ### BEGIN SOLUTION
    winner = x == x.max(axis=axis, keepdims=True)
    return sum_vjp(g, x, axis, keepdims) * winner / winner.sum(axis=axis, keepdims=True)
    ### END SOLUTION


# %% test="reduction_vjps" points=3
x = np.array([[3.0, 5.0, 5.0], [9.0, 1.0, 0.0]])
g = np.array([1.0, 10.0])  # of x.sum(axis=1)
check.close(sum_vjp(g, x, axis=1), [[1.0] * 3, [10.0] * 3], "sum_vjp(g, x, axis=1), x of shape (2, 3)")
check.close(
    mean_vjp(g, x, axis=1),
    [[1 / 3] * 3, [10 / 3] * 3],
    "mean_vjp(g, x, axis=1), x of shape (2, 3)",
    likely={
        "a mean divides by the number of entries": [[1.0] * 3, [10.0] * 3],
        "divided by the size of x; one entry of g is the mean of 3 entries": [[1 / 6] * 3, [10 / 6] * 3],
        "divided by the length of the other axis": [[1 / 2] * 3, [10 / 2] * 3],
    },
)
check.close(
    max_vjp(g, x, axis=1),
    [[0.0, 0.5, 0.5], [10.0, 0.0, 0.0]],
    "max_vjp(g, x, axis=1), x = [[3, 5, 5], [9, 1, 0]]",
    likely={
        "both fives got the whole gradient; they share it": [[0.0, 1.0, 1.0], [10.0, 0.0, 0.0]],
        "the first five got all of it; they share it": [[0.0, 1.0, 0.0], [10.0, 0.0, 0.0]],
        "only the largest entry of the whole array got a gradient": [[0.0, 0.0, 0.0], [10.0, 0.0, 0.0]],
    },
)
check.close(
    sum_vjp(g[:, None], x, axis=1, keepdims=True), [[1.0] * 3, [10.0] * 3], "sum_vjp(g, x, axis=1, keepdims=True)"
)
### BEGIN HIDDEN TESTS
_rng = check.rng(8)
_vjps = {
    "sum": (sum_vjp, np.sum, torch.sum),
    "mean": (mean_vjp, np.mean, torch.mean),
    "max": (max_vjp, np.max, torch.amax),
}
for _name, (_vjp, _reduce, _torch_reduce) in _vjps.items():
    for _shape, _axis in [
        ((2, 3, 4), 1), ((2, 3, 4), -2), ((2, 3, 4), (0, -1)), ((2, 3, 4), (2, 0)), ((2, 3, 4), None), ((2, 3, 4), 0),
        ((3, 3), 0), ((3, 3), 1), ((5,), 0), ((5,), None), ((2, 1, 4), 1), ((2, 1, 4), (-3, -2)), ((3, 3, 3), 1),
        ((2, 3, 4), (0, 1, 2)),
    ]:  # fmt: skip
        _x = _rng.permutation(np.arange(np.prod(_shape), dtype=float)).reshape(_shape) - 100.0  # no ties, all negative
        _dims = tuple(range(len(_shape))) if _axis is None else _axis
        for _keep in (False, True):
            _g = _rng.standard_normal(_reduce(_x, axis=_axis, keepdims=_keep).shape)
            _call = f"{_name}_vjp(g, x, axis={_axis}, keepdims={_keep}), x of shape {_shape}"
            with check.unchanged(_call, _g, _x), numpy_only():
                _got = _vjp(_g, _x, _axis, _keep)
            check.close(_got, judge(functools.partial(_torch_reduce, dim=_dims, keepdim=_keep), _g, _x)[0], _call)
_x = np.tile(np.arange(3.0), (2, 4, 1))  # 0 1 2 in the last axis: ties along axis 1 and over everything
_x[0, 1] = [7.0, 7.0, -1.0]
for _axis in (2, (0, 1), None, 1):
    _g = _rng.standard_normal(np.max(_x, axis=_axis).shape)
    _dims = (0, 1, 2) if _axis is None else _axis
    _want = judge(functools.partial(torch.amax, dim=_dims), _g, _x)[0]
    check.close(
        max_vjp(_g, _x, _axis), _want, f"max_vjp(g, x, axis={_axis}) with ties", hint="those that tie share equally"
    )
check.close(sum_vjp(np.sum(x), x), np.full((2, 3), 23.0), "sum_vjp(g, x) with g a NumPy scalar")
check.close(
    max_vjp(np.array(1.0), np.array([1.0, 1.0 + 1e-9, 0.5])),
    [0.0, 1.0, 0.0],
    "max_vjp(g, x) where the second largest is 1e-9 below the largest",
    hint="close is no tie: both values are stored numbers, so == is right here",
)
### END HIDDEN TESTS

# %% [markdown]
# ### 3.5 Reshape and transpose
#
# These two move entries around and compute nothing, so their vjps move the gradients back. The only question is which
# move undoes the move.
#
# `y = x.transpose(1, 2, 0)` takes axis 1 of `x` first, then axis 2, then axis 0: shape `(2, 3, 4)` becomes
# `(3, 4, 2)`. To undo it, ask for each axis of `x` where it went: axis 0 is now at place 2, axis 1 at place 0, axis 2
# at place 1. So the way back is `g.transpose(2, 0, 1)`. It is *another* permutation, the **inverse**. Only when two
# axes are swapped are both the same, which is why a wrong version passes many tests: attention in a transformer swaps
# axes 1 and 2 to split its heads.
#
# **Build** both.
#
# <details><summary>Hint 1</summary>
#
# The inverse of a permutation `p` sends `p[i]` to `i`. `np.argsort(p)` is a short way to write it.
#
# </details>


# %% exercise="shape_vjps" minutes=10 difficulty=2
def reshape_vjp(g: Float[ndarray, "..."], shape: tuple[int, ...]) -> Float[ndarray, "*shape"]:
    """The vjp of x.reshape(...), for x of the given shape, which may be `()` or hold a 0.

    NumPy's default order (C) holds. g is not changed.
    """
    ### BEGIN SOLUTION
    return g.reshape(shape)
    ### END SOLUTION


def transpose_vjp(g: Float[ndarray, "..."], axes: Sequence[int]) -> Float[ndarray, "..."]:
    """The vjp of x.transpose(axes).

    Args:
        g: gradient with respect to the transposed array. Not changed.
        axes: a tuple or list with a permutation of 0, 1, ..., g.ndim - 1: axis i of the transposed array is axis
            axes[i] of x. If it is empty, all axes were reversed, as in NumPy's x.transpose(). Not changed.

    Returns:
        The gradient with respect to x, of x's shape (`()` if x has no axes).
    """
    ### BEGIN SOLUTION
    return g.transpose(np.argsort(axes)) if len(axes) else g.transpose()
    ### END SOLUTION


# %% test="shape_vjps" points=2
x = np.arange(24.0).reshape(2, 3, 4)
check.close(
    reshape_vjp(x.reshape(4, 6), (2, 3, 4)), x, "reshape_vjp(x.reshape(4, 6), x.shape) is x", hint="same order, C"
)
check.close(
    transpose_vjp(x.transpose(1, 2, 0), (1, 2, 0)),
    x,
    "transpose_vjp(x.transpose(1, 2, 0), (1, 2, 0)) is x",
    likely={
        "the same permutation once more; its inverse is needed": x.transpose(1, 2, 0).transpose(1, 2, 0),
        "all axes were reversed": x.transpose(1, 2, 0).T,
    },
)
check.close(transpose_vjp(x.transpose(), ()), x, "transpose_vjp(x.transpose(), ()) is x")
### BEGIN HIDDEN TESTS
_rng = check.rng(9)
for _axes in [
    (0,), (0, 1), (1, 0), (2, 0, 1), (1, 2, 0), (0, 2, 1), (2, 1, 0), (1, 2, 3, 0), (3, 0, 1, 2), (2, 3, 1, 0),
    (0, 2, 1, 3), (2, 0, 3, 1), (0, 1, 2),
]:  # fmt: skip
    _x = _rng.standard_normal((2, 3, 4, 5)[: len(_axes)])
    _y = _x.transpose(_axes)
    with check.unchanged(f"transpose_vjp(g, {_axes})", _y), numpy_only():
        _back = transpose_vjp(_y, _axes)
    check.close(_back, _x, f"transpose_vjp(x.transpose({_axes}), {_axes}) is x")
    _cube = _rng.standard_normal((3,) * len(_axes))  # all axes of one length: shapes say nothing
    (_want,) = judge(functools.partial(torch.permute, dims=_axes), _cube, _cube)
    check.close(transpose_vjp(_cube, _axes), _want, f"transpose_vjp(g, {_axes})")
_list = list(_axes)
for _which in ("first", "second"):
    check.close(transpose_vjp(_cube, _list), _want, f"transpose_vjp(g, a list of axes), {_which} call")
check.equal(_list, list(_axes), "the list of axes after transpose_vjp(g, axes)", hint="the engine needs it again")
check.close(
    transpose_vjp(x.transpose(), []), x, "transpose_vjp(x.transpose(), []) is x", hint="a list can be empty, too"
)
check.close(transpose_vjp(np.array(3.0), ()), 3.0, "transpose_vjp of an array without axes", hint="its shape is ()")
for _shape, _new in [
    ((2, 3, 4), (4, 6)), ((4, 6), (2, 3, 4)), ((5,), (5, 1)), ((1,), ()), ((0, 3), (3, 0)), ((3, 2), (2, 3)),
    ((6,), (2, 3)), ((), (1,)), ((), (1, 1)), ((3, 0), (0,)),
]:  # fmt: skip
    _g = _rng.standard_normal(_new)
    with check.unchanged(f"reshape_vjp(g, {_shape})", _g), numpy_only():
        _back = reshape_vjp(_g, _shape)
    (_want,) = judge(functools.partial(torch.reshape, shape=_new), _g, np.zeros(_shape))
    check.close(_back, _want, f"reshape_vjp(g, {_shape}), g of shape {_new}")
_g = _rng.standard_normal((6, 4)).T  # not contiguous: its order in memory is not the order of its indices
check.close(reshape_vjp(_g, (2, 12)), np.array(_g.tolist()).reshape(2, 12), "reshape_vjp of a g that is not contiguous")
### END HIDDEN TESTS

# %% [markdown]
# ### 3.6 Indexing, with repeats
#
# The first layer of a language model is an index: `table[tokens]` takes a row of the embedding table for every token.
# Backward, each row gets the gradient of the place that used it. And when the token "the" stands a thousand times in
# a batch, its row has a thousand users, whose shares add up.
#
# **A worked example.** `x` has 4 entries, `index = [0, 2, 2]`, so `y = x[index]` has 3. With `g = [1, 10, 100]` the
# gradient is `[1, 0, 110, 0]`.
#
# There is a trap. `out[index] += g` looks right. NumPy runs it as `out[index] = out[index] + g`: it *reads* all three
# entries (0, 0, 0), adds (1, 10, 100), and *writes* all three. Entry 2 is written twice, and the last one wins:
# `[1, 0, 100, 0]`. Ten is lost, without a warning. What you need adds one share after the other. On a GPU it is an
# atomic addition, and because thousands of threads come in any order, and rounding depends on the order, it is one of
# the reasons why two runs of the same training differ in the last digits.
#
# **Build** `index_vjp`.
#
# <details><summary>Hint 1</summary>
#
# Start from zeros of the shape of `x`. Entries that were not read have no influence.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# NumPy's elementwise functions, `np.add` among them, have a method for this. Look at
# [`numpy.ufunc.at`](https://numpy.org/doc/stable/reference/generated/numpy.ufunc.at.html).
#
# </details>


# %% exercise="index_vjp" minutes=10 difficulty=2
def index_vjp(g: Float[ndarray, "..."], x: Float[ndarray, "*shape"], index: Any) -> Float[ndarray, "*shape"]:
    """The vjp of x[index].

    Args:
        g: gradient with respect to x[index], of its shape (for a single entry an array without axes or a NumPy number).
        x: what was indexed. Only its shape matters: entries may be NaN or inf. Neither g nor x is changed.
        index: an integer, a slice, an integer array or list (also with negative entries and with repeats), a boolean
            mask, or a tuple of these.

    Returns:
        The gradient with respect to x, of x's shape. An entry that was read several times gets the sum of its
        gradients, one that was not read gets 0.
    """
    ### BEGIN SOLUTION
    out = np.zeros_like(x)
    np.add.at(out, index, g)
    return out
    ### END SOLUTION


# %% test="index_vjp" points=2
x = np.array([5.0, 6.0, 7.0, 8.0])
check.close(
    index_vjp(np.array([1.0, 10.0, 100.0]), x, [0, 2, 2]),
    [1.0, 0.0, 110.0, 0.0],
    "index_vjp([1, 10, 100], x, [0, 2, 2])",
    likely={
        "entry 2 was read twice, and its first share was overwritten": [1.0, 0.0, 100.0, 0.0],
        "the sum starts from x; it starts from zeros": [6.0, 6.0, 117.0, 8.0],
    },
)
check.close(
    index_vjp(np.array([2.0, 3.0]), x, slice(None, None, 2)),
    [2.0, 0.0, 3.0, 0.0],
    "index_vjp([2, 3], x, slice(None, None, 2))",
)
### BEGIN HIDDEN TESTS
_rng = check.rng(10)
_x = _rng.standard_normal((5, 4, 3))
_rows = np.array([[4, 0, 4], [4, -1, 2]])  # -1 is row 4 once more
for _index, _story in [
    (_rows, "a 2-D array with repeats and negative entries"), ([1, 1, 1, 1], "one row four times"),
    (3, "an integer"), (slice(1, 4), "a slice"), ((slice(None, None, -2), slice(1, None)), "two slices"),
    ((slice(None), [2, 2, 0]), "repeats in the second axis"),
    (([0, 1, 0], [2, 2, 2]), "pairs of indices, one of them twice"), (_x > 0.1, "a boolean mask"),
    ((np.array([True, False, True, True, False]), 1), "a mask and an integer"), ((4, 3, 2), "a single entry"),
    (np.zeros(0, dtype=int), "no rows at all"),
]:  # fmt: skip
    _g = _rng.uniform(-1.5, 1.5, _x[_index].shape)
    with check.unchanged(f"index_vjp(g, x, index) with {_story}", _g, _x), numpy_only():
        _got = index_vjp(_g, _x, _index)
    _places = np.arange(_x.size).reshape(_x.shape)[_index]  # which entry of x each entry of g came from
    _want = np.bincount(_places.ravel(), weights=np.ravel(_g), minlength=_x.size).reshape(_x.shape)
    check.close(_got, _want, f"index_vjp(g, x, index) with {_story}", terms=6, scale=1.5)
try:
    _got = index_vjp(np.array([1.0, 10.0, 100.0]), x, [-1, 0, -1])
except (ValueError, IndexError):
    _got = None
check.close(_got, [10.0, 0.0, 0.0, 101.0], "index_vjp([1, 10, 100], x, [-1, 0, -1])", hint="-1 is the last entry")
check.close(
    index_vjp(np.array([1.0, 10.0]), np.array([np.nan, 0.0, np.inf]), [1, 2]),
    [0.0, 1.0, 10.0],
    "index_vjp([1, 10], x, [1, 2]) where x holds NaN and inf",
    hint="an entry that was not read gets 0, and NaN times 0 is NaN",
)
_first = index_vjp(np.array([1.0, 10.0]), x, [1, 2])
_kept = np.array(_first)
index_vjp(np.array([5.0, 7.0]), x, [0, 2])
check.that(np.array_equal(_first, _kept), "index_vjp, called twice\n  the second call writes into the first result")
_table, _tokens = _rng.standard_normal((7, 2)), _rng.integers(0, 7, size=(3, 50))
_g = _rng.uniform(-1.5, 1.5, (3, 50, 2))
_want = judge(lambda t: torch.nn.functional.embedding(torch.tensor(_tokens), t), _g, _table)[0]
check.close(index_vjp(_g, _table, _tokens), _want, "index_vjp of an embedding table", terms=150, scale=1.5)
### END HIDDEN TESTS

# %% [markdown]
# ### 3.7 The loss: cross-entropy that does not overflow
#
# A classifier gives each class $j$ a score $z_j$, its **logit**. Softmax turns the scores into probabilities,
# $p_j = e^{z_j} / \sum_k e^{z_k}$, and the loss is $-\ln p_t$, where $t$ is the right class. A language model does
# this with one class for each token of the vocabulary.
#
# As written, the formula breaks: $e^{1000}$ overflows in `float64` (and $e^{12}$ already in `float16`). And $p_t$ may
# round to 0, with the logarithm $-\infty$. The cure for both is to stay with logarithms and to subtract the largest
# logit $m$ of the row, which changes nothing:
#
# $$\ln p_j = (z_j - m) - \ln \sum_k e^{z_k - m}$$
#
# Every exponent is now at most 0, and one of them is 0, so the sum lies between 1 and the number of classes.
#
# The gradient is the shortest in this lesson. With $y_j = 1$ for the right class and 0 for the others,
#
# $$\frac{\partial(-\ln p_t)}{\partial z_j} = p_j - y_j$$
#
# **A worked example.** Two classes, logits `[0, 0]`, target 0: $p = [\tfrac12, \tfrac12]$, the loss is
# $\ln 2 \approx 0.693$ and the gradient $[-\tfrac12, \tfrac12]$. Over a batch of $n$ rows both the loss and the
# gradient are means: divide by $n$.
#
# This is why `F.cross_entropy` takes logits and not probabilities: value and gradient are fused in one stable
# operation.
#
# **Build** `cross_entropy`.
#
# <details><summary>Hint 1</summary>
#
# Each row has its own maximum: `axis=1, keepdims=True`.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Compute the array of $\ln p_j$ first. The loss picks one entry of each row, `log_p[np.arange(n), targets]`, and the
# probabilities are its exponential.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# $y$ need not be built: $p - y$ differs from $p$ only at the places that the loss picked.
#
# </details>


# %% exercise="cross_entropy" minutes=15 difficulty=3
def cross_entropy(
    logits: Float[ndarray, "batch classes"], targets: Int[ndarray, " batch"]
) -> tuple[float, Float[ndarray, "batch classes"]]:
    """Mean cross-entropy of a batch, and its gradient.

    Args:
        logits: scores, from -1e100 to 1e100: the results are finite and right for all of them. Not changed.
        targets: the right class of each row, from 0 to classes - 1. Not changed.

    Returns:
        (mean over the batch of -ln softmax(logits)[target], gradient of this mean with respect to logits). The first is
        a number, a Python float or NumPy's.
    """
    ### BEGIN SOLUTION
    rows = np.arange(len(targets))
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    gradient = np.exp(log_p)
    gradient[rows, targets] -= 1
    return float(-log_p[rows, targets].mean()), gradient / len(targets)
    ### END SOLUTION


# %% test="cross_entropy" points=4
loss, gradient = cross_entropy(np.array([[0.0, 0.0], [0.0, 0.0]]), np.array([0, 1]))
check.close(
    loss,
    math.log(2),
    "cross_entropy(zeros((2, 2)), [0, 1]): loss",
    likely={"the sum over the batch; it is the mean": 2 * math.log(2), "the sign": -math.log(2)},
)
check.close(
    gradient,
    [[-0.25, 0.25], [0.25, -0.25]],
    "cross_entropy(zeros((2, 2)), [0, 1]): gradient",
    likely={
        "the loss is a mean over the batch, so the gradient is divided by its size too": [[-0.5, 0.5], [0.5, -0.5]],
        "the sign: it is p - y": [[0.25, -0.25], [-0.25, 0.25]],
        "softmax alone; subtract 1 at the right class of each row": [[0.25, 0.25], [0.25, 0.25]],
        "1 was subtracted from every row at every target": [[-0.25, -0.25], [-0.25, -0.25]],
    },
)
with np.errstate(all="ignore"):
    loss, gradient = cross_entropy(np.array([[1e4, 0.0]]), np.array([1]))
check.close(
    loss,
    1e4,
    "cross_entropy([[1e4, 0]], [1]): loss",
    likely={
        "exp overflowed, or a probability rounded to 0: subtract the maximum, stay with logarithms": math.inf,
        "exp overflowed, and inf / inf is nan: subtract the maximum, stay with logarithms": math.nan,
        "the maximum of each row is taken over the classes, axis 1": 0.0,
    },
)
check.close(
    gradient,
    [[1.0, -1.0]],
    "cross_entropy([[1e4, 0]], [1]): gradient",
    atol=1e-12,
    likely={"exp overflowed, and inf / inf is nan": [[math.nan, -1.0]]},
)
### BEGIN HIDDEN TESTS
_rng = check.rng(11)
for _n, _c, _scale in [(5, 3, 1.0), (5, 3, 1.0), (1, 4, 1.0), (7, 7, 5.0), (4, 1, 1.0), (6, 11, 1e4), (3, 50, 30.0)]:
    _z, _t = _scale * _rng.standard_normal((_n, _c)), _rng.integers(0, _c, _n)
    _zt = torch.tensor(_z, requires_grad=True)
    _loss = torch.nn.functional.cross_entropy(_zt, torch.tensor(_t))
    _loss.backward()
    _call = f"cross_entropy of {_n} rows, {_c} classes, logits of size {_scale:g}"
    with check.unchanged(_call, _z, _t), np.errstate(all="ignore"), numpy_only():
        _got, _gradient = cross_entropy(_z, _t)
    # A logit of size s is known to s * eps, and so is ln p; p = exp(ln p) is off by as much, relatively.
    _atol = 1e-15 * (16 + _c) * max(1.0, float(np.abs(_z).max()))
    check.close(_got, _loss.item(), f"{_call}: loss", atol=_atol)
    check.close(_gradient, _zt.grad, f"{_call}: gradient", atol=_atol)
# Rows that live far apart: no shift suits them all. By hand: each row is [s, s + ln 3], p = [1/4, 3/4].
_s = np.array([[1e4], [-1e4], [0.0]])
_z = _s + np.array([[0.0, math.log(3)]])
with np.errstate(all="ignore"):
    _got, _gradient = cross_entropy(_z, np.array([0, 0, 1]))
_atol = 1e-15 * 16 * 1e4  # as above
check.close(
    _got,
    (2 * math.log(4) + math.log(4 / 3)) / 3,
    "loss of rows near 1e4, -1e4 and 0",
    atol=_atol,
    hint="each row has its own maximum",
)
check.close(
    _gradient,
    np.array([[-3, 3], [-3, 3], [1, -1]]) / 12,
    "gradient of rows near 1e4, -1e4 and 0",
    atol=_atol,
    hint="each row has its own maximum",
)
check.close(np.ndim(_got), 0, "the loss is a single number: its number of axes")
with np.errstate(all="ignore"):
    _got, _gradient = cross_entropy(np.array([[1e100, 0.0], [-1e100, 0.0]]), np.array([1, 0]))
check.close(_got, 1e100, "loss of rows [1e100, 0] and [-1e100, 0], both wrong")
check.close(_gradient, [[0.5, -0.5], [-0.5, 0.5]], "gradient of rows [1e100, 0] and [-1e100, 0]", atol=1e-12)
_z = np.array([[0.0, math.log(3)]])
for _target, _loss, _want in ((0, math.log(4), [[-0.75, 0.75]]), (1, math.log(4 / 3), [[0.25, -0.25]])):
    _got, _gradient = cross_entropy(_z, np.array([_target]))
    _call = f"cross_entropy([[0, ln 3]], [{_target}]), after other calls of that shape"
    check.close(_got, _loss, f"{_call}: loss", terms=8)
    check.close(_gradient, _want, f"{_call}: gradient", terms=8)
_kept = np.array(_gradient)
cross_entropy(_z + 1, np.array([0]))
check.that(
    np.array_equal(_gradient, _kept), "cross_entropy, called twice\n  the second call writes into the first result"
)
### END HIDDEN TESTS

# %% [markdown]
# ## Part 4. Trust it, then train with it
#
# ### 4.1 A checker
#
# A wrong gradient rarely crashes. The loss still falls, only slower, and you blame the learning rate. So nearly every
# gradient in PyTorch's own test suite is compared with finite differences, by `torch.autograd.gradcheck`. You write
# its core.
#
# Take $y = f(x)$ with many outputs. Draw a random $g$ of the shape of $y$, and look at the single number
# $s(x) = \sum_i g_i\, f_i(x)$. Its gradient is just what `vjp(g, x)` claims to compute. And each of its derivatives
# can be estimated with a central difference, entry by entry of $x$.
#
# **A worked example.** $f(x) = x^2$ at $x = [1, 2]$, and say $g = [3, -1]$. Then $s = 3x_0^2 - x_1^2$, with the
# gradient $[6, -4]$. A student who forgot to multiply by $g$ has `vjp = 2 * x`, which is $[2, 4]$. With $g = [1, 1]$
# both would give $[2, 4]$: **all ones hide mistakes, random numbers don't.**
#
# **How close is close?** Part 1 knows: a central difference in `float64` is off by about $4 \cdot 10^{-11}$ times the
# size of what is differentiated. A tolerance of $10^{-12}$ would reject right gradients, one of $10^{-2}$ would
# accept wrong ones. We ask for $|\text{claimed} - \text{numerical}| \le 10^{-8} + 10^{-6}\,|\text{numerical}|$. In
# `float32` the best a central difference can do is about $2 \cdot 10^{-5}$, relatively, so PyTorch's checker wants
# `float64` inputs. And at a kink, where no derivative exists (`relu` at 0, a tie in a maximum), the two may disagree
# and nobody is wrong.
#
# A checker that says yes to everything is worse than none. Beware of NaN, for which *every* comparison is false, of
# shapes that broadcast, and of `zip`, which stops at the shorter list.
#
# **Build** `gradcheck`.
#
# <details><summary>Hint 1</summary>
#
# For entry `i` (a tuple from `np.ndindex(x.shape)`), make two copies of `x`, add `h` to entry `i` of one and subtract
# it from the other. The other inputs stay as they are: `f(*inputs[:k], moved, *inputs[k + 1 :])`.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# $s$ at either copy is one number, so the numerical derivative of entry `i` is the quotient of part 1. Subtract the two
# results of `f` before you multiply by `g` and sum: so no digits are lost to entries of $y$ that did not move.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# Ask for what you want to be true, `np.all(error <= allowed)`. With NaN this is False, while
# `not np.any(error > allowed)` is True.
#
# </details>


# %% exercise="gradcheck" minutes=30 difficulty=4
def gradcheck(
    f: Callable, vjp: Callable, *inputs: Float[ndarray, "..."], rtol: float = 1e-6, atol: float = 1e-8, h: float = 6e-6
) -> bool:
    """Compare a vjp with central differences.

    Args:
        f: takes the inputs, returns an array or a number (which may be Python's), finite around the inputs. It may
            return a view of an input, as reshape does. Called again with the same inputs, it gives the same result.
        vjp: takes (g, *inputs), where g is an array of the shape of f's result (`()` for a number), and leaves them as
            they are. Returns a tuple of arrays or numbers: what it claims to be the gradients of sum(g * f(*inputs))
            with respect to each input.
        inputs: float64 arrays of any shape and memory layout, also empty ones. They are not changed, not even for a
            moment: move entries in copies.
        rtol, atol: the tolerance.
        h: the step of the central difference.

    Returns:
        True if, for a g drawn from a normal distribution (a fixed seed is fine), vjp returns one gradient for each
        input, of its shape, and every entry of every gradient satisfies
        |claimed - numerical| <= atol + rtol * |numerical|, where numerical is the central difference with step h.
        False in every other case: also when there are too few or too many gradients, when a shape differs (even if it
        would broadcast, or holds as many entries), and when an entry is NaN.
    """
    ### BEGIN SOLUTION
    g = np.random.default_rng(0).standard_normal(np.shape(f(*inputs)))
    claimed = vjp(g, *inputs)
    if len(claimed) != len(inputs):
        return False
    for k, (x, claim) in enumerate(zip(inputs, claimed, strict=True)):
        if np.shape(claim) != x.shape:
            return False
        numerical = np.zeros_like(x)
        for i in np.ndindex(x.shape):
            up, down = x.copy(), x.copy()
            up[i] += h
            down[i] -= h
            change = f(*inputs[:k], up, *inputs[k + 1 :]) - f(*inputs[:k], down, *inputs[k + 1 :])
            numerical[i] = np.sum(g * change) / (2 * h)
        if not np.all(np.abs(claim - numerical) <= atol + rtol * np.abs(numerical)):
            return False
    return True
    ### END SOLUTION


# %% test="gradcheck" points=5
rng = check.rng()
a, b = rng.uniform(0.5, 2.0, (2, 3)), rng.uniform(0.5, 2.0, (2, 3))
check.equal(gradcheck(np.multiply, lambda g, a, b: (g * b, g * a), a, b), True, "gradcheck of a right vjp of a * b")
check.equal(
    gradcheck(np.multiply, lambda g, a, b: (g * a, g * b), a, b),
    False,
    "gradcheck of a vjp of a * b with a and b mixed up",
)
check.equal(
    gradcheck(np.multiply, lambda g, a, b: (b, a), a, b),
    False,
    "gradcheck of a vjp that ignores g",
    hint="is g random?",
)
check.equal(
    gradcheck(np.multiply, lambda g, a, b: (g * b, g * a * 1.0001), a, b),
    False,
    "gradcheck of a gradient off by 0.01 percent",
)
check.equal(
    gradcheck(np.multiply, lambda g, a, b: (g * b,), a, b), False, "gradcheck of a vjp that returns too few gradients"
)
### BEGIN HIDDEN TESTS
_rng = check.rng(12)
_a, _b = _rng.uniform(0.5, 2.0, (2, 3)), _rng.uniform(0.5, 2.0, (2, 3))


def _spoil(gradient, value):
    """The gradient, with its last entry replaced."""
    spoilt = np.array(gradient)
    spoilt[(-1,) * spoilt.ndim] = value
    return spoilt


def _shift(gradient):
    """Errors of plus and minus 0.01 that cancel in a sum."""
    shifted = np.array(gradient)
    shifted[0, 0] += 0.01
    shifted[-1, -1] -= 0.01
    return shifted


_square = _rng.standard_normal((3, 3))
_long = _rng.uniform(0.5, 2.0, 64)
_sizes = np.where(np.arange(64) < 8, 1e9, 1.0)
_place = int(_rng.integers(20, 60))
_elsewhere = 1.0 + (np.arange(64) == _place)  # a factor 2 at one place in the middle
_turned = np.asfortranarray(_rng.uniform(0.5, 2.0, (3, 4)))
_verdicts = [
    ("a vjp that takes |g|; is g of both signs?", False, np.sin, lambda g, x: (abs(g) * np.cos(x),), _long),
    ("one wrong entry among 64", False, np.sin, lambda g, x: (g * np.cos(x) * _elsewhere,), _long),
    (
        "entries of size 1, all of the wrong sign, beside right ones of size 1e9",
        False,
        lambda x: _sizes * x,
        lambda g, x: (g * np.where(_sizes > 1, _sizes, -1.0),),
        _long,
    ),
    ("a flat gradient of a (2, 3) input", False, np.sin, lambda g, x: ((g * np.cos(x)).ravel(),), _a),
    ("a gradient with an axis too many", False, np.sin, lambda g, x: ((g * np.cos(x))[None],), _a),
    ("an input whose columns lie together in memory", True, np.sin, lambda g, x: (g * np.cos(x),), _turned),
    ("an input that is a transposed view", True, np.sin, lambda g, x: (g * np.cos(x),), _a.T),
    ("a function that returns a Python float", True, lambda x: float(np.sum(x**2)), lambda g, x: (2 * g * x,), _a),
    ("an empty input", True, lambda x: np.sum(x), lambda g, x: (g + 0 * x,), np.zeros((0, 3))),
    (
        "a NaN in a gradient; NaN > tolerance is False",
        False,
        np.multiply,
        lambda g, a, b: (_spoil(g * b, np.nan), g * a),
        _a,
        _b,
    ),
    (
        "the last entry of the last gradient wrong",
        False,
        np.multiply,
        lambda g, a, b: (g * b, _spoil(g * a, 7.5)),
        _a,
        _b,
    ),
    (
        "the last entry of the first gradient wrong",
        False,
        np.multiply,
        lambda g, a, b: (_spoil(g * b, 7.5), g * a),
        _a,
        _b,
    ),
    ("errors that cancel in a sum", False, np.multiply, lambda g, a, b: (_shift(g * b), g * a), _a, _b),
    ("the wrong sign", False, np.multiply, lambda g, a, b: (-g * b, -g * a), _a, _b),
    ("a gradient too many", False, np.multiply, lambda g, a, b: (g * b, g * a, g), _a, _b),
    ("sin", True, np.sin, lambda g, x: (g * np.cos(x),), _a),
    ("sin, off by 1e-4", False, np.sin, lambda g, x: (g * np.cos(x) + 1e-4,), _a),
    ("a transposition, whose result is a view", True, lambda x: x.T, lambda g, x: (g.T,), _square),
    ("a transposition whose vjp does not transpose", False, lambda x: x.T, lambda g, x: (g,), _square),
    ("a gradient of the wrong shape that broadcasts", False, lambda x: x.sum(axis=0), lambda g, x: (g,), _a),
    ("a sum over an axis", True, lambda x: x.sum(axis=0), lambda g, x: (g + 0 * x,), _a),
    ("an input without axes", True, lambda x: x**3, lambda g, x: (3 * g * x**2,), np.array(1.5)),
    ("a right gradient of size 1e8", True, lambda x: 1e8 * x**3, lambda g, x: (3e8 * g * x**2,), _a),
    ("a gradient of size 1e-3 off by 0.1 percent", False, lambda x: 1e-3 * x, lambda g, x: (1.001e-3 * g,), _a),
    ("a function with an empty result", True, lambda x: x[:0], lambda g, x: (0 * x,), _a[0]),
]
for _story, _verdict, _f, _vjp, *_inputs in _verdicts:
    with check.unchanged(f"gradcheck of {_story}", *_inputs), numpy_only():
        _got = gradcheck(_f, _vjp, *_inputs)
    check.equal(bool(_got), _verdict, f"gradcheck of {_story}")
# 1e-3 relative: refused by default, accepted when asked for.
_off = lambda g, a, b: (g * b * 1.001, g * a)  # noqa: E731
check.equal(bool(gradcheck(np.multiply, _off, _a, _b)), False, "gradcheck of a gradient off by 0.1 percent")
check.equal(
    bool(gradcheck(np.multiply, _off, _a, _b, rtol=0.01)), True, "gradcheck of a gradient off by 0.1 percent, rtol=0.01"
)
check.equal(
    bool(gradcheck(np.multiply, _off, _a, _b, atol=0.1)), True, "gradcheck of a gradient off by 0.1 percent, atol=0.1"
)
# |claimed - numerical| is 0.9 |numerical|: more than half of it, but not more than half of the claim.
check.equal(
    bool(gradcheck(np.multiply, lambda g, a, b: (1.9 * g * b, 1.9 * g * a), _a, _b, rtol=0.5)),
    False,
    "gradcheck of a gradient 1.9 times too large, rtol=0.5",
    hint="the tolerance is relative to the numerical gradient, not to the claimed one",
)
# With h = 0.1, the central difference of x³ is 3x² + h²: the step that was passed is used, to both sides.
_cubed = lambda g, x: (g * (3 * x**2 + 0.01),)  # noqa: E731
check.equal(
    bool(gradcheck(lambda x: x**3, _cubed, _a, h=0.1)),
    True,
    "gradcheck with h=0.1 against the central difference with h=0.1",
)
_many = _rng.uniform(0.1, 1.0, 200)  # adding h, subtracting 2h, adding h does not give x back
with check.unchanged("gradcheck of 200 entries", _many):
    gradcheck(np.exp, lambda g, x: (g * np.exp(x),), _many)
_frozen = _rng.standard_normal(4)
_frozen.flags.writeable = False
try:
    _got = gradcheck(np.sin, lambda g, x: (g * np.cos(x),), _frozen)
except ValueError:
    _got = "ValueError"
check.equal(_got, True, "gradcheck of an input that is read-only", hint="move entries in copies")
### END HIDDEN TESTS

# %% [markdown]
# Now point it at your own work. The last line is a check of the checker: a `matmul_vjp` without the transposition, on
# square matrices, must be caught.

# %% explore
rng = np.random.default_rng(0)
x, row, batch = rng.standard_normal((2, 3, 4)), rng.standard_normal((4, 1)), rng.standard_normal((5, 1, 4, 3))
square_a, square_b, picks = rng.standard_normal((3, 3)), rng.standard_normal((3, 3)), np.array([1, 1, 0])
subjects = {
    "unbroadcast": (lambda r: x.swapaxes(1, 2) * r, lambda g, r: (unbroadcast(g * x.swapaxes(1, 2), r.shape),), row),
    "matmul_vjp": (np.matmul, matmul_vjp, batch, x),
    "sum_vjp": (lambda x: x.sum(axis=1), lambda g, x: (sum_vjp(g, x, 1),), x),
    "mean_vjp": (lambda x: x.mean(axis=(0, 2)), lambda g, x: (mean_vjp(g, x, (0, 2)),), x),
    "max_vjp": (lambda x: x.max(axis=-1), lambda g, x: (max_vjp(g, x, -1),), x),
    "reshape_vjp": (lambda x: x.reshape(6, 4), lambda g, x: (reshape_vjp(g, x.shape),), x),
    "transpose_vjp": (lambda x: x.transpose(1, 2, 0), lambda g, x: (transpose_vjp(g, (1, 2, 0)),), x),
    "index_vjp": (lambda x: x[picks], lambda g, x: (index_vjp(g, x, picks),), x),
    "cross_entropy": (lambda z: cross_entropy(z, picks)[0], lambda g, z: (g * cross_entropy(z, picks)[1],), square_a),
    "matmul_vjp, wrong": (np.matmul, lambda g, a, b: (g @ b, a @ g), square_a, square_b),
}
for name, subject in subjects.items():
    print(f"{name:18}", "agrees with central differences" if gradcheck(*subject) else "does NOT agree")

# %% [markdown]
# ### 4.2 A network
#
# A **multilayer perceptron** (MLP) is a chain of layers $x \mapsto \text{relu}(xW + b)$, where the last one has no
# relu, so that its logits may be negative. With 300 points in the plane and layers of sizes 2, 32, 32, 3:
#
# | step | shape |
# |---|---|
# | `x` | `(300, 2)` |
# | `(x @ W1 + b1).relu()` | `(300, 2) @ (2, 32) + (32,)`, so `(300, 32)` |
# | `(... @ W2 + b2).relu()` | `(300, 32)` |
# | `... @ W3 + b3` | `(300, 3)`: one logit for each class |
#
# Use the operators of `Tensor`, not those of `.data`: an operation on `.data` is not recorded, and the gradient stops
# there.
#
# **Build** `mlp`, for any number of layers.
#
# <details><summary>Hint 1</summary>
#
# `params[0::2]` are the weights, `params[1::2]` the biases. `zip` pairs them.
#
# </details>


# %%
def init_mlp(sizes: Sequence[int], rng: np.random.Generator) -> list[Tensor]:
    """Parameters [W1, b1, W2, b2, ...] of an MLP; weights of variance 2 / inputs (He et al., 2015), biases zero."""
    params = []
    for inputs, outputs in pairwise(sizes):
        params += [Tensor(rng.standard_normal((inputs, outputs)) * np.sqrt(2 / inputs)), Tensor(np.zeros(outputs))]
    return params


# %% exercise="mlp" minutes=10 difficulty=2
def mlp(params: list[Tensor], x: Tensor) -> Tensor:
    """The logits of an MLP.

    Args:
        params: [W1, b1, W2, b2, ..., Wn, bn] with n >= 1; W of shape (inputs, outputs), b of shape (outputs,). The same
            Tensor may stand for several layers ("tied" weights). The list is not changed.
        x: inputs of shape (batch, inputs of W1).

    Returns:
        A Tensor of shape (batch, outputs of Wn): relu(x @ W + b) for every layer but the last, x @ W + b for the last
        one. All of it is recorded, relu too: backward reaches every parameter, with the right gradient.
    """
    ### BEGIN SOLUTION
    *hidden, (w_out, b_out) = zip(params[0::2], params[1::2], strict=True)
    for w, b in hidden:
        x = (x @ w + b).relu()
    return x @ w_out + b_out
    ### END SOLUTION


# %% test="mlp" points=2
params = [Tensor([[1.0, -1.0]]), Tensor([0.0, 1.0]), Tensor([[1.0], [10.0]]), Tensor([-50.0])]
out = mlp(params, Tensor([[2.0], [-3.0]]))
check.that(isinstance(out, Tensor), f"mlp(params, x)\n  returned  {type(out).__name__}\n  expected  a Tensor")
check.close(
    out.data,
    [[-48.0], [-10.0]],
    "mlp of two layers, sizes 1, 2, 1; x = [[2], [-3]]",
    likely={
        "relu after the last layer": [[0.0], [0.0]],
        "relu after no layer": [[-58.0], [-13.0]],
        "without the biases": [[2.0], [30.0]],
    },
)
reached = [out]
for node in reached:  # grows on the way
    reached += [parent for parent in node.parents if not any(parent is other for other in reached)]
lost = [name for name, p in zip(("W1", "b1", "W2", "b2"), params, strict=True) if not any(p is n for n in reached)]
check.that(
    not lost,
    f"mlp(params, x)\n  backward would not reach {', '.join(lost)}\n  use the operators of Tensor, not those of .data",
)
### BEGIN HIDDEN TESTS
_rng = check.rng(13)
for _sizes in [(3, 4), (2, 5, 3), (4, 3, 6, 2), (3, 3, 3, 3, 3)]:
    _params = init_mlp(_sizes, _rng)
    for _p in _params[1::2]:
        _p.data = _rng.standard_normal(_p.data.shape)
    _x = _rng.standard_normal((7, _sizes[0]))
    _h = torch.tensor(_x)
    for _i in range(0, len(_params), 2):
        _h = _h @ torch.tensor(_params[_i].data) + torch.tensor(_params[_i + 1].data)
        _h = torch.relu(_h) if _i < len(_params) - 2 else _h
    _call = f"mlp of {len(_sizes) - 1} layers, sizes {_sizes}"
    with check.unchanged(_call, _x, *(p.data for p in _params)), numpy_only():
        _out = mlp(_params, Tensor(_x))
    # 1e-12: a layer sums up to 7 terms of order 10, with signs, and errors pass through up to four layers.
    check.close(_out.data, _h, _call, atol=1e-12, hint="relu after every layer but the last")


def _gradients(out):
    """d sum(out) / d node by id, over the recorded graph."""
    order, seen = [], set()

    def visit(node):
        if id(node) not in seen:
            seen.add(id(node))
            for parent in node.parents:
                visit(parent)
            order.append(node)

    visit(out)
    sums = {id(out): np.ones(out.data.shape)}
    for node in reversed(order):
        for parent, share in zip(node.parents, node.vjp(sums[id(node)]) if node.parents else (), strict=True):
            sums[id(parent)] = sums.get(id(parent), 0.0) + share
    return sums


# The gradients of + and @ come from PyTorch here, so that this test looks at mlp alone.
with check.using(
    unbroadcast=lambda g, shape: judge(functools.partial(torch.broadcast_to, size=g.shape), g, np.zeros(shape))[0],
    matmul_vjp=lambda g, a, b: tuple(judge(torch.matmul, g, a, b)),
):
    for _sizes, _tied in [((3, 5, 2), False), ((2, 4, 3, 2), False), ((3, 3, 3, 3), True)]:
        _params = init_mlp(_sizes, _rng)
        if _tied:
            _params = _params[:2] * 3
        _x = _rng.standard_normal((6, _sizes[0]))
        _x[0] = 0.0  # with biases 0, every relu sees exactly 0 here
        _leaves = {id(p): torch.tensor(p.data, requires_grad=True) for p in _params}
        _h = torch.tensor(_x)
        for _i in range(0, len(_params), 2):
            _h = _h @ _leaves[id(_params[_i])] + _leaves[id(_params[_i + 1])]
            _h = torch.relu(_h) if _i < len(_params) - 2 else _h
        _given = list(_params)
        _call = f"mlp of {len(_sizes) - 1} layers" + " that share one W and one b" * _tied
        for _which in ("first", "second"):
            with np.errstate(all="ignore"):
                _out = mlp(_params, Tensor(_x))
                _got = _gradients(_out)
            check.that(
                len(_params) == len(_given) and all(p is q for p, q in zip(_params, _given, strict=True)),
                f"{_call}\n  changes the list of parameters; the next call needs it",
            )
            # 1e-12: as above.
            check.close(
                _out.data, _h, f"{_call}, {_which} call", atol=1e-12, hint="relu after every layer but the last"
            )
        for _p, _d in zip(_leaves, torch.autograd.grad(_h.sum(), list(_leaves.values())), strict=True):
            check.that(
                _p in _got,
                f"{_call}\n  not every parameter is among what the result was recorded from; "
                "use the operators of Tensor, not those of .data",
            )
            check.close(
                _got[_p],
                _d,
                f"{_call}: a gradient of the sum of the logits",
                atol=1e-12,
                hint="where relu gives 0, nothing flows back; not NaN either, where its input is just 0",
            )
### END HIDDEN TESTS

# %% [markdown]
# ### 4.3 A training loop
#
# **Gradient descent** takes a small step against the gradient, again and again:
# $\theta \leftarrow \theta - \eta\, \partial L / \partial \theta$, where $\theta$ is a parameter and $\eta$ the
# **learning rate**. One step has four parts, and the order matters:
#
# 1. forget the old gradients (set `grad` to `None`)
# 2. forward: compute the loss, which records a new graph
# 3. backward
# 4. update `data` of every parameter, in place or with a new array. The `Tensor` objects stay the same ones: the
#    caller, and the loss function, hold on to them.
#
# The loss comes as a function without arguments, so the loop knows nothing about networks.
#
# **A worked example.** One parameter $w = 3$, loss $w^2$, $\eta = 0.25$. Gradient 6, so $w$ becomes $1.5$; then
# $0.75$. The losses are 9 and $2.25$.
#
# **Build** `train`.
#
# <details><summary>Hint 1</summary>
#
# A loss is a Tensor without axes; `float(loss.data)` is its number.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `p = Tensor(...)` in a loop gives a local name to a new object and leaves the list and the network alone. Change
# `p.data`.
#
# </details>


# %% exercise="train" minutes=15 difficulty=2
def train(params: list[Tensor], loss: Callable[[], Tensor], steps: int, lr: float) -> list[float]:
    """Gradient descent.

    Args:
        params: the Tensors to train, all different. Their `data` is updated. Their `grad` may hold anything at the
            start (None, NaN, a wrong shape), and may hold anything at the end. A `grad` that backward has left is not
            written to: two parameters may share it, and it may be read-only.
        loss: computes the loss with the present parameters, as a Tensor without axes that depends on each of them.
            Called once for each step.
        steps: how many steps, 0 or more.
        lr: the learning rate.

    Returns:
        The loss of every step, as floats, each computed before that step's update. No step is left out or undone,
        whether the loss falls or not.
    """
    ### BEGIN SOLUTION
    losses = []
    for _ in range(steps):
        for p in params:
            p.grad = None
        current = loss()
        current.backward()
        for p in params:
            p.data = p.data - lr * p.grad
        losses.append(float(current.data))
    return losses
    ### END SOLUTION


# %% test="train" points=4
def half_square(w):
    """The sum of w² / 2, with its vjp written out: a loss that needs none of the earlier exercises."""
    at = w.data
    return Tensor(0.5 * np.sum(at**2), (w,), lambda g: (g * at,))


w = Tensor([4.0, -2.0])
try:
    losses = train([w], lambda: half_square(w), steps=3, lr=0.25)
except TypeError as error:
    check.that(
        False,
        f"train\n  TypeError: {error}\n  if grad is None: was the parameter replaced? "
        "The Tensor objects must stay the same ones; change p.data",
    )
check.close(
    losses,
    [10.0, 10 * 0.75**2, 10 * 0.75**4],
    "train: the losses of w²/2, w = [4, -2], lr=0.25, three steps",
    likely={
        "each loss belongs to the parameters before the update": [10 * 0.75**2, 10 * 0.75**4, 10 * 0.75**6],
        "old gradients were not forgotten; they add up": [10.0, 10 * 0.75**2, 10 * 0.3125**2],
        "the parameters do not move: change p.data": [10.0, 10.0, 10.0],
        "uphill: the gradient is subtracted": [10.0, 10 * 1.25**2, 10 * 1.25**4],
    },
)
check.close(
    w.data,
    [4 * 0.75**3, -2 * 0.75**3],
    "train: the parameter after three steps",
    likely={"the parameters do not move: change p.data, and let the Tensor be the same object": [4.0, -2.0]},
)
### BEGIN HIDDEN TESTS
_rng = check.rng(14)
_w, _v = Tensor(_rng.standard_normal((3, 2))), Tensor(_rng.standard_normal(4))
_w.grad, _v.grad = np.full((3, 2), 9.0), np.full(4, 9.0)  # left from before
_start = [_w.data.copy(), _v.data.copy()]
_count = []


def _quadratic():
    _count.append(1)
    w, v = _w.data.copy(), _v.data.copy()
    return Tensor(0.5 * np.sum(w**2) + 1.5 * np.sum(v**2), (_w, _v), lambda g: (g * w, 3 * g * v))


_got = train([_w, _v], _quadratic, steps=6, lr=0.1)
# 1e-12: six steps, each with a few roundings of numbers of order 10.
_call = "train: the {} of two parameters after six steps on a quadratic; grad was not None at the start"
check.close(_w.data, _start[0] * 0.9**6, _call.format("first"), atol=1e-12)
check.close(_v.data, _start[1] * 0.7**6, _call.format("second"), atol=1e-12)
_want = [0.5 * np.sum((_start[0] * 0.9**k) ** 2) + 1.5 * np.sum((_start[1] * 0.7**k) ** 2) for k in range(6)]
check.close(_got, _want, "train: the losses of a quadratic", atol=1e-11)
check.equal(len(_count), 6, "train: calls of the loss in six steps", hint="one graph for each step")
check.that(
    all(isinstance(l, float) for l in _got), f"train returned losses of type {type(_got[0]).__name__}; they are floats"
)
check.equal(train([_w], lambda: half_square(_w), 0, 0.1), [], "train with no steps")
_w = Tensor([4.0, -2.0])
_w.grad = np.array([np.nan, np.nan])  # left from a step that went wrong
_got = train([_w], lambda: half_square(_w), steps=4, lr=3.0)  # each step doubles w and turns its sign
check.close(
    _got,
    [10.0, 40.0, 160.0, 640.0],
    "train: the losses of w²/2 with lr=3, where the loss grows; grad was NaN at the start",
    hint="set grad to None (NaN times 0 is NaN), and take every step, whatever the loss does",
)
check.close(_w.data, [64.0, -32.0], "train: the parameter after four steps uphill", hint="no step is undone")
_w = Tensor([0.0, 0.0])
check.equal(
    train([_w], lambda: half_square(_w), 3, 0.1), [0.0] * 3, "train: the losses of w²/2 at its minimum, three steps"
)
_w, _v, _ones = Tensor([1.0, 2.0]), Tensor([3.0, 4.0]), np.ones(2)
_got = train([_w, _v], lambda: Tensor(np.sum(_w.data + _v.data), (_w, _v), lambda g: (_ones, _ones)), 1, 0.5)
check.close(
    [_w.data, _v.data],
    [[0.5, 1.5], [2.5, 3.5]],
    "train: the parameters after a step on sum(w + v), lr=0.5",
    hint="both have the same array as grad, and it is the engine's: don't scale it in place",
)

# Everything together: a network, five steps, against PyTorch.
_x, _y = _rng.standard_normal((9, 2)), _rng.integers(0, 3, 9)
_params = init_mlp((2, 5, 3), _rng)
_leaves = [torch.tensor(p.data, requires_grad=True) for p in _params]
_want = []
for _ in range(5):
    _loss = torch.nn.functional.cross_entropy(
        torch.relu(torch.tensor(_x) @ _leaves[0] + _leaves[1]) @ _leaves[2] + _leaves[3], torch.tensor(_y)
    )
    _want.append(_loss.item())
    _gradients = torch.autograd.grad(_loss, _leaves)
    with torch.no_grad():
        for _p, _d in zip(_leaves, _gradients, strict=True):
            _p -= 0.5 * _d
_input = Tensor(_x)
_network = lambda: ((_input @ _params[0] + _params[1]).relu() @ _params[2] + _params[3]).cross_entropy(_y)  # noqa: E731
_got = train(_params, _network, steps=5, lr=0.5)
# 1e-12: five steps of a few hundred operations each, every one good to 1e-16.
check.close(_got, _want, "train: five losses of an MLP, against PyTorch", rtol=1e-12)
for _p, _leaf in zip(_params, _leaves, strict=True):
    check.close(
        _p.data, _leaf, "train: a parameter of an MLP after five steps, against PyTorch", rtol=1e-12, atol=1e-12
    )
### END HIDDEN TESTS

# %% [markdown]
# ### Does it learn?
#
# Three arms of a spiral, a hundred points each. No straight line separates them. The network has 1251 parameters, and
# each of the 800 steps needs the derivative with respect to all of them. NumPy, the class `Tensor` and `init_mlp` are
# given; the loop, the network, the loss, the order of the backward pass and the vjps are yours.


# %% explore
def spiral(points: int, classes: int, rng: np.random.Generator) -> tuple[ndarray, ndarray]:
    """`classes` arms of `points` points each: positions (n, 2) and classes (n,)."""
    radius = np.tile(np.linspace(0.05, 1, points), classes)
    arm = np.repeat(np.arange(classes), points)
    angle = 2 * np.pi * arm / classes + 4.5 * radius + 0.2 * rng.standard_normal(len(arm))
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1), arm


positions, classes = spiral(100, 3, np.random.default_rng(0))
network = init_mlp((2, 32, 32, 3), np.random.default_rng(1))
losses = train(network, lambda: mlp(network, Tensor(positions)).cross_entropy(classes), steps=800, lr=0.5)
predicted = mlp(network, Tensor(positions)).data.argmax(axis=1)

grid = np.stack(np.meshgrid(np.linspace(-1.3, 1.3, 200), np.linspace(-1.3, 1.3, 200)), axis=-1)
regions = mlp(network, Tensor(grid.reshape(-1, 2))).data.argmax(axis=1).reshape(200, 200)
colors = [plots.BLUE, plots.ORANGE, plots.GREEN]
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4))
left.semilogy(losses, color=plots.BLUE)
left.set(xlabel="step", ylabel="cross-entropy (nats)", title="The loss falls")
right.contourf(grid[..., 0], grid[..., 1], regions, levels=[-0.5, 0.5, 1.5, 2.5], colors=colors, alpha=0.25)
for k, color in enumerate(colors):
    right.plot(*positions[classes == k].T, ".", color=color, ms=5)
right.set(aspect="equal", xlabel="first input", ylabel="second input")
right.set_title(f"{np.mean(predicted == classes):.1%} of the points are right")
right.grid(False)
plots.show(
    figure,
    alt="Left: the loss falls over 800 steps. Right: three spiral arms, and the network's region for each.",
)

# %% [markdown]
# The loss is in **nats**, the unit that goes with the natural logarithm; guessing among three classes costs
# $\ln 3 \approx 1.1$. Where the curve jumps up, a step was too long for the slope there, as with every fixed learning
# rate; the next ones repair it. And the share that is right is counted on the very points that the network was trained
# on: it shows that the gradients work, not that the network has understood spirals.
#
# ## Part 5. Measure it
#
# ### 5.1 What does a gradient cost?
#
# Count before you time: a count is the same on every machine. Walter Baur and Volker Strassen proved in 1983 that,
# counting multiplications and divisions and taking additions and multiplications by constants for free, **a function
# and its whole gradient cost at most three times the function**, however many inputs it has. Their proof, read as a
# program, is reverse mode. It is the sharp form of what is known as the *cheap gradient principle*.
#
# The function here is a classic of the field, Speelpenning's product $f(x) = x_1 x_2 \cdots x_n$, with $n - 1$
# multiplications. You can see the three coming: each product `a * b` gives backward two multiplications, `g * b` and
# `g * a`. Forward mode does them for one direction at a time, so it needs $n$ passes.
#
# `Counted` is a float that counts its products with other `Counted` numbers; it goes through your `Dual` and your
# `Value` unchanged. (If a count below is 0, somewhere you converted with `float(...)`.)


# %% explore
class Counted(float):
    """A float that counts multiplications; those by plain numbers (constants) are free, as in the theorem."""

    products = 0

    def __mul__(self, other):
        Counted.products += isinstance(other, Counted)
        return Counted(float(self) * float(other))

    def __add__(self, other):
        return Counted(float(self) + float(other))

    __rmul__, __radd__ = __mul__, __add__


def speelpenning(x):
    product = x[0]
    for factor in x[1:]:
        product = product * factor
    return product


def by_forward_mode(f, x):
    return [jvp(f, x, [float(i == k) for i in range(len(x))])[1] for k in range(len(x))]


def by_reverse_mode(f, x):
    inputs = [Value(number) for number in x]
    backward(f(inputs))
    return [node.grad for node in inputs]


def products(run, f, x):
    Counted.products = 0
    run(f, [Counted(number) for number in x])
    return Counted.products


def seconds(run, f, x, repeats=5):
    """The fastest of some runs: others were slowed down by the machine. Python's garbage collector waits meanwhile."""
    times = []
    gc.collect()
    gc.disable()
    try:
        for _ in range(repeats):
            start = time.perf_counter()
            run(f, x)
            times.append(time.perf_counter() - start)
    finally:
        gc.enable()
    return min(times)


sizes = [2, 4, 8, 16, 32, 64, 128, 256]
ways = {
    "forward mode, yours, n passes": (by_forward_mode, plots.PURPLE),
    "reverse mode, yours": (by_reverse_mode, plots.BLUE),
}
figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4), sharex=True)
points = [np.random.default_rng(n).uniform(0.9, 1.1, n).tolist() for n in sizes]
plain = [
    (products(lambda f, x: f(x), speelpenning, x), seconds(lambda f, x: f(x), speelpenning, x, 50)) for x in points
]
for label, (way, color) in ways.items():
    counts = [products(way, speelpenning, x) / count for x, (count, _) in zip(points, plain, strict=True)]
    times = [seconds(way, speelpenning, x) / duration for x, (_, duration) in zip(points, plain, strict=True)]
    left.loglog(sizes, counts, "o-", color=color, label=label)
    right.loglog(sizes, times, "o-", color=color, label=label)
    print(f"{label}: {counts[-1]:.2f} times the multiplications of f at n = {sizes[-1]}")
    if way is by_reverse_mode:
        check.that(
            max(counts) <= 3, f"Baur and Strassen: at most 3 times the multiplications; counted {max(counts):.2f}"
        )
        check.close(
            way(speelpenning, points[-1]), np.prod(points[-1]) / points[-1], "gradient of the product", terms=256
        )
left.axhline(3, color=plots.GREY, ls="--", lw=1.2, label="bound of Baur and Strassen: 3")
left.set(xlabel="number of inputs n", ylabel="gradient / function", title="Multiplications, counted")
right.set(xlabel="number of inputs n", ylabel="gradient / function", title="Seconds, measured")
for axis in (left, right):
    axis.set_xticks([2, 8, 32, 128], ["2", "8", "32", "128"])
    axis.minorticks_off()
left.legend(fontsize=9)
plots.show(
    figure,
    alt="Cost of a gradient in units of the function against the number of inputs, counted and timed. Forward mode "
    "grows in proportion to n. Reverse mode is flat, and its count stays below 3.",
)

# %% [markdown]
# In multiplications, your engine obeys the theorem to the letter. Forward mode needs about $2n$ times the function: in
# each of the $n$ passes a product $(a + a'\varepsilon)\,b$ costs two, $ab$ and $a'b$ (the seed of the input $b$ is a
# constant, and free). In general one pass of forward mode costs two to three times the function, and one of reverse
# mode (forward and back) three to four in all. So to compare the modes, count passes.
#
# In seconds, reverse mode is higher than in multiplications but does not grow with $n$ as forward mode does: creating a
# Python object costs far more than the multiplication that it stands for. The remedy is what you did in part 3: one
# object for many multiplications. How much does it help?
#
# ### 5.2 A node for each number, or a node for each array?
#
# [micrograd](https://github.com/karpathy/micrograd) is Andrej Karpathy's scalar engine, the model for `Value`. Both
# engines now do one training step (forward and backward) of the same network with the same weights, and first they
# must agree on the loss and on every gradient.

# %% explore
try:
    import micrograd.nn
except ImportError:
    micrograd = None
    print("micrograd is not installed (pip install micrograd), so this comparison is left out.")

if micrograd:
    scalar = micrograd.nn.MLP(2, [16, 16, 1])
    arrays = []
    for layer in scalar.layers:
        arrays.append(Tensor([[w.data for w in neuron.w] for neuron in layer.neurons]).data.T)  # (inputs, outputs)
        arrays.append(np.array([float(neuron.b.data) for neuron in layer.neurons]))
    ours = [Tensor(array) for array in arrays]
    torchs = [torch.tensor(np.array(array), requires_grad=True) for array in arrays]

    def step_micrograd(x, y):
        scalar.zero_grad()
        errors = [(scalar(row) - target) ** 2 for row, target in zip(x.tolist(), y.tolist(), strict=True)]
        loss = sum(errors) * (1 / len(y))
        loss.backward()
        return loss.data

    def step_ours(x, y):
        for p in ours:
            p.grad = None
        loss = ((mlp(ours, Tensor(x)) - y[:, None]) ** 2).mean()
        loss.backward()
        return float(loss.data)

    def step_torch(x, y):
        for p in torchs:
            p.grad = None
        h = torch.relu(torch.relu(torch.as_tensor(x) @ torchs[0] + torchs[1]) @ torchs[2] + torchs[3])
        loss = ((h @ torchs[4] + torchs[5] - torch.as_tensor(y)[:, None]) ** 2).mean()
        loss.backward()
        return loss.item()

    rng = np.random.default_rng(0)
    batches = [1, 2, 4, 8, 16, 32]
    engines = {
        "micrograd: a node for each number": (step_micrograd, plots.ORANGE),
        "yours: a node for each array": (step_ours, plots.BLUE),
        "PyTorch, one thread": (step_torch, plots.GREY),
    }
    data = [(rng.standard_normal((n, 2)), rng.standard_normal(n)) for n in batches]
    x, y = data[-1]
    check.close(step_ours(x, y), step_micrograd(x, y), "loss: yours against micrograd", rtol=1e-12)
    for layer, gradient in zip(scalar.layers, ours[0::2], strict=True):  # sums in another order: some hundred roundings
        check.close(
            gradient.grad.T,
            [[w.grad for w in neuron.w] for neuron in layer.neurons],
            "gradients",
            rtol=1e-9,
            atol=1e-12,
        )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    times = {
        name: [seconds(lambda step, batch: step(*batch), step, batch) for batch in data]
        for name, (step, _) in track(engines.items(), "one step of each engine")
    }
    torch.set_num_threads(threads)
    figure, axis = plt.subplots()
    for name, (_, color) in engines.items():
        line = "o--" if color == plots.GREY else "o-"
        axis.loglog(batches, [1e3 * t for t in times[name]], line, color=color, label=name)
    axis.set_xticks(batches, [str(n) for n in batches])
    axis.minorticks_off()
    axis.set(
        xlabel="points in the batch",
        ylabel="time of a step (ms)",
        title="One training step of an MLP with sizes 2, 16, 16, 1",
    )
    axis.legend()
    plots.show(
        figure,
        alt="Time of a training step against batch size: micrograd's grows with the batch, the array engine's hardly.",
    )
    slow, fast, _ = (t[-1] for t in times.values())
    times_faster = float(f"{slow / fast:.0e}")  # one digit
    print(f"batch of {batches[-1]}: same loss, same gradients; your engine is about {times_faster:.0f} times faster")

# %% [markdown]
# Read the figure from the slopes. micrograd's time is in proportion to the batch: each point adds several hundred
# nodes. The two array engines make as many nodes for 32 points as for one, and at this size the arithmetic inside a
# node is next to nothing, so neither line rises much: what you see is the price of an operation, whatever its size.
# PyTorch pays it too (finding the right kernel, checking shapes, recording), and so is not ahead here. It is once the
# matrices are large, when its kernels run on all cores or on a GPU.
#
# ## In production
#
# Your engine and PyTorch's have the same skeleton. What differs:
#
# - **Nodes.** Instead of a Python function such as the `lambda` in `Tensor`, each operation records a C++ `Node`
#   (`grad_fn`). Most are generated from a table, `derivatives.yaml`, with a formula for each of some hundreds of
#   operations.
# - **Order.** No sorted list. One walk counts for each node how many users will report; the node whose count reaches
#   zero enters a **ready queue**, and from the queue the node that was created *last* is taken first (by its
#   *sequence number*): what uses a node was always created after it. Each GPU has its own queue and thread.
# - **Memory.** What backward needs is held as **saved tensors** and let go as soon as backward has used it; a second
#   backward through the same graph is an error, unless you say `retain_graph=True`. Only leaves (tensors that no
#   operation made) keep their `grad`. In your engine everything lives as long as the loss does.
# - **Derivatives of derivatives.** The vjps are themselves PyTorch operations, so with `create_graph=True` backward
#   records a graph of its own. Yours are NumPy, which nobody records.
# - **Versions.** Every tensor counts how often it was changed in place. See below.
#
# **JAX** notes nothing on its arrays at all. `jax.grad` traces your *function* into a small program, pushes `jvp` rules
# through it (forward mode), and then **transposes** the linear program that results, which turns it into reverse
# mode. So each operation needs one derivative rule, and a transposition rule if it is linear. What comes out is a
# function again, so `grad`, `vmap` (run it over a batch) and `jit` (compile it) nest in any order. The price: your
# function must be *pure*, so that the same arguments always give the same result, and nothing else happens.
#
# What is the version for? Your `*` keeps references to its inputs, and looks at them only when backward runs. Change
# one in between, and see.

# %% explore
w, x = Tensor([3.0]), Tensor([2.0])
y = (w * x).sum()
x.data[0] = 100.0  # in place, after forward and before backward
y.backward()
print("yours:   d(w * x)/dw at x = 2 is", w.grad[0], "- wrong, and nobody noticed")

w, x = torch.tensor([3.0], requires_grad=True), torch.tensor([2.0])
y = (w * x).sum()
print("PyTorch: x has version", x._version, end=", ")
x[0] = 100.0
print("after the assignment", x._version)
try:
    y.backward()
except RuntimeError as error:
    print("PyTorch:", str(error).split(";")[0])

# %% [markdown] question="which_mode" points=4
# ## Open question: which mode?
#
# A renderer maps 6 numbers (position and direction of a camera) to an image of $10^6$ pixels. One run of it costs 1
# unit of time and has $10^8$ intermediate values.
#
# 1. You want the whole Jacobian, $10^6 \times 6$. What does it cost with forward mode, and what with reverse mode?
#    Which do you take?
# 2. You add a loss that compares the image with a photograph, and want its gradient with respect to the 6 numbers.
#    Compare again. Is there a clear winner in time? And in memory?
# 3. Now a network with $10^7$ weights computes the 6 numbers from the photograph, in front of the renderer. You want
#    the gradient of the loss with respect to the weights. Which mode? Does the small middle of 6 numbers change the
#    answer, in time or in memory?
# 4. You want to multiply the Hessian of the loss (the matrix of second derivatives with respect to the $10^7$
#    weights) with one vector, without ever storing the Hessian. How do you combine both modes, and what does it cost?
#
# State what you count. A few sentences for each.
#
# ### BEGIN MARK SCHEME
# One point each; the reasoning counts, constants such as "2 to 3 units a pass" may vary.
#
# 1. Forward: 6 passes (one for each input), some 12 to 18 units, or one pass with six tangents. Reverse: one pass
#    back for each of the 10^6 outputs, some 10^6 units. Forward, by five orders of magnitude.
# 2. Reverse: one pass, some 3 to 5 units in total. Forward: 6 passes, 12 to 18 units. Reverse wins in time, but only
#    by a small factor (full marks also for "about equal, with good constants either way"). In memory forward wins
#    clearly: it carries one tangent beside each live value, while reverse keeps (up to) all 10^8 intermediate values
#    (0.8 GB in float64) until the pass back, or pays for recomputation (checkpointing).
# 3. Reverse: one number out, 10^7 in; forward needs 10^7 passes. The cost is set by the inputs one asks about and by
#    the single output at the end. Going back, all that passes the middle is one vector of 6 numbers, so in time the
#    middle changes nothing. In memory it can help: the renderer may be done by 6 forward passes, which keep nothing,
#    and the 6 derivatives handed to reverse mode through the network. The point needs reverse mode through the
#    network and the reason; the remark on memory is welcome, not needed.
# 4. Hv is the derivative of the gradient in the direction v: forward mode over reverse mode, jvp of (w ->
#    gradient(w)) at w with tangent v. It costs a small constant times one gradient, independent of 10^7, and memory
#    of the order of one backward pass. Reverse over reverse, the gradient of <gradient(w), v>, also has this order
#    and earns the point.
# ### END MARK SCHEME

# %% [markdown]
# ## References
#
# - [Automatic differentiation](https://en.wikipedia.org/wiki/Automatic_differentiation), Wikipedia: both modes on one
#   example, with pictures.
# - A. G. Baydin, B. A. Pearlmutter, A. A. Radul, J. M. Siskind,
#   [Automatic Differentiation in Machine Learning: a Survey](https://www.jmlr.org/papers/v18/17-468.html), JMLR 18,
#   2018.
# - A. Griewank, A. Walther, [Evaluating Derivatives](https://doi.org/10.1137/1.9780898717761), 2nd edition, SIAM,
#   2008: the book on the subject.
# - W. Baur, V. Strassen, [The Complexity of Partial Derivatives](https://doi.org/10.1016/0304-3975%2883%2990110-X),
#   Theoretical Computer Science 22, 1983.
# - A. Karpathy, [micrograd](https://github.com/karpathy/micrograd): an engine on one page.
# - PyTorch, [Autograd mechanics](https://docs.pytorch.org/docs/stable/notes/autograd.html) and
#   [Gradcheck mechanics](https://docs.pytorch.org/docs/stable/notes/gradcheck.html).
# - JAX, [The Autodiff Cookbook](https://docs.jax.dev/en/latest/notebooks/autodiff_cookbook.html); R. Frostig, M. J.
#   Johnson, D. Maclaurin, A. Paszke, A. Radul,
#   [Decomposing reverse-mode automatic differentiation](https://arxiv.org/abs/2105.09469), 2021.
# - K. He, X. Zhang, S. Ren, J. Sun, [Delving Deep into Rectifiers](https://arxiv.org/abs/1502.01852), 2015: the size
#   of the initial weights.
