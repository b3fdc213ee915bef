# %% [markdown]
# # 2.2 The computation graph: what a framework keeps, and why
#
# **Five accelerators hold GPT-3. Why can they not train it, not even on one sequence?** Its 175 billion weights take
# 350 GB in 16-bit numbers, and five accelerators have 400 GB. Send *one* sequence of 2048 tokens forward through its
# 96 layers, and before backward has done anything, some 275 GB more are held. None of it is weights, gradients or
# optimizer state. It is what the computation graph keeps so that backward can run.
#
# With one more forward pass, those 275 GB become 8 GB. In this lesson you take the graph apart until you can say
# which bytes are kept, by which operation, and what it costs not to keep them:
#
# 1. walk the graph that PyTorch builds while your code runs
# 2. count what it keeps, and reproduce a published formula to the percent
# 3. keep less: an operation of your own that saves two tensors instead of four
# 4. keep almost nothing: activation checkpointing by hand
# 5. choose where to checkpoint: the $\sqrt n$ schedule
# 6. differentiate the graph again: Jacobian-vector and Hessian-vector products
# 7. rewrite the graph: two compiler passes, one of which quietly undoes step 4
#
# You need reverse mode (this week's first lesson) and plain PyTorch. Nine exercises of about 170 minutes together, and
# one question: 38 points. Beside the tests that you see there are hidden ones, which check the whole docstring: read
# each to its end.

# %%
import gc
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from time import perf_counter, process_time
from typing import Any, NamedTuple
from weakref import WeakSet

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Shaped
from rich.progress import track
from torch import Tensor, nn
from torch.autograd.graph import Node, saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from llmsys import check, plots

plots.style()
torch.set_num_threads(1)  # steadier timings on a machine that others use
rng = check.rng()


