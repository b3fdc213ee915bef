# %% [markdown]
# # Small tools for tensors
#
# Five short exercises whose tests have the shapes of the real lessons' tests. Nobody learns from them: the suite of
# hostile submissions attacks them.

# %%
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from llmsys import check

rng = check.rng()


def randn(*shape: int) -> Tensor:
    """Normal random numbers; other ones in every run."""
    return torch.from_numpy(rng.standard_normal(shape))


# %% [markdown]
# ## 1. A tensor in, a tensor out


# %% exercise="scale" minutes=1 difficulty=1
def scale(x: Tensor) -> Tensor:
    """Three times `x`: a tensor of the shape and dtype of `x`."""
    ### BEGIN SOLUTION
    factor = torch.tensor(3, dtype=x.dtype)
    return torch.mul(x, factor)
    ### END SOLUTION


# %% test="scale" points=2
x = torch.tensor([1.0, -2.0, 4.0])
check.close(scale(x), x * 3, "scale(x) for x = [1, -2, 4]", likely={"twice x": x * 2, "x cubed": x**3})
want = torch.tensor([[3, 6], [9, 12]])
check.close(scale(torch.tensor([[1, 2], [3, 4]])), want, "scale of a matrix of integers", dtype=torch.int64)
### BEGIN HIDDEN TESTS
_x = randn(3, 5).T
_want = _x * 3
check.close(scale(_x), _want, "scale of a transposed matrix", dtype=torch.float64)
_thin = randn(2, 1, 7)[..., ::2]
check.close(scale(_thin), _thin * 3, "scale of every second column")
check.close(scale(_x[:0]), _x[:0] * 3, "scale of no rows")
### END HIDDEN TESTS

# %% [markdown]
# ## 2. Objects of a given class


# %%
class Node:
    """A node of a graph that is named, and told apart by identity."""

    def __init__(self, name: str, *parents: "Node") -> None:
        self.name, self.parents = name, parents

    def __repr__(self) -> str:
        return f"Node({self.name})"


def agree(found: Any, expected: list[Node], call: str) -> None:
    """`found` is a list of just the nodes `expected`, in any order."""
    check.that(isinstance(found, list), f"{call} gave {type(found).__name__}; it should give a list")
    names = sorted(node.name for node in found)
    check.equal(names, sorted(node.name for node in expected), f"the names in {call}", hint="each node once")
    same = {id(node) for node in found} == {id(node) for node in expected}
    check.that(same, f"{call} holds other nodes of the same names; nodes are told apart by identity")


# %% exercise="ancestors" minutes=3 difficulty=2
def ancestors(node: Node) -> list[Node]:
    """The nodes above `node`: its parents, their parents and so on, each once and in any order, `node` left out.

    No node is its own ancestor. A graph may be thousands of nodes deep, and two nodes may have the same name.
    """
    ### BEGIN SOLUTION
    found, waiting = {}, list(node.parents)
    while waiting:
        above = waiting.pop()
        if id(above) not in found:
            found[id(above)] = above
            waiting.extend(above.parents)
    return list(found.values())
    ### END SOLUTION


# %% test="ancestors" points=3
a, b = Node("a"), Node("b")
c = Node("c", a, b)
d = Node("d", c, a)
agree(ancestors(d), [a, b, c], "ancestors(d)")
found = ancestors(a)
check.equal(found, [], "ancestors(a), which has no parents")
### BEGIN HIDDEN TESTS
_top = Node("top")
_twins = [Node("twin", _top), Node("twin", _top)]
_want = [_top, *_twins]
agree(ancestors(Node("bottom", *_twins)), _want, "ancestors of a node below two nodes of one name")
_chain = [Node("0")]
for _i in range(1, int(check.rng(1).integers(3000, 4000))):
    _chain.append(Node(str(_i), _chain[-1]))
_found = ancestors(_chain[-1])
agree(_found, _chain[:-1], "ancestors at the end of a long chain")
_shared = _top
for _i in range(40):
    _shared = Node(f"level {_i}", _shared, _shared)
check.that(len(ancestors(_shared)) == 40, "forty times two equal parents: there are 40 ancestors, not 2 to the 40")
### END HIDDEN TESTS

# %% [markdown]
# ## 3. A function that calls yours back


# %% exercise="twice" minutes=1 difficulty=1
def twice(f: Callable[[Any], Any], x: Any) -> Any:
    """f(f(x)), by two calls of `f`, the first with `x` itself. Raises TypeError if `f` can't be called."""
    ### BEGIN SOLUTION
    if not callable(f):
        raise TypeError(f"{f!r} can't be called")
    return f(f(x))
    ### END SOLUTION