def randn(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Normal random numbers; other ones in every run."""
    return torch.from_numpy(rng.standard_normal(shape)).to(dtype)


# %% explore
layers, sequence, hidden, heads = 96, 2048, 12288, 96
values = sequence * hidden  # numbers in one hidden state of one sequence
kept = layers * values * (34 + 5 * heads * sequence / hidden)  # the formula that you reproduce in section 2
lean = layers * 2 * values + values * (34 + 5 * heads * sequence / hidden)  # layer inputs, and one layer in full
figure, axis = plt.subplots(figsize=(7.2, 2.4))
rows = {"weights": 350e9, "kept by the graph": kept, "kept, after one more forward": lean}
bars = axis.barh(list(rows), [v / 1e9 for v in rows.values()], color=[plots.GREY, plots.RED, plots.GREEN])
axis.bar_label(bars, fmt="%.0f GB", padding=4)
axis.invert_yaxis()
axis.grid(axis="y", visible=False)
axis.set(xlabel="GB (16-bit numbers)", xlim=(0, 400), title="GPT-3, one sequence of 2048 tokens")
plots.show(figure, alt="Bars: weights 350 GB; kept by the graph 275 GB; kept after one more forward pass 8 GB.")

# %% [markdown]
# ## 1. The graph is built while you run
#
# PyTorch never sees your program. It sees operations, one after the other. Whenever an operation reads a tensor that
# requires a gradient, PyTorch not only computes its result but also makes a **node**: an object that knows how to
# turn the gradient of the operation's output into the gradients of its inputs. The output points to its node in
# `grad_fn`; the node points to the nodes of its inputs in `next_functions`. Backward walks these pointers. When the
# output dies, so does the graph: the next forward pass builds a new one. That is why Python's `if` and `for` work
# inside a model.
#
# Take `x` and `w` of shape `(3,)`, both with `requires_grad=True`, and `y = (x * w + x).sum()`:
#
# | node | made by | `next_functions` |
# |---|---|---|
# | `SumBackward0` | `.sum()`, so this is `y.grad_fn` | `AddBackward0` |
# | `AddBackward0` | `+` | `MulBackward0`, `AccumulateGrad` of `x` |
# | `MulBackward0` | `*` | `AccumulateGrad` of `x`, `AccumulateGrad` of `w` |
# | `AccumulateGrad` | the **leaf** `x` (a tensor that no operation made) | none |
# | `AccumulateGrad` | the leaf `w` | none |
#
# Five nodes, five edges. `AccumulateGrad` is where a gradient ends up: it adds what arrives to `variable.grad`, and
# its attribute `variable`, which no other kind of node has, is the leaf itself. `x` is read twice, but has one node,
# which two edges reach.
#
# Each entry of `next_functions` is a pair `(node, i)`; `i` says which output of that node was read, and does not
# matter here. An input that needs no gradient (data, a mask, the result of `detach()`) has the entry `(None, 0)`: no
# edge, the graph ends there.
#
# ### Exercise: walk the graph
#
# Write `walk`, which collects the nodes, the edges and the leaves behind a tensor. Tools that draw models do this. So
# does `DistributedDataParallel` when it looks for parameters that will get no gradient (`find_unused_parameters=True`).
#
# <details><summary>Hint 1</summary>
#
# A node is used once for every path that reaches it. Twenty times `h = h + h` is a graph of 21 nodes with a million
# paths. Visit nodes, not paths.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The check "have I seen this node?" decides whether you go on from it. It does not decide whether the edge exists.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# Python gives up at about a thousand nested calls. A list of the nodes that still wait to be looked at has no such
# limit. Nodes are hashable: a set or a dictionary finds one at once, where a list is searched from its start.
#
# </details>


# %%
class Graph(NamedTuple):
    """An autograd graph: what `walk` returns."""

    nodes: list[Node]
    edges: list[tuple[Node, Node]]
    leaves: list[Tensor]


# %% exercise="walk" minutes=15 difficulty=2
def walk(output: Shaped[Tensor, "*shape"]) -> Graph:
    """Collect the autograd graph behind `output`.

    Args:
        output: a tensor of any shape that an operation made.

    Returns:
        Graph with
        nodes: every node that can be reached from ``output.grad_fn`` (itself included), each once, in any order.
        edges: one pair (node, next node) for every entry of ``node.next_functions`` that is not None, in any order.
            ``h + h`` has two entries for ``h``, and so two equal edges.
        leaves: the `variable` of every AccumulateGrad node, each once, in any order. Two leaves are two, even if their
            values are equal or their memory is the same.

    Raises:
        ValueError: if `output` has no `grad_fn`: a leaf, or a tensor that needs no gradient.

    A graph may be tens of thousands of nodes deep.
    """
    ### BEGIN SOLUTION
    if output.grad_fn is None:
        raise ValueError("no operation made this tensor: there is no graph behind it")
    nodes, edges, waiting = {output.grad_fn: None}, [], [output.grad_fn]
    while waiting:
        node = waiting.pop()
        for child, _ in node.next_functions:
            if child is None:
                continue
            edges.append((node, child))
            if child not in nodes:
                nodes[child] = None
                waiting.append(child)
    return Graph(list(nodes), edges, [node.variable for node in nodes if hasattr(node, "variable")])
    ### END SOLUTION


# %% test="walk" points=3
x, w = randn(3).requires_grad_(), randn(3).requires_grad_()
s = x * w
t = s + x
y = t.sum()
graph = walk(y)
names = {y.grad_fn: "sum", t.grad_fn: "add", s.grad_fn: "mul"}
names |= {node: "x" if node.variable is x else "w" for node in graph.nodes if hasattr(node, "variable")}
check.equal(
    sorted(names[node] for node in graph.nodes),
    ["add", "mul", "sum", "w", "x"],
    "walk((x * w + x).sum()).nodes",
    likely={"x is read twice, but is one node: visit each node once": ["add", "mul", "sum", "w", "x", "x"]},
)
expected_edges = [("add", "mul"), ("add", "x"), ("mul", "w"), ("mul", "x"), ("sum", "add")]
check.equal(
    sorted((names[a], names[b]) for a, b in graph.edges),
    expected_edges,
    "walk((x * w + x).sum()).edges",
    likely={
        "an edge goes from a node to its next function": sorted((b, a) for a, b in expected_edges),
        "an edge to a node that was seen before is still an edge": [e for e in expected_edges if e != ("mul", "x")],
        "an edge to a node that was seen before is an edge too": [e for e in expected_edges if e != ("add", "x")],
    },
)
leaf_names = {id(x): "x", id(w): "w"}
check.equal(
    sorted(leaf_names.get(id(leaf), type(leaf).__name__) for leaf in graph.leaves),
    ["w", "x"],
    "walk((x * w + x).sum()).leaves",
    hint="a leaf is a tensor of yours, the `variable` of its node; x is one leaf, though it is used twice",
)
check.raises(ValueError, "walk(x), where x is a leaf", walk, x)
check.equal(
    len(walk(x.detach() * w).edges),
    1,
    "the number of edges of walk(x.detach() * w)",
    likely={"the entry of an input without gradient is (None, 0): no edge": 2},
)
### BEGIN HIDDEN TESTS
# the same leaf twice in one operation, an input without a gradient, and a detached branch
_a, _data = randn(2, 5).requires_grad_(), randn(2, 5)
_b = _a * _a
_c = _b * _data
_d = _c + _c.detach()
_graph = walk(_d)
_names = {_b.grad_fn: "b", _c.grad_fn: "c", _d.grad_fn: "d"}
check.equal(
    sorted(_names.get(node, "leaf") for node in _graph.nodes),
    ["b", "c", "d", "leaf"],
    "walk(d).nodes for b = a * a; c = b * data; d = c + c.detach()",
    likely={
        "a is read twice by one node, but is one node: visit each node once": ["b", "c", "d", "leaf", "leaf"],
        "b and c are both products, but two nodes: tell them apart by identity, not by name": ["c", "d"],
    },
    hint="data and a detached tensor need no gradient: their entry in next_functions is (None, 0), and no node",
)
check.equal(
    sorted((_names.get(p, "leaf"), _names.get(q, "leaf")) for p, q in _graph.edges),
    [("b", "leaf"), ("b", "leaf"), ("c", "b"), ("d", "c")],
    "walk(d).edges for b = a * a; c = b * data; d = c + c.detach()",
    likely={"a * a reads a twice: two equal edges": [("b", "leaf"), ("c", "b"), ("d", "c")]},
)
check.that(
    len(_graph.leaves) == 1 and _graph.leaves[0] is _a,
    f"walk(d).leaves for b = a * a; c = b * data; d = c + c.detach() has {len(_graph.leaves)} entries; "
    "it should hold a, once",
)
check.raises(ValueError, "walk(data), where data needs no gradient", walk, _data)
check.raises(ValueError, "walk(c.detach())", walk, _c.detach())
# doubling: 2^k paths, k + 1 nodes; small first, so that a walk over paths fails before it runs for ever
for _k in (3, 7, 60):
    _h = _a
    for _ in range(_k):
        _h = _h + _h
    _graph = walk(_h)
    check.equal(
        (len(_graph.nodes), len(_graph.edges), len(_graph.leaves)),
        (_k + 1, 2 * _k, 1),
        f"the numbers of nodes, edges and leaves after {_k} times h = h + h",
        hint=f"there are 2^{_k} paths to the leaf; a node is visited once, and gives its edges once",
    )
# a model: the leaves are the parameters that took part, whatever their shape; equal operations are different nodes
_mlp = nn.Sequential(nn.Linear(4, 7), nn.Tanh(), nn.Linear(7, 4), nn.Tanh(), nn.Linear(4, 3))
_graph = walk(_mlp(randn(2, 4, dtype=torch.float32)))
check.equal(
    {id(leaf) for leaf in _graph.leaves},
    {id(p) for p in _mlp.parameters()},
    "the ids of the leaves of walk(mlp(x)), against those of mlp.parameters()",
    hint="two nodes of the same kind are two nodes: tell them apart by identity, not by name",
)
check.equal(
    len(_graph.leaves), 6, "the number of leaves of walk(mlp(x)) for an MLP with three weights and three biases"
)
check.equal(len(set(_graph.nodes)), len(_graph.nodes), "the number of nodes of walk(mlp(x)): each once")
# leaves are told apart by identity, and so are nodes, whichever of their outputs is read
_zero, _one = torch.zeros(3, requires_grad=True), torch.zeros(3, requires_grad=True)
_shared = _one.detach().requires_grad_()
_graph = walk((_zero * _one + _shared).sum())
check.equal(
    sorted(map(id, _graph.leaves)),
    sorted(map(id, [_zero, _one, _shared])),
    "the ids of the leaves of (a * b + c).sum(), three leaves with equal values, b and c on the same memory",
    hint="biases that all start as zeros are different leaves, and so are two tensors on one storage: each has an "
    "AccumulateGrad node of its own",
)
_top, _, _bottom = (_a.new_ones(3, 5) * _a[:1]).unbind()
_graph = walk(_top * _bottom)
check.equal(
    (len(_graph.nodes), len(_graph.edges)),
    (5, 5),
    "the numbers of nodes and edges of top * bottom, for top, _, bottom = (ones * a[:1]).unbind()",
    likely={"unbind is one node with three outputs: the i of (node, i) makes no second node": (6, 6)},
    hint="unbind is one node with three outputs",
)
# deep
_h = _a
for _ in range(30_000):
    _h = -_h
check.equal(len(walk(_h).nodes), 30_001, "the number of nodes after 30000 times h = -h")
del _h, _graph, _names, _b, _c, _d, _mlp
### END HIDDEN TESTS

# %% [markdown]
# What does the graph of a real layer look like? Your `walk` draws a small MLP with a residual connection. Arrows show
# the order of the forward pass, against the direction of `next_functions`.


# %% explore
def draw(output: Tensor, names: dict[Tensor, str], title: str) -> plt.Figure:
    """The autograd graph behind `output`; leaves carry their name and shape."""
    found = walk(output)
    labels, colors = {}, {}
    for node in found.nodes:
        leaf = getattr(node, "variable", None)
        shape = "" if leaf is None else " × ".join(map(str, leaf.shape))
        labels[node] = node.name().removesuffix("Backward0") if leaf is None else f"{names[leaf]}\n{shape}"
        colors[node] = plots.BLUE if leaf is None else plots.ORANGE
    return plots.graph(labels, [(b, a) for a, b in found.edges], colors=colors, title=title)


x, w1, w2 = (randn(*shape).requires_grad_() for shape in [(6, 4), (4, 8), (8, 4)])
plots.show(
    draw((x + torch.relu(x @ w1) @ w2).sum(), {x: "x", w1: "W1", w2: "W2"}, "(x + relu(x W1) W2).sum()"),
    alt="Graph of a two-layer MLP with a residual connection: leaves x, W1, W2; nodes Mm, Relu, Mm, Add, Sum.",
)

# %% [markdown]
# ## 2. What a node keeps
#
# To run backward, a node needs numbers from the forward pass. For $z = x \cdot y$ the gradient is
# $\bar x = \bar z\, y$ (a bar means the gradient of the loss with respect to that value), so the node of a
# multiplication keeps $y$, and $x$ too if $y$ needs a gradient. For $y = e^x$ the gradient is $\bar y\,y$: it keeps
# its own output. Addition keeps nothing. A tensor kept so is a **saved tensor**, and together they are the
# **activations** that fill an accelerator's memory.
#
# PyTorch lets you watch. Inside `with saved_tensors_hooks(pack, unpack):`, every tensor that a node saves is first
# handed to `pack(tensor)`, and whatever that returns is stored in its place. When backward needs the tensor, it
# calls `unpack(stored)`. One trap: an operation such as `exp` saves its own output. If `pack` returns the tensor it
# got, the node holds its output and the output holds its node, a cycle that no garbage collector sees: without a
# backward, that memory is never freed. So return `tensor.detach()`, a new tensor on the same memory that knows no
# node; PyTorch ties what `unpack` returns to the graph again. (The hooks can also move activations to the CPU or
# compress them: `torch.autograd.graph.save_on_cpu` is a pair of such hooks.)
#
# Counting looks easy: add up `tensor.nbytes`. It is wrong in three ways.
#
# 1. **Shared storage.** A tensor is a *view* (shape, strides, offset) of a **storage**, a flat piece of memory.
#    `torch.relu` saves its output, and the matrix product after it saves the same tensor as its input: two saved
#    tensors, one piece of memory. Count storages, not tensors; `tensor.untyped_storage()` has `data_ptr()`, its
#    address, and `nbytes()`.
# 2. **Views.** A saved slice of 10 numbers out of 1000 keeps all 1000 alive. A row that `expand` stretched to a
#    matrix takes the memory of a row. So the storage's size counts, not the view's.
# 3. **What you hold anyway.** A linear layer saves its weight, but that memory is there with or without a graph.
#    (What it saves is a transposed *view* of the parameter, another Python object.)
#
# A worked example: `h = torch.relu(x @ w1)`, then `y = h @ w2`, in float32, with `x` of 32 × 100, `w1` 100 × 400,
# `w2` 400 × 10.
#
# | operation | saves | bytes | counted, if `w1` and `w2` are held |
# |---|---|---|---|
# | `x @ w1` | `x`, for the gradient of `w1` (but not `w1`: the data `x` needs no gradient) | 12800 | 12800 |
# | `relu` | its output `h` | 51200 | 51200 |
# | `h @ w2` | `h`, `w2` | 51200 + 16000 | 0: `h` is counted already |
#
# ### Exercise: count the saved bytes, section by section
#
# Write a ledger. You open `section("attention")` around a part of the forward pass, and read from `by_section` what
# that part keeps.
#
# <details><summary>Hint 1</summary>
#
# `section` is a generator with one `yield`, inside `with saved_tensors_hooks(pack, unpack):`. `pack` is a function
# defined in `section`, so it sees `name` and `self`.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Backward has to work as before. What does `pack` have to return for that, and `unpack`? A `pack` without `return`
# stores None.
#
# </details>


# %% exercise="saved_bytes" minutes=20 difficulty=3
class SavedBytes:
    """A ledger of the bytes that forward passes leave saved for backward.

        ledger = SavedBytes(held=model.parameters())
        with ledger.section("attention"):
            y = attention(x)
        ledger.by_section  # {"attention": 123456}

    A saved tensor counts with the size of its whole storage. A storage counts once in the life of a ledger: in the
    section that is open when it is first saved. The storages of `held` never count, whichever view of them is saved or
    given as held. A tensor that is not among `held` counts, also if it is a parameter.

    Sections do not nest. The graphs of earlier sections are still alive when a later one runs, so no address is used
    again for another storage. Backward gives the same gradients as without the ledger. Neither the ledger nor its hooks
    keep memory alive: it goes when the graph goes, also without a backward.
    """

    # name -> bytes, in the order in which the names came up; 0 for a section that saved nothing; read between sections
    by_section: dict[str, int]

    def __init__(self, held: Iterable[Shaped[Tensor, "..."]] = ()) -> None:
        """`held`: tensors whose memory is there anyway, such as a model's parameters."""
        ### BEGIN SOLUTION
        self.by_section = {}
        self._seen = {tensor.untyped_storage().data_ptr() for tensor in held}
        ### END SOLUTION

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        """Count what is saved inside the block, and only there, under `name`. A name used again adds to its entry."""
        ### BEGIN SOLUTION
        self.by_section.setdefault(name, 0)

        def pack(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in self._seen:
                self._seen.add(storage.data_ptr())
                self.by_section[name] += storage.nbytes()
            return tensor.detach()  # an output that its own node holds would never be freed

        with saved_tensors_hooks(pack, lambda tensor: tensor):
            yield
        ### END SOLUTION


# %% [markdown]
# The tests use a transformer layer whose bytes are known from a paper (Korthikanti et al. 2022, section 4). Week 3
# derives the layer; here only its saved tensors matter. `section` is called around each part. Its dropout is the
# smallest example of an operation with a hand-written backward: `forward` computes and saves with
# `ctx.save_for_backward`, `backward` gets the gradient of the output and returns one gradient for each argument of
# `forward` (`None` for `p`). It keeps one *byte* for each number: which ones survived.


# %%
class Dropout(torch.autograd.Function):
    """Zero each entry with probability p, scale the rest by 1 / (1 - p); keeps a mask of one byte per entry."""

    @staticmethod
    def forward(ctx: Any, x: Float[Tensor, "*shape"], p: float) -> Float[Tensor, "*shape"]:
        keep: Bool[Tensor, "*shape"] = torch.empty_like(x, dtype=torch.bool).bernoulli_(1 - p)
        ctx.save_for_backward(keep)
        ctx.scale = 1 / (1 - p)  # a Python number; tensors go through save_for_backward
        return x * keep * ctx.scale

    @staticmethod
    def backward(ctx: Any, grad: Float[Tensor, "*shape"]) -> tuple[Float[Tensor, "*shape"], None]:
        (keep,) = ctx.saved_tensors
        return grad * keep * ctx.scale, None


def transformer_layer(
    x: Float[Tensor, "batch seq hidden"],
    weights: dict[str, Float[Tensor, "_ _"]],
    heads: int,
    dropout: Callable[[Tensor], Tensor],
    section: Callable[[str], Any] = nullcontext,
) -> Float[Tensor, "batch seq hidden"]:
    """A GPT layer; `section(name)` is entered around each of its parts."""
    b, s, h = x.shape
    with section("layer norm 1"):
        n = F.layer_norm(x, (h,))
    with section("query, key, value"):
        qkv = (n @ weights["qkv"]).view(b, s, 3, heads, h // heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).contiguous()  # each (batch, heads, seq, hidden / heads)
    with section("scores"):
        scores = q @ k.transpose(-1, -2) / math.sqrt(h // heads)  # (batch, heads, seq, seq)
    with section("softmax"):
        attention = scores.softmax(-1)
    with section("attention dropout"):
        attention = dropout(attention)
    with section("weighted values"):
        context = (attention @ v).transpose(1, 2).reshape(b, s, h)
    with section("projection, dropout"):
        x = x + dropout(context @ weights["proj"])
    with section("layer norm 2"):
        n = F.layer_norm(x, (h,))
    with section("MLP up"):
        u = n @ weights["up"]  # (batch, seq, 4 hidden)
    with section("GELU"):
        g = F.gelu(u)
    with section("MLP down, dropout"):
        return x + dropout(g @ weights["down"])


def layer_weights(h: int, dtype: torch.dtype = torch.bfloat16) -> dict[str, Float[Tensor, "_ _"]]:
    """Random weights for `transformer_layer`."""
    shapes = {"qkv": (h, 3 * h), "proj": (h, h), "up": (h, 4 * h), "down": (4 * h, h)}
    return {name: (randn(*shape) / math.sqrt(shape[0])).to(dtype).requires_grad_() for name, shape in shapes.items()}


# %% test="saved_bytes" points=4
x, w1, w2 = (randn(*shape, dtype=torch.float32) for shape in [(32, 100), (100, 400), (400, 10)])
w1.requires_grad_(), w2.requires_grad_()
ledger = SavedBytes(held=[w1, w2])
with ledger.section("x @ w1"):
    h = x @ w1
with ledger.section("relu"):
    h = torch.relu(h)
with ledger.section("h @ w2"):
    y = h @ w2
check.equal(
    ledger.by_section,
    {"x @ w1": 4 * 32 * 100, "relu": 4 * 32 * 400, "h @ w2": 0},
    "by_section for the worked example",
    likely={
        "h is saved by relu and by h @ w2, but is one storage": {"x @ w1": 12800, "relu": 51200, "h @ w2": 51200},
        "w2 is held: its storage does not count": {"x @ w1": 12800, "relu": 51200, "h @ w2": 16000},
        "w2 is held, and h counts once": {"x @ w1": 12800, "relu": 51200, "h @ w2": 67200},
    },
)
grads = torch.autograd.grad(y.sum(), (w1, w2))
with torch.no_grad():
    expected_w2 = h.T @ torch.ones(32, 10)
check.close(grads[1], expected_w2, "the gradient of w2 after the ledger watched the forward pass", terms=32)

with SavedBytes().section("exp"):
    y = w1.exp()
storage = WeakSet([y.untyped_storage()])
del y
check.equal(
    len(storage),
    0,
    "the number of storages alive after y = w1.exp() in a section, and del y",
    hint="exp's node saves its output y: pack has to return tensor.detach(); and the ledger keeps sizes, not tensors",
)

b, s, h, a = 2, 32, 96, 6
weights, x = layer_weights(h), randn(b, s, h).bfloat16().requires_grad_()
ledger = SavedBytes(held=weights.values())
y = transformer_layer(x, weights, a, dropout=lambda z: z, section=ledger.section)
# Without dropout: the paper's formula less its masks and less the dropout's output, as there is none.
# 1 % covers the two statistics that layer norm keeps for each token, and which the paper leaves out.
check.close(
    sum(ledger.by_section.values()),
    s * b * h * (32 + 2 * a * s / h),
    "the bytes saved by a bf16 transformer layer without dropout, sbh (32 + 2as/h)",
    rtol=0.01,
    likely={
        "query, key and value are views of one storage: its whole size counts": s * b * h * (28 + 2 * a * s / h),
        "query, key and value are views of one storage: it counts once": s * b * h * (44 + 2 * a * s / h),
    },
    hint="views of one storage count once, with its whole size; a ledger starts with nothing counted",
)
### BEGIN HIDDEN TESTS
# views: a slice keeps its whole storage; an expanded row is a row; a transposed parameter is held
_x = randn(60, 50).requires_grad_()
_ledger = SavedBytes()
with _ledger.section("slice"):
    _big = _x + 1.0
    _y = _big[:2, :5].sin()
check.equal(
    _ledger.by_section,
    {"slice": 60 * 50 * 8},
    "by_section for a saved 2 x 5 slice of a 60 x 50 float64 tensor",
    likely={"a saved slice keeps its whole storage alive": {"slice": 80}},
)
_row = randn(1, 50).requires_grad_()
with _ledger.section("expand"):
    _y2 = (_row * 2.0).expand(60, 50).sin()
check.equal(
    _ledger.by_section,
    {"slice": 24000, "expand": 400},
    "by_section after a saved 1 x 50 float64 row that was expanded to 60 x 50, in a second section",
    likely={"an expanded row takes the memory of a row": {"slice": 24000, "expand": 24000}},
)
with _ledger.section("slice"):
    _y3 = (_row * 3.0).exp()
check.equal(
    _ledger.by_section["slice"],
    24000 + 400,
    "by_section['slice'] after a second section of that name saved 400 bytes more",
    likely={"a name that is used again adds to its entry": 400},
)
with _ledger.section("nothing"):
    _y4 = _y3 + 1.0
check.equal(_ledger.by_section.get("nothing", "no entry"), 0, "the entry of a section in which nothing is saved")
_before = dict(_ledger.by_section)
_late = (_row * 5.0).exp()
check.equal(
    dict(_ledger.by_section),
    _before,
    "by_section after an exp outside of any section",
    hint="the hooks are still on; `with saved_tensors_hooks(...)` takes them off at the end of its block",
)
_g1 = torch.autograd.grad((_y.sum() + _y2.sum() + _y3.sum()), (_x, _row))
_want = torch.zeros(60, 50, dtype=torch.float64)
_want[:2, :5] = (_x.detach() + 1)[:2, :5].cos()
check.close(_g1[0], _want, "the gradient of x after the ledger watched (x + 1)[:2, :5].sin()", terms=4)
_want = 2 * 60 * (2 * _row.detach()).cos() + 3 * (3 * _row.detach()).exp()
check.close(_g1[1], _want, "the gradient of row after the ledger watched three sections", terms=60)
# the storage decides: slices of held tensors, held slices, a slice without a base, a parameter that nobody holds
_wide, _tall, _part = randn(6, 8).requires_grad_(), randn(9, 8).requires_grad_(), randn(5, 8).requires_grad_()
_ledger = SavedBytes(held=[_wide, _tall[2:]])
with _ledger.section("slices"):
    _y = _part[:4] * _wide[2:] + _part[:4] * _tall[:4]
check.equal(
    _ledger.by_section,
    {"slices": 5 * 8 * 8},
    "by_section for h[:4] * w[2:] + h[:4] * v[:4], h of shape (5, 8), where w and v[2:] are held",
    hint="a slice begins at another address than its storage; what is held is the storage",
)
_ledger, _cut = SavedBytes(), randn(60, 50)[:2, :5].detach()
with _ledger.section("detached slice"):
    _y = _cut * _part[0, :5]
check.equal(
    _ledger.by_section,
    {"detached slice": 60 * 50 * 8},
    "by_section for a saved 2 x 5 slice, detached, of a 60 x 50 float64 tensor",
    likely={"a detached slice has no base, but keeps the whole storage: ask the storage": {"detached slice": 80}},
)
_ledger, _free = SavedBytes(), nn.Parameter(randn(4, 3))
with _ledger.section("parameter"):
    _y = _free.exp() * _free
check.equal(
    _ledger.by_section,
    {"parameter": 2 * 4 * 3 * 8},
    "by_section for p.exp() * p, where the parameter p is not held",
    likely={"p is a parameter, but not among held: it counts": {"parameter": 4 * 3 * 8}},
)
# two views of one storage keep their own values; what the ledger saw dies with the graph
_ledger = SavedBytes()
with _ledger.section("halves"):
    _z = _x + 1.0
    _y = _z[:30].sin() + _z[30:].cos()
_got = torch.autograd.grad(_y.sum(), _x)[0]
_want = torch.cat([(_x[:30] + 1.0).cos(), -(_x[30:] + 1.0).sin()]).detach()
check.close(
    _got,
    _want,
    "the gradient of z[:30].sin() + z[30:].cos() after the ledger watched",
    terms=4,
    hint="two views of one storage are two tensors; unpack has to give back the one that pack got",
)
with _ledger.section("exp"):
    _t = (_row * 2.0).sin().exp()
_alive = WeakSet([_t.untyped_storage(), _t.grad_fn.next_functions[0][0]._saved_self.untyped_storage()])
del _t
gc.collect()
check.equal(
    len(_alive),
    0,
    "the number of storages that are alive when the graph of sin and exp is gone, without a backward",
    hint="the ledger keeps addresses and sizes, not tensors; and pack returns tensor.detach()",
)
# biases, layer norm, softmax, integer indices, and a weight that two layers share
_b, _v, _d = int(rng.integers(3, 6)), 11, 7
_table, _ids = randn(_v, _d, dtype=torch.float32).requires_grad_(), torch.from_numpy(rng.integers(0, _v, (_b, 5)))
_gain, _bias = torch.ones(_d, requires_grad=True), torch.zeros(_d, requires_grad=True)
_ledger = SavedBytes(held=(t for t in [_table, _gain, _bias]))
with _ledger.section("embedding"):
    _e = F.embedding(_ids, _table)
with _ledger.section("norm"):
    _n = F.layer_norm(_e, (_d,), _gain, _bias)
with _ledger.section("logits"):
    _z = F.linear(_n, _table)
with _ledger.section("softmax"):
    _p = _z.softmax(-1)
check.equal(
    _ledger.by_section,
    {"embedding": _b * 5 * 8, "norm": 4 * _b * 5 * (_d + 2), "logits": 4 * _b * 5 * _d, "softmax": 4 * _b * 5 * _v},
    "by_section for embedding, layer norm, a linear layer with the embedding's weight, and softmax",
    hint="every saved dtype counts (indices are int64); a view of a held weight is held",
)
# two ledgers know nothing of each other
_other = SavedBytes()
with _other.section("again"):
    _q = _e.sin()
check.equal(_other.by_section, {"again": 4 * _b * 5 * _d}, "by_section of a second ledger, which counts on its own")


# the published formula: sbh (34 + 5 a s / h) bytes for a layer in 16 bit with dropout
class _Mask(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, p):
        _keep = torch.rand(x.shape) >= p
        ctx.save_for_backward(_keep)
        return x * _keep

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.saved_tensors[0], None


for _batch, _s, _h, _a in [(3, 40, 128, 4), (1, 96, 96, 8)]:
    _weights, _x = layer_weights(_h), randn(_batch, _s, _h).bfloat16().requires_grad_()
    _ledger = SavedBytes(held=_weights.values())
    _y = transformer_layer(_x, _weights, _a, lambda z: _Mask.apply(z, 0.1), _ledger.section)
    check.close(
        sum(_ledger.by_section.values()),
        _s * _batch * _h * (34 + 5 * _a * _s / _h),
        f"the bytes saved by a bf16 transformer layer with dropout, s={_s} b={_batch} h={_h} a={_a}: sbh (34 + 5as/h)",
        rtol=0.01,
    )
### END HIDDEN TESTS

# %% [markdown]
# ### Measure it: which part of a transformer layer keeps what?
#
# Korthikanti et al. count by hand, for 16-bit numbers: a layer with sequence length $s$, batch $b$, hidden size $h$
# and $a$ heads keeps
#
# $$ s b h \left( 34 + 5\,\frac{a s}{h} \right) \text{ bytes.} $$
#
# The second term is the attention matrix: $a s^2 b$ entries, kept as softmax output (2 bytes each), dropout mask (1)
# and dropout output (2). For GPT-3, $5as/h = 80$, so each hidden value drags $34 + 80 = 114$ bytes behind it. The
# layer below is small, but has GPT-3's ratio $as/h = 16$, so it has to keep 114 bytes for each hidden value too.

# %% explore
b, s, h, a = 1, 192, 192, 16
weights, x = layer_weights(h), randn(b, s, h).bfloat16().requires_grad_()
ledger = SavedBytes(held=weights.values())
y = transformer_layer(x, weights, a, lambda z: Dropout.apply(z, 0.1), ledger.section)
per_value = {name: saved / (s * b * h) for name, saved in ledger.by_section.items()}
figure, axis = plt.subplots(figsize=(7.2, 4.4))
quadratic = {"softmax", "attention dropout", "weighted values"}
bars = axis.barh(
    list(per_value), list(per_value.values()), color=[plots.RED if n in quadratic else plots.BLUE for n in per_value]
)
axis.bar_label(bars, fmt="%.1f", padding=4)
axis.invert_yaxis()
axis.grid(axis="y", visible=False)
axis.set(
    xlabel="saved bytes for each value of the hidden state",
    xlim=(0, 40),
    title=f"One layer keeps {sum(per_value.values()):.1f} bytes per value; the paper says {34 + 5 * a * s / h:.0f}",
)
axis.plot([], [], "s", color=plots.RED, label="total grows with the square of the sequence")
axis.plot([], [], "s", color=plots.BLUE, label="total grows with the sequence")
axis.legend(loc="lower right")
plots.show(
    figure,
    alt="Bars: saved bytes per hidden value for each part of a transformer layer; the attention matrix dominates.",
)
del y, ledger

# %% [markdown]
# Softmax and the product with the values each keep a copy of the attention matrix, and the dropout mask is a third,
# thinner one. A tensor is charged to the operation that keeps it, not to the one that made it: the dropout's output
# counts under "weighted values", which reads it.
#
# ## 3. Keep less: an operation of your own
#
# A chain of small operations keeps what every one of them asks for. Llama's MLP gates one product with another:
#
# $$ \mathrm{SwiGLU}(g, u) = \mathrm{silu}(g) \cdot u, \qquad
# \mathrm{silu}(g) = g\,\sigma(g), \qquad \sigma(g) = \frac{1}{1 + e^{-g}} $$
#
# Written as `g * torch.sigmoid(g) * u`, on tensors of 4 × 1000 in float32 (16000 bytes each):
#
# | operation | saves | bytes that are new |
# |---|---|---|
# | `p = sigmoid(g)` | its output $p$ | 16000 |
# | `q = g * p` | $g$, $p$ | 16000 |
# | `q * u` | $q$, $u$ | 32000 |
#
# Four tensors, 64000 bytes. But $g$ and $u$ determine all the rest: a sigmoid and a multiplication are cheap to do
# again. With $\sigma = \sigma(g)$ and $\bar y$ the gradient of the output,
#
# $$ \bar u = \bar y \cdot g\,\sigma, \qquad \bar g = \bar y \cdot u \cdot \sigma\,\bigl(1 + g\,(1 - \sigma)\bigr) . $$
#
# So two tensors do, 32000 bytes, and both exist already: the matrix products that made them hold their memory during
# the forward pass in any case. The measure that no bookkeeping can fool is this: *after the forward pass, how much of
# the memory that the operation allocated is still alive?* For the chain above: $p$, $q$ and the result. For yours:
# the result alone.
#
# `Allocations` below takes that measure. It sees every operation that runs inside its block (a `TorchDispatchMode` is
# asked to run each of them) and keeps a *weak* reference to each new storage, one that does not keep it alive.


# %%
def storages(tree: Any) -> set[torch.UntypedStorage]:
    """The storages of all tensors in nested lists, tuples and dictionaries."""
    return {leaf.untyped_storage() for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)}


class Watch(TorchDispatchMode):
    """Base of modes that watch operations; plain PyTorch's would load the compiler first, which takes seconds."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False


class Allocations(Watch):
    """Watch the storages that operations inside the block create: how many bytes are alive now, and were at most."""

    def __init__(self) -> None:
        super().__init__()
        self._made: WeakSet[torch.UntypedStorage] = WeakSet()
        self._given: WeakSet[torch.UntypedStorage] = WeakSet()  # came from outside
        self.peak = 0

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._given |= storages((args, kwargs)) - set(self._made)
        result = op(*args, **(kwargs or {}))
        self._made |= storages(result) - set(self._given)
        self.peak = max(self.peak, self.alive())
        return result

    def alive(self) -> int:
        """Bytes of the storages made in the block that somebody still holds."""
        return sum(storage.nbytes() for storage in self._made)


gate, up = (randn(4, 1000, dtype=torch.float32).requires_grad_() for _ in range(2))
with Allocations() as memory:
    y = gate * torch.sigmoid(gate) * up
print(f"the chain of operations: {memory.alive() - y.nbytes} bytes alive besides the result of {y.nbytes} bytes")

# %% [markdown]
# ### Exercise: SwiGLU that keeps two tensors
#
# Write the operation as a `torch.autograd.Function`. Kernels for training Llama models (Liger, Megatron's fused
# SwiGLU) make the same choice. The MLP is the widest place of the model: in Llama 2 7B (32 layers, MLP width 11008,
# 16 bit), one tensor of that width in every layer takes 2.9 GB for one sequence of 4096 tokens. You keep two instead
# of four.
#
# `ctx` is the node itself: one object for each call. `ctx.needs_input_grad` is a tuple of booleans, one for each
# argument of `forward`, and is there in `forward` and in `backward`. Use it in both: an input that needs no gradient
# costs no computation, and what only its gradient would need is not kept.
#
# For $g = 2$, $u = 3$, $\bar y = 1$: $\sigma = 0.8808$, so $y = 5.285$, $\bar u = 1.762$ and
# $\bar g = 3 \cdot 0.8808 \cdot (1 + 2 \cdot 0.1192) = 3.272$.
#
# <details><summary>Hint 1</summary>
#
# Which of $g$ and $u$ stand in the formula for $\bar u$? So what has to be kept if only `up` needs a gradient?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `ctx.save_for_backward` takes `None` as well as tensors, so the number of saved tensors need not change.
#
# </details>


# %% exercise="swiglu" minutes=20 difficulty=3
class SwiGLU(torch.autograd.Function):
    """silu(gate) * up, which keeps no tensor but its inputs (Shazeer 2020, arXiv 2002.05202)."""

    @staticmethod
    def forward(ctx: Any, gate: Float[Tensor, "*shape"], up: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """silu(gate) * up.

        Args:
            ctx: the node. Tensors are kept with ``ctx.save_for_backward`` and in no other way.
            gate, up: of the same shape and floating-point dtype, 16 bit included; of any size, sign and strides.

        Returns:
            A new tensor of that shape and dtype. Of all the memory that is allocated here, it alone stays alive.

        Kept for backward: `gate` and `up`; but `gate` alone when only `up` needs a gradient.
        """
        ### BEGIN SOLUTION
        ctx.save_for_backward(gate, up if ctx.needs_input_grad[0] else None)
        return gate * torch.sigmoid(gate) * up
        ### END SOLUTION

    @staticmethod
    def backward(
        ctx: Any, grad: Float[Tensor, "*shape"]
    ) -> tuple[Float[Tensor, "*shape"] | None, Float[Tensor, "*shape"] | None]:
        """(gradient of gate, gradient of up), given that of the output; None for an input that needs none.

        `grad` is not written to: other nodes may read the same tensor. Nobody differentiates a second time.
        """
        ### BEGIN SOLUTION
        gate, up = ctx.saved_tensors
        sigmoid = torch.sigmoid(gate)
        grad_gate = grad * up * sigmoid * (1 + gate * (1 - sigmoid)) if ctx.needs_input_grad[0] else None
        grad_up = grad * gate * sigmoid if ctx.needs_input_grad[1] else None
        return grad_gate, grad_up
        ### END SOLUTION


# %% test="swiglu" points=4
gate, up, out = randn(4, 7).requires_grad_(), randn(4, 7).requires_grad_(), randn(4, 7)
with Allocations() as memory:
    y = SwiGLU.apply(gate, up)
expected = F.silu(gate) * up
check.close(
    y, expected.detach(), "SwiGLU.apply(gate, up)", terms=4, likely={"silu(g) = g sigmoid(g)": gate.sigmoid() * up}
)
got = torch.autograd.grad(y, (gate, up), out, retain_graph=True)
want = torch.autograd.grad(expected, (gate, up), out)
sigmoid = torch.sigmoid(gate).detach()
check.close(
    got[0],
    want[0],
    "the gradient of gate",
    terms=8,
    likely={
        "this is the gradient of up: the order is that of forward's arguments": want[1],
        "product rule: g sigmoid(g) has g in both factors": out * up.detach() * sigmoid,
        "the factor up is missing": out * sigmoid * (1 + gate.detach() * (1 - sigmoid)),
        "the gradient of the output is no factor of it": want[0] / out,
        "the derivative of the sigmoid alone": out * up.detach() * sigmoid * (1 - sigmoid),
    },
)
check.close(got[1], want[1], "the gradient of up", terms=8)
check.equal(
    memory.alive() - y.nbytes,
    0,
    f"bytes alive after SwiGLU.apply(gate, up), besides its result of {y.nbytes} bytes",
    hint="an intermediate was kept; compute it again in backward",
)
names = {gate.data_ptr(): "gate", up.data_ptr(): "up"}
check.equal(
    sorted(names.get(t.data_ptr(), "another") for t in y.grad_fn.saved_tensors if t is not None),
    ["gate", "up"],
    "the tensors that SwiGLU.apply(gate, up) saves",
    likely={"nothing came by way of ctx.save_for_backward": []},
)
y = SwiGLU.apply(gate.detach(), up)
check.equal(
    [names.get(t.data_ptr(), "another") for t in y.grad_fn.saved_tensors if t is not None],
    ["gate"],
    "the tensors that SwiGLU.apply saves when only up needs a gradient",
)
check.equal(
    [part is not None for part in SwiGLU.backward(y.grad_fn, out)],
    [False, True],
    "which gradients SwiGLU.backward computes when only up needs one",
)
### BEGIN HIDDEN TESTS
# what is kept, and what backward returns, when an input needs no gradient
for _needs in [(True, True), (True, False), (False, True)]:
    _g, _u = (randn(64, 33).requires_grad_(n) for n in _needs)
    with Allocations() as _memory:
        _y = SwiGLU.apply(_g, _u)
    _call = f"when gate.requires_grad={_needs[0]}, up.requires_grad={_needs[1]}"
    check.equal(_memory.alive() - _y.nbytes, 0, f"bytes alive besides the result {_call}")
    _tensors = [t for t in tree_leaves(dict(vars(_y.grad_fn))) if isinstance(t, Tensor)]
    check.equal(
        len(_tensors),
        0,
        f"the number of tensors kept as attributes of ctx {_call}",
        hint="autograd neither sees nor frees such a tensor: use ctx.save_for_backward",
    )
    _kept = {t.data_ptr() for t in _y.grad_fn.saved_tensors if t is not None}
    _allowed = {_g.data_ptr(), _u.data_ptr()} if _needs[0] else {_g.data_ptr()}
    check.that(
        _kept <= _allowed,
        f"SwiGLU keeps {len(_kept)} tensors for backward {_call}; allowed: {'gate and up' if _needs[0] else 'gate'}",
    )
    _out = randn(64, 33)
    with check.unchanged(f"SwiGLU.backward(ctx, grad) {_call}", _out):  # other nodes may read the same tensor
        _result = SwiGLU.backward(_y.grad_fn, _out)
    check.that(
        isinstance(_result, tuple) and len(_result) == 2,
        f"SwiGLU.backward returned {'a ' + type(_result).__name__ if not isinstance(_result, tuple) else len(_result)}"
        f" {'' if not isinstance(_result, tuple) else 'values'}; expected one gradient for each of the two inputs",
    )
    check.equal(
        tuple(part is not None for part in _result),
        _needs,
        f"which of the gradients SwiGLU.backward computes {_call}",
        hint="look at ctx.needs_input_grad; return None where it is False",
    )
# values and gradients over shapes, dtypes, magnitudes and strides, against torch's own operator
for _shape, _dtype, _scale in [
    ((), torch.float64, 1),
    ((0, 3), torch.float64, 1),
    ((2, 3, 5), torch.float32, 1),
    ((1, 9), torch.float64, 30),
    ((6, 5), torch.float64, 1),
    ((3, 5), torch.bfloat16, 1),
    ((3, 5), torch.float16, 1),
]:
    _g, _u = ((_scale * randn(*_shape)).to(_dtype).requires_grad_() for _ in range(2))
    if _shape == (6, 5):
        _g, _u = (t.detach().T[1:].T.requires_grad_() for t in (_g, _u))  # not contiguous
    _out = randn(*_g.shape).to(_dtype)
    with check.unchanged("SwiGLU.apply(gate, up) and its backward", _g, _u, _out):
        _y = SwiGLU.apply(_g, _u)
        _got = torch.autograd.grad(_y, (_g, _u), _out)
    _ref = F.silu(_g) * _u
    _want = torch.autograd.grad(_ref, (_g, _u), _out)
    _call = f"for {_dtype} inputs of shape {tuple(_g.shape)}, magnitude {_scale}"
    # A sigmoid near 0 may have been rounded as a number near 1 (it is half of 1 + tanh): gates all far below 0 show it.
    _most = (_g.abs() + 1) * _u.abs()
    _largest = [max(t.detach().flatten().tolist(), default=0.0) for t in (_most, _most * _out.abs(), (_g * _out).abs())]
    check.close(_y.detach(), _ref.detach(), f"SwiGLU.apply(gate, up) {_call}", terms=4, scale=_largest[0], dtype=_dtype)
    check.close(_got[0], _want[0], f"the gradient of gate {_call}", terms=40, scale=_largest[1])
    check.close(_got[1], _want[1], f"the gradient of up {_call}", terms=40, scale=_largest[2])
# where e^g overflows, and where the gate is 0
for _dtype in (torch.float32, torch.float64):
    _g = torch.tensor([-1000.0, -100.0, -20.0, 0.0, 20.0, 100.0, 1000.0], dtype=_dtype).requires_grad_()
    _u, _out = (1.0 + randn(7, dtype=_dtype).abs()).requires_grad_(), 1.0 + randn(7, dtype=_dtype).abs()
    _y, _ref = SwiGLU.apply(_g, _u), F.silu(_g) * _u
    _got, _want = (torch.autograd.grad(_z, (_g, _u), _out) for _z in (_y, _ref))
    _call = "at gate = -1000, -100, -20, 0, 20, 100, 1000"
    _story = "e^1000 is inf, and inf / inf is NaN; torch.sigmoid is safe at both ends. Nothing may be divided by gate"
    check.close(_y.detach(), _ref.detach(), f"SwiGLU.apply(gate, up) {_call}", terms=4, dtype=_dtype, hint=_story)
    check.close(_got[0], _want[0], f"the gradient of gate {_call}", terms=40, hint=_story)
    check.close(_got[1], _want[1], f"the gradient of up {_call}", terms=40, hint=_story)
# no copies of inputs with other strides
_g, _u = randn(64, 66).requires_grad_().chunk(2, -1)
with Allocations() as _memory:
    _y = SwiGLU.apply(_g, _u)
check.equal(
    _memory.alive() - _y.nbytes,
    0,
    "bytes alive besides the result, for gate and up that are the two halves of one matrix",
    hint="contiguous() copies a tensor whose rows do not follow each other; what is saved should be the input itself",
)
# against finite differences, so that a wrong forward cannot hide
_g, _u = randn(3, 2).requires_grad_(), randn(3, 2).requires_grad_()
_h = 1e-5  # central differences in float64: truncation h^2 and rounding eps / h are both near 1e-10
_up, _down = SwiGLU.apply(_g + _h, _u).detach(), SwiGLU.apply(_g - _h, _u).detach()
_got = torch.autograd.grad(SwiGLU.apply(_g, _u).sum(), _g)[0]
check.close(_got, (_up - _down) / (2 * _h), "the gradient of gate, against finite differences", atol=1e-7)
# two calls in one graph, and a second backward through the same node
_g2, _u2 = randn(5, 3).requires_grad_(), randn(5, 3).requires_grad_()
_y = SwiGLU.apply(SwiGLU.apply(_g2, _u2), _u2 * 0.5)
_ref = F.silu(F.silu(_g2) * _u2) * (_u2 * 0.5)
_want = torch.autograd.grad(_ref.sum(), (_g2, _u2))
for _time in ("", ", a second time with retain_graph=True"):
    _got = torch.autograd.grad(_y.sum(), (_g2, _u2), retain_graph=True)
    for _i, _name in enumerate(("gate", "up")):
        check.close(
            _got[_i],
            _want[_i],
            f"the gradient of {_name} through two calls{_time}",
            terms=40,
            hint="every call has a ctx of its own; what is stored anywhere else is overwritten by the next call",
        )
# two calls with different needs
_g, _u, _data = randn(5, 3).requires_grad_(), randn(5, 3).requires_grad_(), randn(5, 3)
_y, _ref = SwiGLU.apply(_g, _u) + SwiGLU.apply(_data, _u), (F.silu(_g) + F.silu(_data)) * _u
_got = torch.autograd.grad(_y.sum(), (_g, _u), allow_unused=True)
_want = torch.autograd.grad(_ref.sum(), (_g, _u))
for _i, _name in enumerate(("gate", "up")):
    check.close(
        _got[_i],
        _want[_i],
        f"the gradient of {_name} for SwiGLU(gate, up) + SwiGLU(data, up)",
        terms=40,
        hint="every call has a ctx of its own; what is stored anywhere else is overwritten by the next call",
    )
check.close(SwiGLU.apply(_data, _data), F.silu(_data) * _data, "SwiGLU.apply on two inputs without gradient", terms=4)
### END HIDDEN TESTS

# %% [markdown]
# ## 4. Keep almost nothing: activation checkpointing
#
# SwiGLU keeps its inputs and computes the rest again. Nothing limits that idea to small operations: take a whole
# layer, keep only what goes in, and in backward run the layer a second time. This is **activation checkpointing**
# (also *rematerialization*, or *gradient checkpointing*). For a layer of GPT-3, the input is 2 bytes per hidden value
# instead of 114.
#
# What backward has to do, given the gradient $\bar y$ of the result $y = f(x)$:
#
# 1. run $f(x)$ again, this time recording a graph, on an $x$ that is cut off from the outer graph (`x.detach()`: a
#    new tensor on the same memory);
# 2. run backward through this small new graph, starting with $\bar y$ (`torch.autograd.backward(y, grad)`). This adds
#    to the `.grad` of every parameter that $f$ uses, and leaves $\bar x$ in the `.grad` of that tensor;
# 3. return $\bar x$, and drop the small graph.
#
# The second run must be the same function as the first. Dropout makes that interesting: it draws random numbers, and
# by the time backward runs, the generator has moved on. With another mask, the gradient belongs to a function that
# nobody evaluated: no error, no NaN, a model that trains a little worse. So the state of the generator is part of
# what a checkpoint keeps: 5056 bytes from `torch.get_rng_state()`. And after backward the generator has to be where
# backward found it; otherwise the *next* forward pass draws numbers that were used before.
#
# ### Exercise: checkpoint
#
# Fill in the `Function`. (`checkpoint` calls it. You may write the same behaviour in another way, for instance with
# `saved_tensors_hooks`; the tests look at `checkpoint` alone.) Megatron-LM and DeepSpeed have such a `Function` too.
#
# Shapes, for `f = lambda x: torch.relu(x @ w)` with `x` of (32, 100) and `w` of (100, 400), float32: plain, the graph
# keeps `x` (12800 bytes), `w` and the relu's output (51200). With a checkpoint it keeps `x`, and 5056 bytes of
# generator state. In backward, `grad` has shape (32, 400), and the returned gradient of `x` has (32, 100). The
# gradient of `w` appears in `w.grad`.
#
# <details><summary>Hint 1</summary>
#
# While the `forward` of a Function runs, PyTorch records no graph. So what `f` computes there dies when `f` returns,
# and you need to do nothing for it. While its `backward` runs, recording is off as well: `torch.enable_grad()`.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `x.detach().requires_grad_()` is a new leaf on the same memory. An integer tensor cannot require a gradient; what
# does each argument's `requires_grad` say?
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `with torch.random.fork_rng(devices=[]):` puts the generator back at the end of its block.
#
# </details>


# %% exercise="checkpoint" minutes=35 difficulty=4
class Checkpoint(torch.autograd.Function):
    """What `checkpoint` applies."""

    @staticmethod
    def forward(ctx: Any, f: Callable[..., Tensor], *args: Shaped[Tensor, "..."]) -> Float[Tensor, "..."]:
        """f(*args), keeping `f`, `args` and the state of the random generator."""
        ### BEGIN SOLUTION
        ctx.f, ctx.rng_state = f, torch.get_rng_state()
        ctx.save_for_backward(*args)
        return f(*args)
        ### END SOLUTION

    @staticmethod
    def backward(ctx: Any, grad: Float[Tensor, "..."]) -> tuple[Tensor | None, ...]:
        """One gradient for each argument of `forward` but `ctx`: None for `f`, and for an arg that needs none."""
        ### BEGIN SOLUTION
        args = [arg.detach().requires_grad_(arg.requires_grad) for arg in ctx.saved_tensors]
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.set_rng_state(ctx.rng_state)
            result = ctx.f(*args)
        torch.autograd.backward(result, grad)
        return None, *(arg.grad for arg in args)
        ### END SOLUTION


def checkpoint(f: Callable[..., Tensor], *args: Shaped[Tensor, "..."]) -> Float[Tensor, "..."]:
    """f(*args), without keeping what f computes on the way (Chen et al. 2016, arXiv 1604.06174).

    Args:
        f: a function from tensors to one tensor. It may also read parameters (leaves) that are not among `args`, and
            draw random numbers from torch's default CPU generator. It does not write to its arguments.
        args: tensors. At least one requires a gradient (else `Checkpoint.apply` makes no node, and the parameters get
            no gradient: a known trap); others may not (integer indices, masks, data). `f` need not use them all.

    Returns:
        The value of ``f(*args)``. Kept besides: `f`, `args` themselves (no copies) and the state of the generator. Of
        the memory that `f` allocates, only that of the result stays alive: after the call, and again after backward,
        even if the result is still held.

    ``loss.backward()``, called once, adds to the `.grad` of every leaf among or behind `args`, and of every parameter
    that `f` reads, what it would add without the checkpoint; an argument that `f` does not use may get None or zeros.
    (Gradients are asked for with `.backward()`, not `torch.autograd.grad`.)

    `f` runs exactly twice: now, and once in backward, where it draws the same random numbers as now. (If the graph of
    `f` saves no tensor, as for x + 1, the second run may be left out.) Now, the random generator moves as it does in
    ``f(*args)``; backward leaves it in the state in which backward found it.
    """
    return Checkpoint.apply(f, *args)


# %% test="checkpoint" points=6
ready_made = [f"torch.utils.checkpoint.{name}" for name in ("checkpoint", "_checkpoint_without_reentrant_generator")]
ready_made += ["torch.utils.checkpoint.CheckpointFunction.apply"]
runs: list[Allocations] = []  # one for every run of f


def block(x: Tensor) -> Tensor:
    """A function with a parameter, dropout and three intermediates."""
    with Allocations() as memory:
        runs.append(memory)
        return torch.tanh(Dropout.apply(torch.sin(x @ w), 0.3)) * 2.0


def gradients(run: Callable[[], Tensor], *leaves: Tensor) -> list[Tensor]:
    """The result of `run`, and what backward of a weighted sum of it adds to each leaf; random draws start alike."""
    torch.manual_seed(check.seed())
    for leaf in leaves:
        leaf.grad = None
    result = run()
    torch.rand(5)  # other random draws come between forward and backward, as in a real model
    weight = torch.linspace(1.0, 2.0, result.numel(), dtype=result.dtype).view_as(result)
    (result * weight).sum().backward()
    return [result.detach(), *(torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves)]


x, w = randn(40, 30).requires_grad_(), randn(30, 50).requires_grad_()
with check.forbid(*ready_made, because="write the checkpoint yourself"):
    plain, mine = gradients(lambda: block(x), x, w), gradients(lambda: checkpoint(block, x), x, w)
for got, want, name in zip(mine, plain, ("the value of checkpoint(block, x)", "x.grad", "w.grad"), strict=True):
    check.close(
        got,
        want,
        name,
        terms=50,
        likely={
            "it stayed zero: the parameter's gradient did not flow": torch.zeros_like(want),
            "twice the gradient: the second run was not cut off from the outer graph": 2 * want,
        },
        hint="in backward, f must see the same arguments and draw the same random numbers as in forward",
    )
runs.clear()
y = checkpoint(block, x)
check.equal(len(runs), 1, "how often f ran in checkpoint(f, x)")
check.that(
    runs[0].alive() <= y.nbytes,
    f"checkpoint(f, x): of what f allocated, {runs[0].alive()} bytes are alive after forward; expected those of the "
    f"result, {y.nbytes}. An intermediate of f is kept.",
)
torch.rand(5)
before = torch.get_rng_state()
y.sum().backward()
check.equal(len(runs), 2, "how often f ran in checkpoint(f, x) and backward")
check.that(
    torch.equal(torch.get_rng_state(), before),
    "backward through checkpoint(f, x) left the random generator in another state; put back what backward found",
)
table, ids = randn(9, 6).requires_grad_(), torch.tensor([4, 0, 4])
got = gradients(lambda: checkpoint(lambda i, t: t[i].exp(), ids, table), table)[1]
want = gradients(lambda: table[ids].exp(), table)[1]
check.close(got, want, "table.grad of checkpoint(f, ids, table), where ids are integers", terms=4)
### BEGIN HIDDEN TESTS
with check.forbid(*ready_made, because="write the checkpoint yourself"):
    # several arguments: an integer one, and one without a gradient
    _table, _scale, _data = randn(9, 6).requires_grad_(), randn(6).requires_grad_(), randn(4, 6)
    _ids = torch.from_numpy(rng.integers(0, 9, 4))

    def _f(ids, table, data, scale):
        return (F.embedding(ids, table) * scale).exp() + data * scale.sin()

    _plain = gradients(lambda: _f(_ids, _table, _data, _scale), _table, _scale)
    _mine = gradients(lambda: checkpoint(_f, _ids, _table, _data, _scale), _table, _scale)
    for _got, _want, _name in zip(_mine, _plain, ("the value", "table.grad", "scale.grad"), strict=True):
        check.close(
            _got,
            _want,
            f"{_name} of checkpoint(f, ids, table, data, scale), ids integers, data without gradient",
            terms=9,
        )
    check.that(_data.grad is None, "checkpoint(f, …, data, …): data needs no gradient, yet data.grad is set")

    # an argument that f does not use
    _idle = randn(3, 2).requires_grad_()
    _plain = gradients(lambda: _f(_ids, _table, _data, _scale), _scale, _idle)
    _mine = gradients(
        lambda: checkpoint(lambda i, t, d, s, _: _f(i, t, d, s), _ids, _table, _data, _scale, _idle.T), _scale, _idle
    )
    for _got, _want, _name in zip(_mine[1:], _plain[1:], ("scale.grad", "idle.grad"), strict=True):
        check.close(_got, _want, f"{_name} of checkpoint(f, …, scale, idle.T), where f does not use its last argument")

    _z = randn(5, 3).requires_grad_()
    _plain = gradients(lambda: _z.sin() * _z.exp(), _z)
    _mine = gradients(lambda: checkpoint(lambda p, q: p.sin() * q.exp(), _z, _z), _z)
    check.close(_mine[1], _plain[1], "x.grad of checkpoint(f, x, x): both arguments count", terms=4)

    # a parameter used in two checkpoints and outside; dropout in each; the input is no leaf
    _w, _x = randn(6, 6).requires_grad_(), randn(7, 6).requires_grad_()

    def _layer(h):
        return torch.tanh(F.dropout(h @ _w, 0.4)) + h

    _plain = gradients(lambda: _layer(_layer(_x * 2.0)) @ _w, _x, _w)
    _mine = gradients(lambda: checkpoint(_layer, checkpoint(_layer, _x * 2.0)) @ _w, _x, _w)
    for _got, _want, _name in zip(_mine, _plain, ("the value", "x.grad", "w.grad"), strict=True):
        check.close(
            _got,
            _want,
            f"{_name} for two checkpointed layers that share the parameter w, with dropout, and a use of w outside",
            terms=60,
            hint="each call of checkpoint keeps a generator state of its own; gradients of parameters add up",
        )

    # a second step adds to .grad, as always
    _x.grad = _w.grad = None
    _again = []
    for _ in range(2):
        torch.manual_seed(check.seed())
        checkpoint(_layer, _x).sum().backward()
        _again.append((_x.grad.clone(), _w.grad.clone()))
    check.close(_again[1][0], 2 * _again[0][0], "x.grad after two equal steps without zeroing", terms=60)
    check.close(_again[1][1], 2 * _again[0][1], "w.grad after two equal steps without zeroing", terms=60)

    # the forward pass draws exactly what f draws
    torch.manual_seed(check.seed())
    _layer(_x)
    _after = torch.get_rng_state()
    torch.manual_seed(check.seed())
    _y = checkpoint(_layer, _x)
    check.that(
        torch.equal(torch.get_rng_state(), _after),
        "checkpoint(f, x) moves the random generator otherwise than f(x) does; the model's next draw is another one",
    )
    torch.rand(5)
    _before = torch.get_rng_state()
    _y.sum().backward()
    check.that(
        torch.equal(torch.get_rng_state(), _before),
        "backward through checkpoint(f, x) left the random generator in another state; put back what backward found",
    )

    # a longer f: counted runs, and nothing of it alive
    _runs = []

    def _chain(h, mask):
        with Allocations() as _memory:
            _runs.append(_memory)
            for _ in range(6):
                h = torch.sin(h @ _w) * mask
            return h

    _x = randn(50, 6).requires_grad_()
    _y = checkpoint(_chain, _x, torch.ones(50, 1, dtype=torch.float64))
    check.that(
        len(_runs) == 1 and _runs[0].alive() <= _y.nbytes,
        f"checkpoint(f, x, mask): after forward f ran {len(_runs)} times (expected 1), and {_runs[0].alive()} bytes "
        f"of what it allocated are alive (expected at most the result's {_y.nbytes})",
    )
    check.that(_y.requires_grad, "the result of checkpoint(f, x, mask) requires no gradient: x was cut off")
    _y.square().sum().backward()
    check.equal(len(_runs), 2, "how often f ran in checkpoint(f, x, mask) and backward")
    gc.collect()
    _alive = sum(_m.alive() for _m in _runs)
    check.that(
        _alive <= _y.nbytes,
        f"after backward through y = checkpoint(f, x, mask), {_alive} bytes of what the two runs of f allocated are "
        f"alive; expected those of y, {_y.nbytes}. The graph of the second run has to go when its backward is done.",
    )
    del _y
    gc.collect()
    check.equal(sum(_m.alive() for _m in _runs), 0, "bytes that f allocated and that are alive when the result is gone")

    # no copies of the arguments; the state of the generator is about 5 KB
    _x = randn(3000, 6).requires_grad_()
    with Allocations() as _memory:
        _y = checkpoint(_layer, _x)
    check.that(
        _memory.alive() - _y.nbytes < _x.nbytes / 2,
        f"checkpoint(f, x) keeps {_memory.alive() - _y.nbytes} bytes of new memory besides its result, x has "
        f"{_x.nbytes}; keep x itself: x.detach() is a new tensor on the same memory, x.clone() a copy",
    )
### END HIDDEN TESTS

# %% [markdown]
# What does it save on the layer of section 2, and what does it cost? "Alive" counts what the layer allocated and
# somebody still holds, its result included (2 bytes per value), its input not.

# %% explore
b, s, h, a = 1, 192, 192, 16
weights, x = layer_weights(h), randn(b, s, h).bfloat16().requires_grad_()


def layer(x: Tensor) -> Tensor:
    return transformer_layer(x, weights, a, lambda z: Dropout.apply(z, 0.1))


for name, forward in {"plain": lambda: layer(x), "checkpoint": lambda: checkpoint(layer, x)}.items():
    with Allocations() as memory:
        y = forward()
    alive, start = memory.alive(), perf_counter()
    y.sum().backward()
    backward_s = perf_counter() - start
    start = perf_counter()
    forward()
    forward_s = perf_counter() - start
    print(
        f"{name:10}  alive after forward {alive / 2**20:6.1f} MiB = {alive / (s * b * h):5.1f} bytes per value"
        f"   forward {forward_s * 1e3:4.0f} ms, backward {backward_s * 1e3:4.0f} ms"
    )
del y

# %% [markdown]
# Of what the layer allocated, the result and 5 KB of generator state are left; the price is one more forward pass, in
# backward. On a CPU that price is high for this layer: exponentials and random numbers, which only forward needs, are
# slow there. Where matrix products rule, as on a GPU, it is about a third of a step: section 5 says why.
#
# ## 5. Where to checkpoint: the $\sqrt n$ schedule
#
# One checkpoint around the whole model saves nothing: in backward, its second run keeps everything at once. A
# checkpoint around every layer keeps one tensor for each. In between lies a better choice.
#
# Take a chain of $n$ layers. Each keeps one **unit** for its backward, its input. Cut the chain into $k$
# **segments**. The first $k - 1$ run under `checkpoint`, so that each keeps one unit, the input of its first layer.
# The last segment runs plainly and keeps a unit for each of its layers: backward needs them right away, so running it
# twice would be a waste. Backward then goes through the segments from the last to the first. At each checkpointed
# one, the segment runs again, and its layers keep their inputs. The first of those is the tensor that the checkpoint
# kept, so a segment of $m$ layers adds $m - 1$ units. When the segment's backward is done, all its $m$ units are
# freed.
#
# $n = 9$ layers, cut into three segments of three:
#
# | moment | units held | sum |
# |---|---|---|
# | after the forward pass | inputs of segments 1 and 2; three layers of segment 3 | 2 + 3 = 5 |
# | segment 3 done, segment 2 run again | inputs of segments 1 and 2; two more of segment 2 | 2 + 2 = 4 |
# | segment 2 done, segment 1 run again | input of segment 1; two more of segment 1 | 1 + 2 = 3 |
#
# The peak is 5 units instead of 9, and 6 of the 9 layers ran twice. With more segments, the inputs fill the memory;
# with fewer, one segment does. Chen et al. (2016) balance the two: $O(\sqrt n)$ memory for at most one additional
# forward pass.
#
# ### Exercise: cost of a schedule, and the best number of segments
#
# `segment_sizes(n, k)` below cuts evenly; where $k$ does not divide $n$, the first segments are one layer longer.
# Your `schedule_cost` takes any list of sizes, also uneven ones: you will want that for the question at the end.
#
# <details><summary>Hint 1</summary>
#
# At the moment when segment $j$ (counted from 0) has all its units, how many segments before it still hold their
# input? Does the answer differ between the last segment and the others?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `best_segments` may try every $k$.
#
# </details>


# %%
def segment_sizes(n: int, k: int) -> list[int]:
    """n layers in k segments whose sizes differ by at most one, the larger ones first: (10, 3) -> [4, 3, 3]."""
    return [n // k + (i < n % k) for i in range(k)]


# %% exercise="schedule" minutes=20 difficulty=3
def schedule_cost(sizes: Sequence[int]) -> tuple[int, int]:
    """(peak, reruns) of a chain of layers that is cut into segments of the given sizes.

    Args:
        sizes: a list or tuple, which is not changed: the number of layers of each segment, in the order of the
            forward pass; at least one segment, each of at least one layer.

    Returns:
        peak: the largest number of units held at any moment, in the model above.
        reruns: how many layers run a second time; a checkpointed segment is run again as a whole.

    [3, 3, 3] -> (5, 6);  [9] -> (9, 0)
    """
    ### BEGIN SOLUTION
    return max(j + size for j, size in enumerate(sizes)), sum(sizes[:-1])
    ### END SOLUTION


def best_segments(n: int) -> int:
    """The k in 1..n for which segment_sizes(n, k) has the smallest peak; of several, the smallest k. n <= 2000."""
    ### BEGIN SOLUTION
    return min(range(1, n + 1), key=lambda k: schedule_cost(segment_sizes(n, k))[0])
    ### END SOLUTION


# %% test="schedule" points=3
check.equal(
    schedule_cost([3, 3, 3]), (5, 6), "schedule_cost([3, 3, 3])", likely={"the last segment is not run again": (5, 9)}
)
check.equal(schedule_cost([9]), (9, 0), "schedule_cost([9]): one segment, no checkpoint")
check.equal(schedule_cost([1] * 9), (9, 8), "schedule_cost([1] * 9): every layer but the last under a checkpoint")
check.equal(
    schedule_cost([6, 2, 1]),
    (6, 8),
    "schedule_cost([6, 2, 1])",
    likely={
        "when segment 0 is run again, the later segments have freed their inputs": (8, 8),
        "the kept input of segment 0 is one of its 6 units": (7, 8),
        "the end of the forward pass is not the only moment: segment 0 is run again": (3, 8),
    },
)
check.equal(
    best_segments(9),
    2,
    "best_segments(9)",
    likely={
        "2 segments, [5, 4], have the same peak as 3": 3,
        "of several k with the same peak, the smallest reruns least": 5,
    },
)
# the published statement: O(sqrt n) memory, less than one additional forward pass
for n in (25, 100, 400):
    peak, reruns = schedule_cost(segment_sizes(n, best_segments(n)))
    check.that(
        peak <= 2 * math.sqrt(n) and reruns < n,
        f"the best schedule for {n} layers holds {peak} units and reruns {reruns}; Chen et al.: about 2 sqrt(n) = "
        f"{2 * math.sqrt(n):.0f} units, less than {n} reruns",
    )
### BEGIN HIDDEN TESTS


def _simulate(sizes):
    """Hold the units in a set and play the schedule move by move."""
    _first = [sum(sizes[:j]) for j in range(len(sizes))]
    _held = set(_first[:-1]) | set(range(_first[-1], sum(sizes)))
    _peak, _reruns = len(_held), 0
    _held -= set(range(_first[-1], sum(sizes)))
    for _j in reversed(range(len(sizes) - 1)):
        for _layer_index in range(_first[_j], _first[_j] + sizes[_j]):
            _held.add(_layer_index)
            _reruns += 1
            _peak = max(_peak, len(_held))
        _held -= set(range(_first[_j], _first[_j] + sizes[_j]))
    return _peak, _reruns


for _sizes in [[1], [1, 12], [12, 1], [5, 4, 3, 2, 1], [1, 2, 3, 4, 5], [2, 9, 1, 1, 3]]:
    check.equal(
        tuple(schedule_cost(_sizes)),
        _simulate(_sizes),
        f"schedule_cost({_sizes})",
        hint="play the schedule by hand: which inputs are held while each segment has all its units?",
    )
for _ in range(20):
    _sizes = [int(size) for size in rng.integers(1, 9, rng.integers(1, 8))]
    check.equal(tuple(schedule_cost(tuple(_sizes))), _simulate(_sizes), f"schedule_cost({tuple(_sizes)})")
    _copy = list(_sizes)
    schedule_cost(_sizes)
    check.equal(_sizes, _copy, f"sizes after schedule_cost({_copy}): it belongs to the caller")
# min over k of k - 1 + floor(n / k) is floor(sqrt(4 n + 1)) - 1: a closed form for the best even schedule
for _n in [1, 2, 3, 5, 10, 17, 36, 99, 1000, int(rng.integers(200, 900))]:
    _k = best_segments(_n)
    check.equal(
        _k,
        next(k for k in range(1, _n + 1) if k - 1 + _n // k == math.isqrt(4 * _n + 1) - 1),
        f"best_segments({_n})",
        hint=f"the smallest k whose peak is the smallest possible, {math.isqrt(4 * _n + 1) - 1}",
    )
### END HIDDEN TESTS

# %% [markdown]
# ### Measure it: does your checkpoint follow the formula?
#
# A chain of 36 layers `h @ w`, with one matrix $w$ for all: a layer's node keeps `h`, one unit of 144 KiB, and `w`,
# which is there anyway. Your `checkpoint` runs the chain for several $k$, and `Allocations` measures the peak over
# forward and backward. Expect it a constant above your formula, about five units whatever $k$ is, and less without a
# checkpoint. The formula counts what is kept for backward; the measurement also sees what is at work: the gradient of
# `h` on both sides of a layer, the gradient of `w` (here as large as `h`) from this layer and the sum so far, and the
# result of the segment that ran again.
#
# The time of a step has an expectation too. The backward of a matrix product is two matrix products, so a step of a
# layer costs 3 products; a rerun adds one.

# %% explore
n, width = 36, 192
unit = 4 * width * width  # bytes of h
w = torch.linalg.qr(randn(width, width, dtype=torch.float32))[0].requires_grad_()  # orthogonal: h keeps its size
start = randn(width, width, dtype=torch.float32)


def step(k: int) -> int:
    """Forward and backward of the chain in k segments; how often a layer ran forward."""
    calls = 0

    def segment(size: int) -> Callable[[Tensor], Tensor]:
        def run(h: Tensor) -> Tensor:
            nonlocal calls
            for _ in range(size):
                calls += 1
                h = h @ w
            return h

        return run

    *checkpointed, last = segment_sizes(n, k)
    h = start.clone().requires_grad_()
    for size in checkpointed:
        h = checkpoint(segment(size), h)
    loss = segment(last)(h).sum()
    del h
    loss.backward()
    w.grad = None
    return calls


ks = [1, 2, 3, 4, 5, 6, 7, 9, 12, 18, 24, 36]
peaks, runs, seconds = {}, {}, {}
for k in ks:
    with Allocations() as memory:
        runs[k] = step(k)
    peaks[k] = memory.peak / unit
for k in track(ks * 3, "timing"):
    begin = process_time()  # of this process alone: others on the machine do not count
    step(k)
    seconds[k] = min(process_time() - begin, seconds.get(k, math.inf))

figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.9))
every_k = range(1, n + 1)
costs = [schedule_cost(segment_sizes(n, k)) for k in every_k]
left.plot(every_k, [peak for peak, _ in costs], color=plots.GREY, label="schedule_cost")
left.plot(ks, peaks.values(), "o", color=plots.BLUE, label="your checkpoint, measured")
left.axhline(2 * math.sqrt(n) - 1, color=plots.GREEN, ls="--", lw=1.4, label=r"$2\sqrt{n}-1$")
left.set(xlabel="segments k", ylabel=f"peak (units of {unit // 1024} KiB)", title="Memory of a step", ylim=(0, None))
left.legend(loc="upper center")
right.plot(every_k, [1 + reruns / n for _, reruns in costs], color=plots.GREY, label="forward runs, schedule_cost")
right.plot(ks, [runs[k] / n for k in ks], "o", color=plots.BLUE, label="forward runs, counted")
right.plot(every_k, [1 + reruns / n / 3 for _, reruns in costs], color=plots.ORANGE, ls="--", label="time, expected")
right.plot(ks, [seconds[k] / seconds[1] for k in ks], "x", color=plots.ORANGE, mew=2, label="time, measured")
right.set(xlabel="segments k", ylabel="relative to k = 1", title="Price of a step", ylim=(0, None))
right.legend(loc="lower right", ncols=2, fontsize=9)
plots.show(
    figure,
    alt="Left: peak memory against segments, lowest near k = 6. Right: forward runs rise towards 2, time towards 4/3.",
)

# %% [markdown]
# The minimum is flat: any $k$ near $\sqrt n$ will do. Forward runs approach two per layer, and yet a step has at most
# a third more matrix products, because backward, the larger part, is done once in any case. Each checkpoint also has a
# fixed price (a `Function`, two copies of the generator's state), which shows here, where layers are small.
#
# ## 6. The graph of the graph
#
# Backward is itself made of tensor operations. With `create_graph=True` PyTorch records *them* as well, and the
# gradient that you get has a `grad_fn` of its own. What can you do with a graph of the backward pass?
#
# For $f: \mathbb R^n \to \mathbb R^m$ with Jacobian $J = \partial f / \partial x$ (an $m \times n$ matrix, which
# nobody wants to store), reverse mode computes the **vector-Jacobian product** $J^\top u$, for any $u$ of the shape
# of the output:


# %%
def vjp(
    f: Callable[[Tensor], Tensor], x: Float[Tensor, "*inputs"], u: Float[Tensor, "*outputs"]
) -> Float[Tensor, "*inputs"]:
    """u^T J of f at x, in the shape of x."""
    x = x.detach().requires_grad_()
    return torch.autograd.grad(f(x), x, grad_outputs=u)[0]


# %% [markdown]
# Its counterpart is the **Jacobian-vector product** $Jv$: how much the output moves when the input moves along $v$.
# Forward mode computes it alongside $f$. A framework with reverse mode only seems to need one backward pass for each
# of the $m$ rows. It doesn't:
#
# $$ g(u) = J^\top u \quad\text{is linear in } u \text{, with Jacobian } J^\top. \qquad
# \text{So}\quad Jv = \left(\frac{\partial g}{\partial u}\right)^{\!\top} v : $$
#
# the vector-Jacobian product of the vector-Jacobian product, *with respect to $u$*. Two backward passes, whatever $m$
# and $n$. The point $u$ does not matter, as $g$ is linear in it.
#
# A worked example: $f(x) = (x_0 x_1,\ x_1^2,\ 3 x_0)$ at $x = (2, 5)$ has
# $J = \begin{pmatrix} 5 & 2 \\ 0 & 10 \\ 3 & 0 \end{pmatrix}$. For $v = (1, -1)$: $Jv = (3, -10, 3)$. Here $v$ has
# shape (2,), $u$ and $Jv$ have shape (3,).
#
# ### Exercise: jvp by double backward
#
# (JAX does the same thing the other way round: it has forward mode, and gets reverse mode by transposing the linear
# map $v \mapsto Jv$.)
#
# <details><summary>Hint 1</summary>
#
# Which tensor must the second backward reach? It has to require a gradient before the first one runs. (`vjp` above
# cannot be differentiated: what it returns has no graph.)
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `torch.autograd.grad(outputs, inputs, grad_outputs)`: `grad_outputs` has the shape of `outputs`. Write down the
# shapes of both calls.
#
# </details>


# %% exercise="jvp" minutes=15 difficulty=3
def jvp(
    f: Callable[[Tensor], Tensor], x: Float[Tensor, "*inputs"], v: Float[Tensor, "*inputs"]
) -> tuple[Float[Tensor, "*outputs"], Float[Tensor, "*outputs"]]:
    """(f(x), J v) by reverse mode alone.

    Args:
        f: differentiable; its output depends on its input, and may have any shape. It may read parameters.
        x: where; any shape. It is not changed, nor whether it requires a gradient.
        v: the direction, in the shape and dtype of x; it may be x itself.

    Returns:
        f(x), and J v in the same shape and dtype; neither requires a gradient (a graph would stay alive with it).

    `f` is called once, and each node of its graph runs backward at most twice, whatever the shapes. Only
    `torch.autograd.grad` differentiates (nothing from `torch.func` or `torch.autograd.functional`, no forward mode, no
    finite differences). No `.grad` changes: neither that of x nor that of a parameter.
    """
    ### BEGIN SOLUTION
    x = x.detach().requires_grad_()
    y = f(x)
    u = torch.zeros_like(y, requires_grad=True)
    (g,) = torch.autograd.grad(y, x, u, create_graph=True)  # J^T u, in the shape of x
    (jv,) = torch.autograd.grad(g, u, v)  # J v, in the shape of y
    return y.detach(), jv
    ### END SOLUTION


# %% test="jvp" points=3
def f(x: Tensor) -> Tensor:
    return torch.stack([x[0] * x[1], x[1] ** 2, 3 * x[0]])


x, v = torch.tensor([2.0, 5.0], dtype=torch.float64), torch.tensor([1.0, -1.0], dtype=torch.float64)
value, product = jvp(f, x, v)
check.close(value, [10, 25, 6], "jvp(f, x, v)[0] for the worked example")
check.close(
    product,
    [3, -10, 3],
    "jvp(f, x, v)[1] for the worked example",
    terms=2,
    hint="J v has the shape of f(x): go back with respect to u. Finite differences are not exact enough.",
)
check.that(not x.requires_grad and x.grad is None, "jvp(f, x, v) changed x: it has a gradient, or requires one")
check.equal((value.requires_grad, product.requires_grad), (False, False), "requires_grad of what jvp(f, x, v) returns")


### BEGIN HIDDEN TESTS
class _Probe(torch.autograd.Function):
    """The identity; counts its forward and backward runs."""

    forwards = backwards = 0

    @staticmethod
    def forward(ctx, t):
        _Probe.forwards += 1
        return t.clone()

    @staticmethod
    def backward(ctx, grad):
        _Probe.backwards += 1
        return grad.clone()


_m1, _m2, _m3 = randn(4, 3), randn(5, 6), randn(11, 20)
for _name, _f, _shape in [
    ("a map from shape (3, 5) to shape (4, 6)", lambda t: torch.tanh(_m1 @ t.sin() @ _m2) + 1.0, (3, 5)),
    ("a map from 20 numbers to 11", lambda t: _m3 @ t.exp(), (20,)),
    ("a linear map from 20 numbers to 11", lambda t: _m3 @ t, (20,)),
    ("a map from shape (2, 3) to one number", lambda t: (t**3).sum(), (2, 3)),
    ("a map from 7 numbers to the first 3, scaled by the last", lambda t: t[:3] * t[-1], (7,)),
    ("exp, whose node saves its own output", lambda t: t.exp(), (6,)),
]:
    _x, _v = 0.5 * randn(*_shape), randn(*_shape)
    _jacobian = torch.autograd.functional.jacobian(_f, _x)  # outputs x inputs
    _want = _f(_x), torch.tensordot(_jacobian, _v, dims=_v.dim())
    _Probe.forwards = _Probe.backwards = 0
    with (
        check.unchanged(f"jvp for {_name}", _x, _v),
        check.forbid(
            "torch.func.jvp",
            "torch.func.linearize",
            "torch.func.jacfwd",
            "torch.func.jacrev",
            "torch.func.vjp",
            "torch.autograd.functional.jvp",
            "torch.autograd.functional.vjp",
            "torch.autograd.functional.jacobian",
            "torch.autograd.forward_ad.make_dual",
            because="differentiate twice with torch.autograd.grad",
        ),
    ):
        _got = jvp(lambda t, f=_f: f(_Probe.apply(t)), _x, _v)
    check.that(
        isinstance(_got, tuple) and len(_got) == 2,
        f"jvp for {_name}: expected the pair (f(x), J v), got {type(_got).__name__}",
    )
    check.close(_got[0], _want[0], f"jvp(f, x, v)[0] for {_name}", terms=40, dtype=torch.float64)
    check.close(
        _got[1],
        _want[1],
        f"jvp(f, x, v)[1] for {_name}",
        terms=80,
        dtype=torch.float64,
        likely={
            "this is f(x) itself": _want[0],
            "u has to be a tensor of its own: J^T u depends on f(x) also by what exp's node saved": 2 * _want[1],
        },
        hint="J v has the shape of f(x); the second backward goes with respect to u, weighted by v.",
    )
    check.equal(
        (_got[0].requires_grad, _got[1].requires_grad),
        (False, False),
        f"requires_grad of f(x) and J v, which jvp returns for {_name}",
        hint="such a result keeps the whole graph alive: detach it",
    )
    check.that(
        _Probe.forwards == 1 and _Probe.backwards <= 2,
        f"jvp for {_name}: f ran {_Probe.forwards} times (expected 1), "
        f"backward through it {_Probe.backwards} times (at most 2)",
    )
_x = randn(4).requires_grad_()
_got = jvp(lambda t: t.square(), _x, torch.ones(4, dtype=torch.float64))
check.close(_got[1], 2 * _x.detach(), "jvp(square, x, ones)[1], where x requires a gradient")
check.that(_x.requires_grad and _x.grad is None, "jvp(f, x, v): x.requires_grad or x.grad changed")
_theta = randn(4).requires_grad_()
_got = jvp(lambda t: (t * _theta).square(), _x, _x)
check.close(_got[1], (2 * _theta**2 * _x**2).detach(), "jvp(f, x, x)[1] for f(x) = (x * theta)^2", terms=4)
check.that(
    _theta.grad is None,
    "jvp(f, x, v), where f reads a parameter, wrote to its .grad: .backward() fills the .grad of every leaf, "
    "torch.autograd.grad only returns what it is asked for",
)
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise: Hessian-vector products
#
# For a scalar function $f$, such as a loss, the second derivatives form the Hessian
# $H = \partial^2 f / \partial x^2$, an $n \times n$ matrix. For a model of $10^9$ parameters it has $10^{18}$
# entries. But $Hv$ has only $n$, and costs about two gradients (Pearlmutter 1994):
#
# $$ Hv = \frac{\partial}{\partial x} \left( \nabla f(x)^\top v \right) $$
#
# Take the gradient, keep its graph, and send $v$ through that graph backwards. Curvature probes, Newton-CG, influence
# functions and Sophia-like optimizers use it.
#
# A worked example: $f(x) = x_0^2 x_1$ at $x = (3, 2)$ has $\nabla f = (2 x_0 x_1, x_0^2) = (12, 9)$ and
# $H = \begin{pmatrix} 2x_1 & 2x_0 \\ 2x_0 & 0 \end{pmatrix} = \begin{pmatrix} 4 & 6 \\ 6 & 0 \end{pmatrix}$. For
# $v = (1, 2)$: $Hv = (16, 6)$.
#
# <details><summary>Hint 1</summary>
#
# What does `torch.autograd.grad` return without `create_graph=True`, and what happens when you differentiate that?
#
# </details>


# %% exercise="hvp" minutes=10 difficulty=2
def hvp(
    f: Callable[[Tensor], Float[Tensor, ""]], x: Float[Tensor, "*inputs"], v: Float[Tensor, "*inputs"]
) -> Float[Tensor, "*inputs"]:
    """H v, for the Hessian H of the scalar function f at x, without H.

    Args:
        f: twice differentiable, from a tensor to a tensor of shape (); its gradient depends on x.
        x: where; any shape. It is not changed, nor whether it requires a gradient.
        v: the direction, in the shape and dtype of x; a constant, also if it requires a gradient or is x itself.

    Returns:
        H v in the shape and dtype of x; it does not require a gradient.

    `f` is called once, each node of its graph runs backward at most three times, and no tensor is made that is larger
    than the largest of x and of what f makes. Only `torch.autograd.grad` differentiates. No `.grad` changes, also not
    that of a parameter that f reads.
    """
    ### BEGIN SOLUTION
    x = x.detach().requires_grad_()
    (g,) = torch.autograd.grad(f(x), x, create_graph=True)
    (hv,) = torch.autograd.grad(g, x, v)
    return hv
    ### END SOLUTION


# %% test="hvp" points=3
x, v = torch.tensor([3.0, 2.0], dtype=torch.float64), torch.tensor([1.0, 2.0], dtype=torch.float64)
check.close(
    hvp(lambda x: x[0] ** 2 * x[1], x, v),
    [16, 6],
    "hvp(f, x, v) for the worked example",
    terms=2,
    likely={
        "this is the gradient": [12.0, 9.0],
        "this is the gradient times v": [12.0, 18.0],
        "v has to weight the gradient before the second backward": [10.0, 12.0],
        "these are the diagonal entries of H times v": [4.0, 0.0],
    },
    hint="equal, as far as one can see? Finite differences are not exact enough.",
)
check.that(not x.requires_grad and x.grad is None, "hvp(f, x, v) changed x: it has a gradient, or requires one")
check.that(
    not hvp(lambda x: x[0] ** 2 * x[1], x, v).requires_grad, "hvp(f, x, v) requires a gradient: it keeps a graph"
)
### BEGIN HIDDEN TESTS


class _Identity(torch.autograd.Function):
    forwards = backwards = 0

    @staticmethod
    def forward(ctx, t):
        _Identity.forwards += 1
        return t.clone()

    @staticmethod
    def backward(ctx, grad):
        _Identity.backwards += 1
        return grad.clone()


class _Largest(Watch):
    """The number of entries of the largest tensor made inside."""

    entries = 0

    def __torch_dispatch__(self, op, types, args=(), kwargs=None):
        _made = op(*args, **(kwargs or {}))
        self.entries = max([self.entries, *(t.numel() for t in tree_leaves(_made) if isinstance(t, Tensor))])
        return _made


_matrix, _deep = randn(6, 6), randn(5, 4)
_functions = [
    ("sum(sin(x) * roll(x)) of 80 numbers", lambda t: (t.sin() * t.roll(1)).sum(), (80,), None),
    ("x^T A x with A not symmetric", lambda t: t @ _matrix @ t, (6,), lambda t, d: (_matrix + _matrix.T) @ d),
    ("log-sum-exp of shape (3, 5)", lambda t: torch.logsumexp(t.flatten(), 0), (3, 5), None),
    ("a two-layer net of x in shape (4, 7)", lambda t: torch.tanh(_deep @ t).square().sum(), (4, 7), None),
]
for _name, _f, _shape, _formula in _functions:
    _x, _v = randn(*_shape), randn(*_shape)
    _hessian = torch.autograd.functional.hessian(_f, _x)  # inputs x inputs
    _want = _formula(_x, _v) if _formula else torch.tensordot(_hessian, _v, dims=_v.dim())
    _Identity.forwards = _Identity.backwards = 0
    with (
        check.unchanged(f"hvp for {_name}", _x, _v),
        check.forbid(
            "torch.func.hessian",
            "torch.func.jvp",
            "torch.func.grad",
            "torch.func.vjp",
            "torch.func.linearize",
            "torch.autograd.functional.hvp",
            "torch.autograd.functional.vhp",
            "torch.autograd.functional.hessian",
            "torch.autograd.functional.jacobian",
            "torch.autograd.forward_ad.make_dual",
            because="differentiate twice with torch.autograd.grad",
        ),
        _Largest() as _largest,
    ):
        _got = hvp(lambda t, f=_f: f(_Identity.apply(t)), _x, _v)
    check.close(
        _got,
        _want,
        f"hvp(f, x, v) for {_name}",
        terms=400,
        dtype=torch.float64,
        hint="v weights the gradient before it is differentiated again",
    )
    check.that(
        _Identity.forwards == 1 and _Identity.backwards <= 3,
        f"hvp for {_name}: f ran {_Identity.forwards} times (expected 1), backward through it {_Identity.backwards} "
        "times (at most 3); one pass for each row of H is too many",
    )
    check.that(
        not _got.requires_grad,
        f"hvp for {_name}: H v requires a gradient, and so keeps the whole graph alive; only the first of the two "
        "gradients needs create_graph=True",
    )
    if _shape == (80,):
        check.that(
            _largest.entries <= 80,
            f"hvp for {_name}: a tensor of {_largest.entries} entries was made; nothing needs more than 80",
        )
_x = randn(4).requires_grad_()
_got = hvp(lambda t: (t**3).sum(), _x, torch.ones(4, dtype=torch.float64))
check.close(_got, 6 * _x.detach(), "hvp(cube, x, ones), where x requires a gradient", terms=2)
check.that(_x.requires_grad and _x.grad is None, "hvp(f, x, v): x.requires_grad or x.grad changed")
_theta = randn(4).requires_grad_()
_want = (6 * _theta * _x**2).detach()
check.close(
    hvp(lambda t: (_theta * t**3).sum(), _x, _x),
    _want,
    "hvp(f, x, x), where x requires a gradient",
    terms=4,
    likely={"v is a direction, a constant, even if it is x: this is H x + the gradient": _want * 1.5},
)
check.that(
    _theta.grad is None and _x.grad is None,
    "hvp(f, x, v), where f reads a parameter, wrote to a .grad: .backward() fills the .grad of every leaf, "
    "torch.autograd.grad only returns what it is asked for",
)
### END HIDDEN TESTS

# %% [markdown]
# What is it good for? The largest eigenvalue of the Hessian (the *sharpness*) limits the learning rate: gradient
# descent diverges along its eigenvector when the rate exceeds 2 / sharpness. Power iteration finds the one of the
# largest magnitude with products alone. And what does `create_graph=True` cost? Ask your ledger.

# %% explore
inputs, targets = randn(64, 10), randn(64, 1)
theta = 0.3 * randn(10 * 16 + 16)


def loss(theta: Tensor) -> Tensor:
    """Mean squared error of a small net whose 176 weights are one vector."""
    return (torch.tanh(inputs @ theta[:160].view(10, 16)) @ theta[160:].view(16, 1) - targets).square().mean()


v = randn(176)
for _ in range(200):
    v = hvp(loss, theta, v / v.norm())
exact = torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, theta)).abs().max()
print(f"largest |eigenvalue| of a 176 × 176 Hessian: {v.norm():.6f} by 200 products, {exact:.6f} from the whole matrix")

leaf = theta.clone().requires_grad_()
ledger = SavedBytes(held=[leaf, inputs, targets])
with ledger.section("forward"):
    value = loss(leaf)
with ledger.section("backward with create_graph=True"):
    (gradient,) = torch.autograd.grad(value, leaf, create_graph=True)
print("saved bytes:", ledger.by_section)

# %% [markdown]
# With `create_graph=True`, this backward keeps about as much again as the forward pass did.
#
# ## 7. Rewrite the graph
#
# PyTorch's graph exists only to run backward. A compiler wants a graph of the whole computation, forward and
# backward, *before* it runs, so that it can change it. It gets one by **tracing**: run the program once, write down
# each operation, and obtain a straight list without loops or branches. `torch.compile` works on such lists (as
# `torch.fx` graphs), and so does `jax.jit` (as jaxprs).
#
# Here is a list of your own. A `Var` is the name of a value. An `Instruction` computes `out = op(*args, **kwargs)`;
# each name is defined once, before it is used. A `Trace` is a list of instructions with the names of what goes in and
# what comes out.
#
# An instruction with `effect=True` does more than compute its result. `dropout` also moves the random generator, a
# print also prints. (Operations that write into a tensor do not occur: `torch.compile` rewrites `x.add_(1)` to
# `x_1 = x.add(1)` first, which is called *functionalization*, so that no later pass has to think of it.)


# %%
@dataclass(frozen=True)
class Var:
    """The name of a value."""

    name: str

    def __repr__(self) -> str:
        return f"%{self.name}"


@dataclass(frozen=True)
class Instruction:
    """out = op(*args, **kwargs); an argument is a Var, a constant (number, string, None, dtype) or a tuple of these."""

    out: Var
    op: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    effect: bool = False

    def reads(self) -> set[Var]:
        """The values that the instruction reads, also in tuples, as in cat((a, b))."""
        return {a for a in tree_leaves((self.args, self.kwargs)) if isinstance(a, Var)}

    def __str__(self) -> str:
        name = str(self.op) if hasattr(self.op, "_schema") else self.op.__name__
        shown = [*map(str, self.args), *(f"{k}={v}" for k, v in self.kwargs.items())]
        return f"{self.out} = {name}({', '.join(shown)}){'   (effect)' if self.effect else ''}"


@dataclass(frozen=True)
class Trace:
    """A program without loops: inputs, instructions in order, and the values that it returns, in order."""

    inputs: tuple[Var, ...]
    body: tuple[Instruction, ...]
    outputs: tuple[Var, ...]

    def __str__(self) -> str:
        return "\n".join([f"inputs  {self.inputs}", *(f"  {i}" for i in self.body), f"outputs {self.outputs}"])


def run(trace: Trace, *inputs: Any) -> list[Any]:
    """Execute `trace` on `inputs`; the values of its outputs. A value is dropped after its last use."""
    last = {var: i for i, instruction in enumerate(trace.body) for var in instruction.reads()}
    values = dict(zip(trace.inputs, inputs, strict=True))
    for i, instruction in enumerate(trace.body):
        args, kwargs = tree_map(
            lambda a: values[a] if isinstance(a, Var) else a, (instruction.args, instruction.kwargs)
        )
        values[instruction.out] = instruction.op(*args, **kwargs)
        del args, kwargs
        for var in {instruction.out, *instruction.reads()}:
            if last.get(var, -1) <= i and var not in trace.outputs:
                del values[var]
    return [values[var] for var in trace.outputs]


x, y, c, d, e, z, noise = map(Var, ["x", "y", "c", "d", "e", "z", "noise"])
example = Trace(
    inputs=(x, y),
    body=(
        Instruction(c, torch.mul, (x, y)),
        Instruction(noise, F.dropout, (x,), {"p": 0.5}, effect=True),
        Instruction(d, torch.mul, (x, y)),
        Instruction(e, torch.exp, (c,)),
        Instruction(z, torch.sub, (c, d)),
    ),
    outputs=(z,),
)
print(example)

# %% [markdown]
# ### Exercise: dead-code elimination
#
# An instruction is **dead** if nothing that the program returns or does depends on it. In the example, `%e` is dead.
# `%noise` is not, although nobody reads it: without it, the next dropout would draw other numbers, and the program
# would no longer compute what the untraced one does. (`torch.fx` treats random operations in this way too.)
#
# A dead instruction can be read: by another dead one. In `a = exp(x); b = sin(a)`, with neither returned, both go.
#
# <details><summary>Hint 1</summary>
#
# When you look at an instruction, you must already know everything that is read after it. In which order do you go
# through the list?
#
# </details>


# %% exercise="dce" minutes=10 difficulty=2
def dce(trace: Trace) -> Trace:
    """Dead-code elimination.

    Returns:
        A trace with the same inputs and outputs, and those instructions of `trace.body`, unchanged and in their
        order, that have an effect, or on which an output or an instruction with an effect depends, directly or
        through others. The given `trace` is not changed.
    """
    ### BEGIN SOLUTION
    live, body = set(trace.outputs), []
    for instruction in reversed(trace.body):
        if instruction.effect or instruction.out in live:
            live |= instruction.reads()
            body.append(instruction)
    return replace(trace, body=tuple(reversed(body)))
    ### END SOLUTION


# %% test="dce" points=3
x, y, c, d, e, z, noise = map(Var, ["x", "y", "c", "d", "e", "z", "noise"])
short = dce(example)
check.equal(
    [i.out for i in short.body],
    [c, noise, d, z],
    "the values that dce(example) still computes",
    likely={
        "an instruction with an effect stays, even if nobody reads its result": [c, d, z],
        "an instruction is kept for what it computes, not dropped for it": [e],
        "collected from the end: turn the list round": [z, d, noise, c],
    },
)
check.equal((tuple(short.inputs), tuple(short.outputs)), ((x, y), (z,)), "inputs and outputs of dce(example)")
chain = Trace(
    (x,), (Instruction(c, torch.exp, (x,)), Instruction(d, torch.sin, (c,)), Instruction(z, torch.neg, (x,))), (z,)
)
check.equal(
    [i.out for i in dce(chain).body],
    [z],
    "the values that dce still computes of c = exp(x); d = sin(c); z = -x; return z",
    likely={"d is dead, and c is read by d alone: both go": [c, z]},
)
### BEGIN HIDDEN TESTS
_p, _q, _r, _s, _t, _u, _v, _w, _z = map(Var, "pqrstuvwz")
# what an effect reads is live; a Var may stand in kwargs; unused inputs stay; an output may be an input, or stand twice
_seen = []


def _note(value):
    _seen.append(float(value.sum()))
    return value


_trace = Trace(
    (_p, _q),
    (
        Instruction(_r, torch.exp, (_p,)),
        Instruction(_s, torch.add, (_p, 1.0), {"alpha": 2}),
        Instruction(_t, _note, (_r,), effect=True),
        Instruction(_u, torch.clamp, (_p,), {"min": _s}),
        Instruction(_v, torch.mul, (_u, 3.0)),
        Instruction(_w, torch.neg, (_p,)),
        Instruction(_z, torch.cat, ((_w, _p), 0)),
    ),
    (_u, _p, _u, _z),
)
_copy = Trace(_trace.inputs, tuple(_trace.body), _trace.outputs)
_short = dce(_trace)
check.equal(_trace, _copy, "the trace itself after dce(trace): a pass returns a new one")
check.equal(
    [i.out.name for i in _short.body],
    ["r", "s", "t", "u", "w", "z"],
    "the values kept of r = exp(p); s = p + 2; t = note(r) (effect); u = clamp(p, min=s); v = 3 u; w = -p; "
    "z = cat((w, p)); return u, p, u, z",
    hint="an effect keeps alive what it reads; a Var may stand in kwargs and in a tuple (ask reads())",
)
check.equal(
    (tuple(_short.inputs), tuple(_short.outputs)),
    ((_p, _q), (_u, _p, _u, _z)),
    "inputs and outputs of that trace after dce",
    hint="a caller still passes every input, and expects every output, also one that is an input or stands twice",
)
_similar = Trace(
    (_p,),
    (Instruction(Var("sin1"), torch.sin, (_p,)), Instruction(Var("sin10"), torch.sin, (_p,))),
    (Var("sin10"),),
)
check.equal(
    [i.out.name for i in dce(_similar).body],
    ["sin10"],
    "the values kept of sin1 = sin(p); sin10 = sin(p); return sin10",
    hint="compare Vars, not their text: sin1 is a part of sin10",
)
check.that(
    all(i in _trace.body for i in _short.body),
    "dce changed an instruction; it only leaves some out, the rest stay as they are",
)
# long dead chains, live ones next to them, drawn at random; the oracle follows the outputs back through the definitions
for _round in range(5):
    _n, _vars = 60, [Var(f"v{i}") for i in range(62)]
    _body = []
    for _i in range(2, 62):
        _a, _b = (_vars[int(j)] for j in rng.integers(max(0, _i - 8), _i, 2))
        _body.append(Instruction(_vars[_i], torch.add, (_a, _b), {}, bool(rng.random() < 0.05)))
    _out = (_vars[int(rng.integers(30, 61))], _vars[int(rng.integers(10, 40))])
    _trace = Trace(tuple(_vars[:2]), tuple(_body), _out)
    _by_name, _want, _todo = {i.out: i for i in _body}, set(), [*_out, *(i.out for i in _body if i.effect)]
    while _todo:
        _next = _todo.pop()
        if _next in _by_name and _next not in _want:
            _want.add(_next)
            _todo += _by_name[_next].args
    _got = dce(_trace)
    check.equal(
        [i.out.name for i in _got.body],
        [i.out.name for i in _body if i.out in _want],
        f"the values that dce keeps of a random trace of 60 instructions, {len(_want)} of them live",
    )
    check.equal(dce(_got), _got, "dce(dce(trace)), against dce(trace)")
# results, random numbers and gradients are the same
_trace = Trace(
    (_p, _q),
    (
        Instruction(_r, F.dropout, (_p, 0.5), effect=True),
        Instruction(_s, F.dropout, (_q, 0.5), effect=True),
        Instruction(_t, torch.exp, (_r,)),
        Instruction(_u, torch.mul, (_s, _q)),
    ),
    (_u,),
)
_inputs = [randn(30).requires_grad_(), randn(30).requires_grad_()]
_results = []
for _version in (_trace, dce(_trace)):
    torch.manual_seed(check.seed())
    (_y,) = run(_version, *_inputs)
    _results.append((_y.detach(), torch.autograd.grad(_y.sum(), _inputs[1])[0]))
check.close(_results[1][0], _results[0][0], "the result of a trace with two dropouts after dce, from the same seed")
check.close(_results[1][1], _results[0][1], "the gradient of a trace with two dropouts after dce, from the same seed")
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise: common-subexpression elimination
#
# Two instructions that compute the same thing need to run only once. In the example, `%c` and `%d` are both
# `mul(%x, %y)`: every use of `%d` can read `%c` instead, and `z = sub(%c, %c)` remains. After that rewriting, other
# instructions may have become equal:
#
# | before | after |
# |---|---|
# | `c = mul(x, y)` | `c = mul(x, y)` |
# | `d = mul(x, y)` | |
# | `e = exp(c)` | `e = exp(c)` |
# | `f = exp(d)` | (equal to `e`, once `d` reads `c`) |
# | `z = add(e, f)` | `z = add(e, e)` |
#
# "The same thing" means: the same `op`, the same arguments in the same order, the same keyword arguments in any
# order, and no effect on either. Python has a trap here: `1 == 1.0 == True`, but `mul(n, 1)` and `mul(n, 1.0)` give
# an integer and a floating-point tensor. Constants are the same if value *and* type are, in tuples too. (Zeros with a
# sign and NaN do not occur.) Whether `add(a, b)` and `add(b, a)` are merged is up to you (the tests contain no such
# pair), but what stays keeps its arguments in their places; `sub(a, b)` and `sub(b, a)` must not be merged. No dead
# code is removed: that is the other pass.
#
# <details><summary>Hint 1</summary>
#
# Go through the list once, from the top, with two dictionaries: one from "what an instruction computes" to the value
# that holds it, one from a name that was dropped to the name that replaces it.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# A key of a dictionary must be hashable, and `kwargs` is a dictionary. What about `tuple(sorted(...))`? And which
# names does the key use, those before or after the replacement?
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `run` above shows how to replace every `Var` in nested tuples: `tree_map`.
#
# </details>


# %% exercise="cse" minutes=25 difficulty=3
def cse(trace: Trace) -> Trace:
    """Common-subexpression elimination (as in functorch's fx_graph_cse).

    Two instructions compute the same if, after the replacements made so far, they have the same `op`, the same `args`
    in order and the same `kwargs` in any order, and neither has an effect. Operations are the same if they are equal
    (==); two may share a name. Constants are the same if value and type are: 1, 1.0 and True differ. Both Vars and
    constants may stand in tuples: cat((a, b)), sum(a, (0, 1)).

    Returns:
        A new trace with the same inputs. Of instructions that compute the same, the first stays, and its value replaces
        the others, in every later args and kwargs, tuples included, and in the outputs, which keep their number and
        order. All else stays, in its order. Nothing is removed because it is dead, and no argument changes its place.
        The given `trace` is not changed.
    """
    ### BEGIN SOLUTION
    first: dict[Any, Var] = {}  # what is computed -> the value that holds it
    same: dict[Var, Var] = {}  # a dropped value -> the one that replaces it
    body = []

    def key(argument: Any) -> Any:
        parts = tuple(map(key, argument)) if isinstance(argument, tuple) else argument
        return type(argument), parts

    for old in trace.body:
        args, kwargs = tree_map(lambda a: same.get(a, a) if isinstance(a, Var) else a, (old.args, old.kwargs))
        computes = (old.op, key(args), tuple(sorted((k, key(a)) for k, a in kwargs.items())))
        if not old.effect and computes in first:
            same[old.out] = first[computes]
            continue
        if not old.effect:
            first[computes] = old.out
        body.append(replace(old, args=args, kwargs=kwargs))
    return Trace(trace.inputs, tuple(body), tuple(same.get(out, out) for out in trace.outputs))
    ### END SOLUTION


# %% test="cse" points=4
x, y, c, d, e, f_, z = map(Var, ["x", "y", "c", "d", "e", "f", "z"])
twice = Trace(
    (x, y),
    (
        Instruction(c, torch.mul, (x, y)),
        Instruction(d, torch.mul, (x, y)),
        Instruction(e, torch.exp, (c,)),
        Instruction(f_, torch.exp, (d,)),
        Instruction(z, torch.add, (e, f_)),
    ),
    (z, d),
)
short = cse(twice)
check.equal(
    [i.out for i in short.body],
    [c, e, z],
    "the values that cse(trace) computes of c = x y; d = x y; e = exp(c); f = exp(d); z = e + f",
    likely={"once d is c, exp(d) is exp(c): compare arguments after the replacement": [c, e, f_, z]},
)
check.equal(
    tuple(short.body[-1].args),
    (e, e),
    "the arguments of z = add(e, f) after cse",
    likely={"f is gone; z has to read e": (e, f_)},
)
check.equal(
    tuple(short.outputs), (z, c), "the outputs, (z, d) before cse", likely={"d is gone; the output has to be c": (z, d)}
)
a, b = randn(5), randn(5)
check.close(run(short, a, b)[0], 2 * torch.exp(a * b), "run(cse(trace), x, y)[0]", terms=4)
dropouts = Trace(
    (x,),
    (
        Instruction(c, F.dropout, (x, 0.5), effect=True),
        Instruction(d, F.dropout, (x, 0.5), effect=True),
        Instruction(z, torch.sub, (c, d)),
    ),
    (z,),
)
check.equal(
    [i.out for i in cse(dropouts).body],
    [c, d, z],
    "the values computed of c = dropout(x); d = dropout(x); z = c - d, both with an effect",
    likely={"two dropouts draw two masks: an instruction with an effect is never merged": [c, z]},
)
### BEGIN HIDDEN TESTS
_p, _q, _r, _s, _t, _u, _v, _w = map(Var, "pqrstuvw")


def _scaled(factor):
    def scale(t):
        return factor * t

    return scale


def _body(*instructions):
    return tuple(Instruction(Var(f"k{i}"), *parts) for i, parts in enumerate(instructions))


# pairs that look alike and differ, and pairs that look different and are the same
for _first, _second, _merged, _why in [
    ((torch.sub, (_p, _q)), (torch.sub, (_q, _p)), False, "sub(p, q) and sub(q, p): the order of arguments matters"),
    ((torch.exp, (_p,)), (torch.exp, (_q,)), False, "exp(p) and exp(q): different arguments"),
    ((torch.exp, (_p,)), (torch.sin, (_p,)), False, "exp(p) and sin(p): different operations"),
    (
        (torch.sum, (_p,), {"dim": 0}),
        (torch.sum, (_p,), {"dim": 1}),
        False,
        "sum(p, dim=0) and sum(p, dim=1): kwargs count",
    ),
    ((torch.sum, (_p, 0)), (torch.sum, (_p, 1)), False, "sum(p, 0) and sum(p, 1): constants count"),
    ((torch.sum, (_p, (0, 1))), (torch.sum, (_p, (0,))), False, "sum(p, (0, 1)) and sum(p, (0,)): tuples count"),
    ((torch.mul, (_p, 1)), (torch.mul, (_p, 1.0)), False, "mul(p, 1) and mul(p, 1.0): the type of a constant counts"),
    ((torch.sum, (_p, 1)), (torch.sum, (_p, True)), False, "sum(p, 1) and sum(p, True): the type of a constant counts"),
    (
        (torch.clamp, (_p,), {"max": 1}),
        (torch.clamp, (_p,), {"max": 1.0}),
        False,
        "clamp(p, max=1) and clamp(p, max=1.0): the type of a constant counts in kwargs too",
    ),
    (
        (torch.clamp, (_p,), {"min": _q}),
        (torch.clamp, (_p,), {"max": _q}),
        False,
        "clamp(p, min=q) and clamp(p, max=q): the names of kwargs count",
    ),
    ((torch.pow, (_p, "p")), (torch.pow, (_p, _p)), False, "pow(p, 'p') and pow(p, Var('p')): a string is no Var"),
    (
        (torch.neg, (_p,), {}, True),
        (torch.neg, (_p,)),
        False,
        "neg(p) with an effect and neg(p) without: an effect is never merged",
    ),
    (
        (torch.neg, (_p,)),
        (torch.neg, (_p,), {}, True),
        False,
        "neg(p) without an effect and neg(p) with one: an effect is never merged",
    ),
    (
        (torch.sum, (_p, (0, 1))),
        (torch.sum, (_p, (False, True))),
        False,
        "sum(p, (0, 1)) and sum(p, (False, True)): the type of a constant counts in tuples too",
    ),
    (
        (torch.full, (((2, 3), 1),)),
        (torch.full, (((2, 3), 1.0),)),
        False,
        "full(((2, 3), 1)) and full(((2, 3), 1.0)): the type of a constant counts at any depth",
    ),
    (
        (torch.softmax, (_p, -1)),
        (torch.softmax, (_p, -2)),
        False,
        "softmax(p, -1) and softmax(p, -2): equal hashes are no equal values, and hash(-1) == hash(-2)",
    ),
    (
        (_scaled(2), (_p,)),
        (_scaled(3), (_p,)),
        False,
        "scale(p) and scale(p), two functions of the same name: the operation itself counts, not its name",
    ),
    (
        (torch.cat, ((_p, _q),)),
        (torch.cat, ((_q, _p),)),
        False,
        "cat((p, q)) and cat((q, p)): the order in a tuple matters",
    ),
    ((torch.cat, ((_p, _q),)), (torch.cat, ((_p, _q),)), True, "cat((p, q)) twice"),
    ((torch.sum, (_p, (0, 1))), (torch.sum, (_p, (0, 1))), True, "sum(p, (0, 1)) twice"),
    (
        (torch.sum, (_p,), {"dim": 0, "keepdim": True}),
        (torch.sum, (_p,), {"keepdim": True, "dim": 0}),
        True,
        "sum(p, dim=0, keepdim=True) and sum(p, keepdim=True, dim=0): the order of kwargs does not matter",
    ),
    (
        (torch.zeros, ((3, 4),), {"dtype": torch.float64}),
        (torch.zeros, ((3, 4),), {"dtype": torch.float64}),
        True,
        "zeros twice",
    ),
]:
    _trace = Trace((_p, _q), _body(_first, _second, (torch.neg, (Var("k1"),))), (Var("k0"), Var("k1"), Var("k2")))
    _got = cse(_trace)
    check.equal(
        ([i.out.name for i in _got.body], [o.name for o in _got.outputs]),
        (["k0", "k2"], ["k0", "k0", "k2"]) if _merged else (["k0", "k1", "k2"], ["k0", "k1", "k2"]),
        f"values computed and outputs of k0, k1 = {_why.split(':')[0]}; k2 = neg(k1); return k0, k1, k2",
        hint=_why,
    )
# arguments stay in their places; a value is replaced in tuples too
_trace = Trace(
    (_q, _p),
    _body(
        (torch.mul, (_q, _p)),
        (torch.add, (_q, Var("k0"))),
        (torch.mul, (_q, _p)),
        (torch.cat, ((Var("k2"), _p), 0)),
        (torch.cat, ((Var("k0"), _p), 0)),
    ),
    (Var("k1"), Var("k3"), Var("k4")),
)
_got = cse(_trace)
check.equal(
    [(i.out.name, i.args) for i in _got.body],
    [("k0", (_q, _p)), ("k1", (_q, Var("k0"))), ("k3", ((Var("k0"), _p), 0))],
    "names and args of k0 = q p; k1 = q + k0; k2 = q p; k3 = cat((k2, p), 0); k4 = cat((k0, p), 0) after cse",
    likely={
        "a dropped value is replaced in tuples too": [
            ("k0", (_q, _p)),
            ("k1", (_q, Var("k0"))),
            ("k3", ((Var("k2"), _p), 0)),
            ("k4", ((Var("k0"), _p), 0)),
        ],
    },
    hint="no argument changes its place: mul(q, p) may be recognised as mul(p, q), but stays as it was written",
)
# replacement in kwargs and over several steps; dead code, inputs and the given trace stay
_trace = Trace(
    (_p, _q),
    _body(
        (torch.exp, (_p,)),
        (torch.exp, (_p,)),
        (torch.clamp, (_q,), {"min": Var("k0")}),
        (torch.clamp, (_q,), {"min": Var("k1")}),
        (torch.sub, (Var("k2"), Var("k1"))),
        (torch.sub, (Var("k3"), Var("k0"))),
        (F.dropout, (Var("k5"),), {"p": 0.5}, True),
        (torch.sin, (Var("k1"),)),
    ),
    (Var("k5"), Var("k6"), _q, Var("k4")),
)
_copy = Trace(_trace.inputs, tuple(replace(i, kwargs=dict(i.kwargs)) for i in _trace.body), _trace.outputs)
_got = cse(_trace)
check.equal(_trace, _copy, "the trace itself after cse(trace): a pass returns a new one")
check.equal(
    [i.out.name for i in _got.body],
    ["k0", "k2", "k4", "k6", "k7"],
    "the values computed by a trace with merged values in kwargs, in effects and in dead code, after cse",
    likely={
        "replace dropped values in kwargs too": ["k0", "k2", "k3", "k4", "k5", "k6", "k7"],
        "dead code is the other pass's business": ["k0", "k2", "k4", "k6"],
    },
)
check.equal(
    [sorted(v.name for v in i.reads()) for i in _got.body],
    [["p"], ["k0", "q"], ["k0", "k2"], ["k4"], ["k0"]],
    "what each instruction of that trace reads after cse",
    hint="nothing may read a value that was dropped",
)
check.equal(
    ([v.name for v in _got.inputs], [v.name for v in _got.outputs]),
    (["p", "q"], ["k4", "k6", "q", "k4"]),
    "inputs and outputs of that trace after cse; k5 and k4 are the same value, and both positions stay",
)
# random straight-line programs: the same results and gradients, fewer instructions, and nothing left to merge
_ops = [(torch.sub, ()), (torch.lerp, (0.25,))]
for _round in range(5):
    _vars = [Var(f"v{i}") for i in range(43)]
    _list = []
    for _i in range(3, 43):
        _a, _b = (_vars[int(j)] for j in rng.integers(0, max(3, _i // 4), 2))
        _op, _more = _ops[int(rng.integers(0, 2))]
        _list.append(Instruction(_vars[_i], _op, (_a, _b, *_more)))
    _trace = Trace(tuple(_vars[:3]), tuple(_list), tuple(_vars[int(j)] for j in rng.integers(3, 43, 4)))
    _values, _seen = {v: v.name for v in _vars[:3]}, set()
    for _instruction in _list:  # the oracle: equal expressions, written out in full, are equal values
        _values[_instruction.out] = f"{_instruction.op.__name__}({','.join(_values[a] for a in _instruction.args[:2])})"
        _seen.add(_values[_instruction.out])
    _got = cse(_trace)
    check.equal(
        len(_got.body),
        len(_seen),
        "the number of instructions of a random trace after cse, against its different expressions",
    )
    _inputs = [(3.0 + randn(4)).requires_grad_() for _ in range(3)]
    _both = []
    for _version in (_trace, _got):
        _ys = run(_version, *_inputs)
        _grads = torch.autograd.grad(sum((k + 1) * t.sum() for k, t in enumerate(_ys)), _inputs, allow_unused=True)
        _both.append([*(t.detach() for t in _ys), *(torch.zeros(4) if t is None else t for t in _grads)])
    for _mine, _plain in zip(_both[1], _both[0], strict=True):
        # gradients of a merged value are summed in another order, with cancellation
        check.close(_mine, _plain, "a result or gradient of a random trace after cse", rtol=1e-9, atol=1e-9)
### END HIDDEN TESTS

# %% [markdown]
# ### Measure it: the pass that undoes a checkpoint
#
# `capture` below traces a function: it watches the operations that PyTorch runs, backward included, and writes them
# down. So it can trace a whole training step, and your two passes can work on the *joint* graph of forward and
# backward. First a small one, written by hand: the gradient of $\sum \tanh(x W)^2$. Blue is computed, orange goes in,
# green comes out, red is what your passes remove.


# %%
def capture(f: Callable[..., Any], *inputs: Tensor) -> Trace:
    """Trace f(*inputs), a tensor or a tuple of tensors, by watching what PyTorch runs; f reads no tensor but these."""
    names: dict[Any, Var] = {}
    held: list[Tensor] = []  # keeps every tensor alive, so that one address means one tensor
    body: list[Instruction] = []

    def identity(tensor: Tensor) -> Any:
        return tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype

    def name(tensor: Tensor, text: str) -> Var:
        held.append(tensor)
        return names.setdefault(identity(tensor), Var(text))

    def argument(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return tuple(map(argument, value))
        return names[identity(value)] if isinstance(value, Tensor) else value

    class Recorder(Watch):
        def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            result = op(*args, **kwargs)
            read = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
            if read and not any(identity(t) in names for t in read):
                return result  # bookkeeping, such as copying the state of the random generator
            if op is torch.ops.aten.copy_.default:
                # from now on, the tensor that is written to is another name for the one that is read
                body[:] = [i for i in body if i.out != names[identity(result)]]
                names[identity(result)] = names[identity(args[1])]
            elif op._schema.is_mutable:
                raise ValueError(f"{op} writes into a tensor")
            elif isinstance(result, Tensor) and identity(result) not in names:  # what detach returns has a name already
                effect = torch.Tag.nondeterministic_seeded in op.tags
                parts = argument(args), {k: argument(v) for k, v in kwargs.items()}
                out = name(result, f"{op.overloadpacket.__name__.strip('_')}{len(body)}")
                body.append(Instruction(out, op, *parts, effect))
            return result

    given = tuple(name(tensor, f"in{i}") for i, tensor in enumerate(inputs))
    with Recorder():
        results = f(*inputs)
    results = results if isinstance(results, tuple) else (results,)
    return Trace(given, tuple(body), tuple(names[identity(t)] for t in results))


# %% explore
def draw_trace(trace: Trace, inputs: Sequence[str], removed: set[Var], title: str) -> plt.Figure:
    """The values of a trace as a graph; `removed` in red."""
    values = [*trace.inputs, *(i.out for i in trace.body)]
    labels = {v: v.name.rstrip("0123456789") for v in values} | dict(zip(trace.inputs, inputs, strict=True))
    colors = dict.fromkeys(values, plots.BLUE) | dict.fromkeys(trace.inputs, plots.ORANGE)
    colors |= dict.fromkeys(trace.outputs, plots.GREEN) | dict.fromkeys(removed, plots.RED)
    edges = [(read, i.out) for i in trace.body for read in sorted(i.reads(), key=lambda v: v.name)]
    return plots.graph(labels, edges, colors=colors, title=title)


def gradient_twice(x: Tensor, w: Tensor) -> Tensor:
    """The gradient of sum(tanh(x w)^2) for w, by hand, and written by somebody in a hurry."""
    error = 2 * torch.tanh(x @ w)
    torch.tanh(x @ w).square().sum()  # left over from a look at the loss
    slope = 1 - torch.tanh(x @ w) * torch.tanh(x @ w)
    return x.T @ (error * slope)


joint = capture(gradient_twice, randn(5, 3), randn(3, 2))
clean = dce(cse(joint))
gone = {i.out for i in joint.body} - {i.out for i in clean.body}
plots.show(
    draw_trace(
        joint,
        ["x", "w"],
        gone,
        f"{len(joint.body)} instructions; dce(cse(trace)) removes the red ones, {len(clean.body)} remain",
    ),
    alt="Graph of a gradient computation with repeated products and tanhs; the repeated and dead ones are marked red.",
)

# %% [markdown]
# Now trace a training step whose forward pass runs under *your* `checkpoint`, and apply your passes. The chain has 16
# sines in 4 segments, so the schedule promises a peak of 7 units instead of 16. The table executes each trace and
# measures. (It does not count the input, which you hold, but counts the temporaries of the layer at work.)


# %% explore
n, unit = 16, 256 * 2**10


def gradient_of_chain(sizes: Sequence[int]) -> Callable[[Tensor], Tensor]:
    """A function from x to the gradient of the sum of 16 sines of x, with all segments but the last checkpointed."""

    def gradient(x: Tensor) -> Tensor:
        leaf = x.detach().requires_grad_()
        h = leaf
        for size in sizes[:-1]:
            h = checkpoint(lambda t, size=size: chain_of_sines(t, size), h)
        chain_of_sines(h, sizes[-1]).sum().backward()
        return leaf.grad

    return gradient


def chain_of_sines(t: Tensor, size: int) -> Tensor:
    for _ in range(size):
        t = torch.sin(t)
    return t


x = randn(unit // 4, dtype=torch.float32)
plain, lean = capture(gradient_of_chain([n]), x), capture(gradient_of_chain(segment_sizes(n, 4)), x)
variants = {"plain": plain, "checkpoint": lean, "checkpoint, dce": dce(lean), "checkpoint, dce, cse": dce(cse(lean))}
print(f"{'trace':22} {'sines':>6} {'instructions':>13} {'peak (units)':>13}   same gradient")
for name, trace in variants.items():
    with Allocations() as memory:
        (gradient,) = run(trace, x)
    sines = sum(i.op is torch.ops.aten.sin.default for i in trace.body)
    same = torch.equal(gradient, run(plain, x)[0])
    print(f"{name:22} {sines:6} {len(trace.body):13} {memory.peak / unit:13.1f}   {same}")

# %% [markdown]
# The three lines below the first are worth a pause.
#
# - **Checkpoint** runs the sines of three segments twice and has the lower peak. That is the bargain of section 4.
# - **Dead-code elimination** finds one sine in each checkpointed segment that nobody needs: the segment's last
#   output, which the second run computes only because it calls the whole of `f`. `torch.utils.checkpoint` stops the
#   second run early for this reason.
# - **Common-subexpression elimination** sees the same operation on the same input twice, keeps the first result until
#   the second use, and the checkpoint is gone: sines and peak are those of the plain step. Each pass is correct, and
#   still the memory is back.
#
# That is no toy problem. `jax.checkpoint` has a parameter `prevent_cse=True`, which puts a barrier between the first
# run and the second so that the compiler does not see that they are equal. `torch.compile` does its
# common-subexpression elimination on the joint graph first and decides *afterwards* what to recompute; what the user
# checkpointed is tagged, so that this decision respects it.
#
# ## In production
#
# **PyTorch** recommends another checkpoint than yours. `checkpoint(..., use_reentrant=False)` in `torch.utils` keeps
# the outer graph, and replaces each saved tensor through the hooks of section 2 by a placeholder; the first
# placeholder that backward asks for starts the second run, which fills them all and stops when the last one is
# there. So `torch.autograd.grad` works on parameters, the arguments may be nested structures, and no input needs to
# require a gradient. Yours is the older, *reentrant* kind: a backward pass inside a backward pass. PyTorch has both,
# and either restores the random state of the GPU too; where nothing is random, `preserve_rng_state=False` saves the
# price of it.
#
# **Selective** checkpointing keeps what is expensive to compute and small, and recomputes what is cheap and large.
# Megatron-LM recomputes only the core of attention (scores, softmax, dropout, weighted values): of $34 + 5as/h$ bytes
# per value, 34 remain, for a few percent more work. FlashAttention has since moved that recomputation into the
# kernel. In PyTorch, a policy says for each operator whether its output is saved
# (`create_selective_checkpoint_contexts`); JAX has the same idea in the `policy` of `jax.checkpoint`.
#
# **torch.compile** makes the choice itself. It traces forward and backward as one graph, and cuts this graph in two;
# every value on an edge that is cut is saved. Which cut is cheapest is a minimum-cut problem: edges weigh what the
# tensor weighs in bytes, and operations that are cheap to fuse with their readers may be run again in backward. For
# `silu(gate) * up` after two matrix products, such a cut saves `gate` and `up`: it finds your `SwiGLU` by itself.
#
# **FSDP** splits the parameters over many devices and gathers a layer's weights just before it runs. But the layer's
# nodes save those weights for backward, and the memory would never be freed. So FSDP empties the *storage* while the
# saved tensor objects live on, and gathers the weights again before the layer's backward. With checkpointing the
# second run needs them too, so both wrap the same unit: one layer.
#
# **Very long chains**, such as recurrent networks and simulations, go further than $\sqrt n$ and run a layer more
# than twice: checkpoints inside checkpoints. With a number of runs that grows like $\log n$, memory is $O(\log n)$,
# as Chen et al. note too; Griewank and Walther's *revolve* is the schedule that nobody can beat.

# %% [markdown] question="unequal_segments" points=5
# ## Question: can unequal segments do better?
#
# `best_segments` cuts the chain evenly. Keep to the model of section 5: one level of checkpoints, the last segment
# runs plainly, every layer runs at most twice.
#
# 1. Take a chain of 36 layers. Find sizes that reverse it with a smaller peak than the best even cut (try them with
#    `schedule_cost`), and say why uneven sizes help.
# 2. Given a peak of $m$ units, what is the longest chain that such a schedule can reverse? Prove that no sizes do
#    better. What does the peak become, as a function of $n$, and how does it compare with $2\sqrt n$?
# 3. Name one reason why a real system would still cut evenly, and one case in which it should not.
#
# ### BEGIN MARK SCHEME
# **1 (1.5 points).** The best even cut of 36 layers has peak 11 (k = 5 or 6). Sizes 8, 7, 6, 5, 4, 3, 2, 1 (sum 36)
# have peak 8. *One point* for sizes with a peak below 11 and a sum of 36, *half a point* for the reason: when segment
# j (from 0) is run again, only the j inputs before it are still held, because the segments after it have freed
# theirs. So early segments can afford to be longer.
#
# **2 (2.5 points).** The peak is max over j of (j + size_j) with j from 0. A peak of m means size_j <= m - j for
# every j, so there are at most m segments, and n = sum of sizes <= m + (m - 1) + ... + 1 = m (m + 1) / 2; sizes m, m
# - 1, ..., 1 reach it. *One point* for the bound m (m + 1) / 2, *one* for the proof (each size is bounded by m - j,
#   and j < m), *half* for the peak: the smallest m with m (m + 1) / 2 >= n, about sqrt(2 n), so smaller than 2
#   sqrt(n) by a factor of about sqrt(2) = 1.41 (for n = 36: 8 against 11).
#
# **3 (1 point).** *Half a point* each. Even: all segments are the same compiled unit or FSDP unit; one layer is the
# natural unit and the gain is small next to other memory (gradients, optimizer, the working memory of one layer);
# pipeline stages need balanced time; layers are not equally large, so units are a fiction anyway. Uneven: layers with
# different activation sizes (U-Net, encoder-decoder, mixture of experts), the loss layer with its large logits at the
# end, one device that is the bottleneck of memory while the others have room, very long chains such as recurrent nets
# or ODE solvers. Any sound reason counts.
#
# (Griewank and Walther: with c checkpoints and at most r runs of a step, the longest chain has binomial(c + r, c)
# steps. With r = 2 and c = m - 1, this is m (m + 1) / 2.)
#
# Full marks need a proof, not only an example. An answer that lets layers run more than twice (recursion, O(log n))
# answers another question: at most 1 point in part 2.
# ### END MARK SCHEME

# %% [markdown]
# ## References
#
# - PyTorch blog, [How computational graphs are constructed in
#   PyTorch](https://pytorch.org/blog/computational-graphs-constructed-in-pytorch/): the C++ behind section 1
# - PyTorch notes, [Autograd mechanics](https://docs.pytorch.org/docs/stable/notes/autograd.html): saved tensors,
#   hooks, what `create_graph` does
# - Korthikanti et al. 2022, [Reducing activation recomputation in large transformer
#   models](https://arxiv.org/abs/2205.05198): the formula of section 2
# - Chen, Xu, Zhang, Guestrin 2016, [Training deep nets with sublinear memory cost](https://arxiv.org/abs/1604.06174):
#   section 5
# - Griewank and Walther 2000, [Algorithm 799: revolve](https://doi.org/10.1145/347837.347846): optimal checkpoints
#   for chains
# - Pearlmutter 1994, [Fast exact multiplication by the Hessian](https://doi.org/10.1162/neco.1994.6.1.147): section 6
# - Jamie Townsend 2017, [A new trick for calculating Jacobian vector
#   products](https://j-towns.github.io/2017/06/12/A-new-trick.html): double backward
# - JAX documentation, [Gradient checkpointing](https://docs.jax.dev/en/latest/gradient-checkpointing.html): policies,
#   and `prevent_cse`
# - Reed et al. 2022, [torch.fx: practical program capture and transformation for deep learning in
#   Python](https://arxiv.org/abs/2112.08429): section 7
# - Horace He, [Min-cut optimal recomputation with
#   AOTAutograd](https://dev-discuss.pytorch.org/t/min-cut-optimal-recomputation-i-e-activation-checkpointing-with-aotautograd/467)
# - Zhao et al. 2023, [PyTorch FSDP](https://arxiv.org/abs/2304.11277): how a shard's storage is freed and gathered
#   again