# %% test="twice" points=2
calls = []


def double(value: int) -> int:
    calls.append(value)
    return 2 * value


check.equal(twice(double, 3), 12, "twice(double, 3)", likely={"double was called once": 6})
check.equal(calls, [3, 6], "what double was called with")
check.raises(TypeError, "twice(1, 2)", twice, 1, 2)
### BEGIN HIDDEN TESTS
_a, _b = (int(k) for k in check.rng(2).integers(2, 50, 2))
_seen = []


def _line(value: int) -> int:
    _seen.append(value)
    return _a * value + _b


_want = _a * (_a * 7 + _b) + _b
with check.forbid("copy.deepcopy", "copy.copy", because="f gets x itself, not a copy"):
    check.equal(twice(_line, 7), _want, "twice(a line, 7)")
check.equal(len(_seen), 2, "the number of calls of f in twice(f, 7)")
_start, _got = object(), []
twice(lambda value: _got.append(value) or value, _start)
check.that(_got[0] is _start, "twice(f, x) calls f with something else than x")
check.raises(KeyError, "twice(f, x), where f raises KeyError", twice, {}.__getitem__, "nothing")
check.raises(TypeError, "twice(None, 0)", twice, None, 0)
### END HIDDEN TESTS

# %% [markdown]
# ## 4. A gradient, judged by torch's own


# %% exercise="grad" minutes=5 difficulty=3
def grad(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The gradient of `f` at `x` without automatic differentiation, to six digits.

    Args:
        f: a smooth function of a float64 vector; gives a scalar tensor.
        x: n > 0 numbers. It is not changed.

    Returns:
        A float64 vector of n numbers.
    """
    ### BEGIN SOLUTION
    step = 6e-6
    moves = step * torch.eye(len(x), dtype=x.dtype)
    return torch.stack([(f(x + move) - f(x - move)) / (2 * step) for move in moves])
    ### END SOLUTION


# %% test="grad" points=4
x = torch.tensor([1.0, 2.0, -3.0], dtype=torch.float64)
# Finite differences: round-off of 1e-16 over a step of 1e-6, some digits below what is asked.
check.close(grad(lambda v: (v**2).sum(), x), 2 * x, "grad(the sum of squares)", atol=1e-6, rtol=1e-6)
### BEGIN HIDDEN TESTS


def _oracle(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    leaf = x.detach().clone().requires_grad_()
    return torch.autograd.grad(f(leaf), leaf)[0]


def _bilinear(weights: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda v: v @ weights @ v


_x, _waves = randn(5), randn(5)


def _wave(v: Tensor) -> Tensor:
    return (v.sin() * _waves).sum()


_want = _oracle(_wave, _x)
_because = "write it with values of f"
with check.unchanged("grad(f, x)", _x), check.forbid("torch.autograd.grad", "torch.Tensor.backward", because=_because):
    _got = grad(_wave, _x)
check.close(_got, _want, "grad(a sum of sines)", atol=1e-6, rtol=1e-6, dtype=torch.float64)
_f = _bilinear(randn(3, 3))
check.close(grad(_f, _x[:3]), _oracle(_f, _x[:3]), "grad(a quadratic form)", atol=1e-6, rtol=1e-6)
### END HIDDEN TESTS

# %% [markdown]
# ## 5. On top of your first answer


# %% exercise="normalise" minutes=3 difficulty=2
def normalise(x: Tensor) -> Tensor:
    """The softmax of scale(x) along the last axis, finite for every finite `x`."""
    ### BEGIN SOLUTION
    scaled = scale(x)
    powers = (scaled - scaled.amax(-1, keepdim=True)).exp()
    return powers / powers.sum(-1, keepdim=True)
    ### END SOLUTION


# %% test="normalise" points=5
x = torch.tensor([[0.0, 1.0], [2.0, 2.0]])
check.close(normalise(x), torch.softmax(x * 3, -1), "normalise(x)", terms=2, likely={"no scale": torch.softmax(x, -1)})
### BEGIN HIDDEN TESTS
_x = randn(4, 3, 6)
_want = torch.softmax(_x * 3, -1)
_sharp = normalise(_x)
# The exponential makes of a relative error in 3x, which is at most some 20, an absolute one.
check.close(_sharp, _want, "normalise of a batch", terms=6, scale=20.0)
check.close(_sharp.sum(-1), torch.ones(4, 3), "the sums of normalise(x)", terms=6)
_large = 1e4 * randn(2, 5)
check.close(normalise(_large), torch.softmax(_large * 3, -1), "normalise(10000 x)", terms=5, scale=20.0)
### END HIDDEN TESTS
