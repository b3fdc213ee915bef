# %% misconception="visits paths, not nodes" exercise="walk"
# On a tree every node has one reader, so going down each edge visits each node once. Here x is read twice.
def walk(output):
    if output.grad_fn is None:
        raise ValueError("no graph")
    nodes, edges, stack = [], [], [output.grad_fn]
    while stack:
        node = stack.pop()
        nodes.append(node)
        for child, _ in node.next_functions:
            if child is not None:
                edges.append((node, child))
                stack.append(child)
    return Graph(nodes, edges, [n.variable for n in nodes if hasattr(n, "variable")])


# %% misconception="a node waits twice" exercise="walk"
# The check is there, but against nodes that were looked at, not against those that wait already.
def walk(output):
    if output.grad_fn is None:
        raise ValueError("no graph")
    nodes, edges, stack = [], [], [output.grad_fn]
    while stack:
        node = stack.pop()
        nodes.append(node)
        for child, _ in node.next_functions:
            if child is None:
                continue
            edges.append((node, child))
            if child not in nodes:
                stack.append(child)
    leaves = {id(n.variable): n.variable for n in nodes if hasattr(n, "variable")}
    return Graph(nodes, edges, list(leaves.values()))


# %% misconception="an edge only to a new node" exercise="walk"
# One `if` for both: nodes that were seen are skipped, and the edge to them with them.
def walk(output):
    if output.grad_fn is None:
        raise ValueError("no graph")
    nodes, edges, stack = [output.grad_fn], [], [output.grad_fn]
    while stack:
        node = stack.pop()
        for child, _ in node.next_functions:
            if child is not None and child not in nodes:
                edges.append((node, child))
                nodes.append(child)
                stack.append(child)
    return Graph(nodes, edges, [n.variable for n in nodes if hasattr(n, "variable")])


# %% misconception="tells nodes apart by name" exercise="walk"
# Node names are handy keys for a dictionary, until a model has two ReLUs.
def walk(output):
    if output.grad_fn is None:
        raise ValueError("no graph")
    nodes, edges, stack = {output.grad_fn.name(): output.grad_fn}, [], [output.grad_fn]
    while stack:
        node = stack.pop()
        for child, _ in node.next_functions:
            if child is None:
                continue
            name = child.name() + (str(id(child.variable)) if hasattr(child, "variable") else "")
            edges.append((node, nodes.get(name, child)))
            if name not in nodes:
                nodes[name] = child
                stack.append(child)
    return Graph(list(nodes.values()), edges, [n.variable for n in nodes.values() if hasattr(n, "variable")])


# %% misconception="recursion" exercise="walk"
# The textbook depth-first search; a deep graph is deeper than Python's stack.
def walk(output):
    if output.grad_fn is None:
        raise ValueError("no graph")
    nodes, edges = {}, []

    def visit(node):
        if node in nodes:
            return
        nodes[node] = None
        for child, _ in node.next_functions:
            if child is not None:
                edges.append((node, child))
                visit(child)

    visit(output.grad_fn)
    return Graph(list(nodes), edges, [n.variable for n in nodes if hasattr(n, "variable")])


# %% misconception="goes on into None" exercise="walk"
# Every example so far had inputs with gradients, so every entry was a node.
def walk(output):
    if output.grad_fn is None:
        raise ValueError("no graph")
    nodes, edges, stack = {output.grad_fn: None}, [], [output.grad_fn]
    while stack:
        node = stack.pop()
        for child, _ in node.next_functions:
            edges.append((node, child))
            if child not in nodes:
                nodes[child] = None
                stack.append(child)
    return Graph(list(nodes), edges, [n.variable for n in nodes if hasattr(n, "variable")])


# %% misconception="edges in the direction of the forward pass" exercise="walk"
# Pictures of models draw arrows from input to output.
def walk(output):
    if output.grad_fn is None:
        raise ValueError("no graph")
    nodes, edges, stack = {output.grad_fn: None}, [], [output.grad_fn]
    while stack:
        node = stack.pop()
        for child, _ in node.next_functions:
            if child is not None:
                edges.append((child, node))
                if child not in nodes:
                    nodes[child] = None
                    stack.append(child)
    return Graph(list(nodes), edges, [n.variable for n in nodes if hasattr(n, "variable")])


# %% misconception="equal edges merged" exercise="walk"
# A set of edges looks tidy, but h + h reads h twice, and backward adds two gradients.
def walk(output):
    if output.grad_fn is None:
        raise ValueError("no graph")
    nodes, edges, stack = {output.grad_fn}, set(), [output.grad_fn]
    while stack:
        node = stack.pop()
        for child, _ in node.next_functions:
            if child is not None:
                edges.add((node, child))
                if child not in nodes:
                    nodes.add(child)
                    stack.append(child)
    return Graph(list(nodes), list(edges), [n.variable for n in nodes if hasattr(n, "variable")])


# %% misconception="leaves with equal values are one leaf" exercise="walk"
# Each leaf once: `in` does not work on a list of tensors, so values are compared. Biases all start as zeros.
def walk(output):
    if output.grad_fn is None:
        raise ValueError("output has no grad_fn")
    nodes, edges, leaves = [output.grad_fn], [], []
    seen = {output.grad_fn}
    for node in nodes:
        if hasattr(node, "variable") and not any(torch.equal(node.variable, leaf) for leaf in leaves):
            leaves.append(node.variable)
        for following, _ in node.next_functions:
            if following is None:
                continue
            edges.append((node, following))
            if following not in seen:
                seen.add(following)
                nodes.append(following)
    return Graph(nodes, edges, leaves)


# %% misconception="leaves on the same memory are one leaf" exercise="walk"
# Memory is what makes a tensor, in the ledger of section 2. Here two tensors on one storage are two leaves.
def walk(output):
    if output.grad_fn is None:
        raise ValueError("output has no grad_fn")
    nodes, edges, leaves = [], [], {}
    seen, todo = {output.grad_fn}, [output.grad_fn]
    while todo:
        node = todo.pop()
        nodes.append(node)
        if type(node).__name__ == "AccumulateGrad":
            leaves[node.variable.data_ptr()] = node.variable
        for following, _ in node.next_functions:
            if following is not None:
                edges.append((node, following))
                if following not in seen:
                    seen.add(following)
                    todo.append(following)
    return Graph(nodes, edges, list(leaves.values()))


# %% misconception="a node for every output that is read" exercise="walk"
# The pair (node, i) is what `next_functions` holds, and so what gets remembered. Only unbind or chunk shows it.
def walk(output):
    if output.grad_fn is None:
        raise ValueError("output has no grad_fn")
    start = (output.grad_fn, output.output_nr)
    nodes, edges, seen, todo = [], [], {start}, [start]
    while todo:
        node, _ = todo.pop()
        nodes.append(node)
        for entry in node.next_functions:
            if entry[0] is None:
                continue
            edges.append((node, entry[0]))
            if entry not in seen:
                seen.add(entry)
                todo.append(entry)
    return Graph(nodes, edges, [n.variable for n in nodes if hasattr(n, "variable")])


# %% misconception="seen as a default argument" exercise="walk"
# Python's mutable default: the second walk over a graph finds nearly everything seen already.
def walk(output, seen=set()):
    if output.grad_fn is None:
        raise ValueError("output has no grad_fn")
    nodes, edges, todo = [], [], [output.grad_fn]
    seen.add(output.grad_fn)
    while todo:
        node = todo.pop()
        nodes.append(node)
        for following, _ in node.next_functions:
            if following is not None:
                edges.append((node, following))
                if following not in seen:
                    seen.add(following)
                    todo.append(following)
    return Graph(nodes, edges, [n.variable for n in nodes if hasattr(n, "variable")])


# %% misconception="only a leaf that requires a gradient has no graph" exercise="walk"
# The example of the error is a leaf `x`; data that needs no gradient has no `grad_fn` either.
def walk(output):
    if output.requires_grad and output.is_leaf:
        raise ValueError("a leaf has no graph")
    nodes, edges = [output.grad_fn], []
    seen = set(nodes)
    for node in nodes:
        for following, _ in node.next_functions:
            if following is not None:
                edges.append((node, following))
                if following not in seen:
                    seen.add(following)
                    nodes.append(following)
    return Graph(nodes, edges, [n.variable for n in nodes if hasattr(n, "variable")])


# %% alternative="breadth first, then edges" exercise="walk"
# Nodes first, with a queue and a set of ids; the edges are read off afterwards.
def walk(output):
    from collections import deque

    if not output.grad_fn:
        raise ValueError(f"{output!r} is a leaf")
    found, queue = {id(output.grad_fn): output.grad_fn}, deque([output.grad_fn])
    while queue:
        for child, _ in queue.popleft().next_functions:
            if child is not None and id(child) not in found:
                found[id(child)] = child
                queue.append(child)
    nodes = list(found.values())
    edges = [(node, child) for node in nodes for child, _ in node.next_functions if child is not None]
    leaves = [node.variable for node in nodes if node.name().endswith("AccumulateGrad")]
    return Graph(nodes=nodes, edges=edges, leaves=leaves)


# %% alternative="rounds of new nodes" exercise="walk"
# Set by set: all children of the last round that were not there before.
def walk(output):
    if output.grad_fn is None:
        raise ValueError("no graph")

    def children(node):
        return [child for child, _ in node.next_functions if child is not None]

    seen, fresh = set(), {output.grad_fn}
    while fresh:
        seen |= fresh
        fresh = {child for node in fresh for child in children(node)} - seen
    edges = [(node, child) for node in seen for child in children(node)]
    return Graph(
        list(seen), edges, [getattr(n, "variable") for n in seen if not n.next_functions and hasattr(n, "variable")]
    )


# %% alternative="a stack of iterators" exercise="walk"
# The order of a recursion, with a list of iterators in place of Python's stack.
def walk(output):
    root = output.grad_fn
    if root is None:
        raise ValueError("no grad_fn")
    nodes, edges, leaves, known = [root], [], [], {root}
    stack = [(root, iter(root.next_functions))]
    while stack:
        node, entries = stack[-1]
        for following, _ in entries:
            if following is not None:
                edges.append((node, following))
                if following not in known:
                    known.add(following)
                    nodes.append(following)
                    if "AccumulateGrad" in following.name():
                        leaves.append(following.variable)
                    stack.append((following, iter(following.next_functions)))
                    break
        else:
            stack.pop()
    return Graph(nodes, edges, leaves)


# %% misconception="adds up tensors" exercise="saved_bytes"
# The obvious sum of nbytes: a tensor that two nodes save counts twice.
class SavedBytes:
    def __init__(self, held=()):
        self.by_section = {}
        self.held = {t.untyped_storage().data_ptr() for t in held}

    @contextmanager
    def section(self, name):
        self.by_section.setdefault(name, 0)

        def pack(tensor):
            if tensor.untyped_storage().data_ptr() not in self.held:
                self.by_section[name] += tensor.nbytes
            return tensor.detach()

        with saved_tensors_hooks(pack, lambda t: t):
            yield


# %% misconception="recognises held tensors by identity" exercise="saved_bytes"
# A linear layer saves the transposed weight: another Python object on the same memory.
class SavedBytes:
    def __init__(self, held=()):
        self.by_section = {}
        self.held = list(held)
        self.seen = set()

    @contextmanager
    def section(self, name):
        self.by_section.setdefault(name, 0)

        def pack(tensor):
            address = tensor.untyped_storage().data_ptr()
            if address not in self.seen and not any(tensor is h for h in self.held):
                self.seen.add(address)
                self.by_section[name] += tensor.untyped_storage().nbytes()
            return tensor.detach()

        with saved_tensors_hooks(pack, lambda t: t):
            yield


# %% misconception="size of the view" exercise="saved_bytes"
# Storages are told apart, but the size is that of the view which was saved.
class SavedBytes:
    def __init__(self, held=()):
        self.by_section = {}
        self.seen = {t.untyped_storage().data_ptr() for t in held}

    @contextmanager
    def section(self, name):
        self.by_section.setdefault(name, 0)

        def pack(tensor):
            address = tensor.untyped_storage().data_ptr()
            if address not in self.seen:
                self.seen.add(address)
                self.by_section[name] += tensor.numel() * tensor.element_size()
            return tensor.detach()

        with saved_tensors_hooks(pack, lambda t: t):
            yield


# %% misconception="address of the view" exercise="saved_bytes"
# tensor.data_ptr() is where the view begins: query, key and value in one storage begin at three places.
class SavedBytes:
    def __init__(self, held=()):
        self.by_section = {}
        self.seen = {t.data_ptr() for t in held}

    @contextmanager
    def section(self, name):
        self.by_section.setdefault(name, 0)

        def pack(tensor):
            if tensor.data_ptr() not in self.seen:
                self.seen.add(tensor.data_ptr())
                self.by_section[name] += tensor.untyped_storage().nbytes()
            return tensor.detach()

        with saved_tensors_hooks(pack, lambda t: t):
            yield


# %% misconception="counts, but keeps nothing" exercise="saved_bytes"
# A hook that only looks returns None, and that is what gets saved.
class SavedBytes:
    def __init__(self, held=()):
        self.by_section = {}
        self.seen = {t.untyped_storage().data_ptr() for t in held}

    @contextmanager
    def section(self, name):
        self.by_section.setdefault(name, 0)

        def pack(tensor):
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in self.seen:
                self.seen.add(storage.data_ptr())
                self.by_section[name] += storage.nbytes()

        with saved_tensors_hooks(pack, lambda t: t):
            yield


# %% misconception="a section starts at zero" exercise="saved_bytes"
# The second section of a name forgets the first; in a model every layer has an "attention".
class SavedBytes:
    def __init__(self, held=()):
        self.by_section = {}
        self.seen = {t.untyped_storage().data_ptr() for t in held}

    @contextmanager
    def section(self, name):
        self.by_section[name] = 0

        def pack(tensor):
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in self.seen:
                self.seen.add(storage.data_ptr())
                self.by_section[name] += storage.nbytes()
            return tensor.detach()

        with saved_tensors_hooks(pack, lambda t: t):
            yield


# %% misconception="seen storages forgotten after each section" exercise="saved_bytes"
# The set of seen storages belongs to the block instead of the ledger, so h counts again in the next section.
class SavedBytes:
    def __init__(self, held=()):
        self.by_section = {}
        self.held = {t.untyped_storage().data_ptr() for t in held}

    @contextmanager
    def section(self, name):
        self.by_section.setdefault(name, 0)
        seen = set(self.held)

        def pack(tensor):
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in seen:
                seen.add(storage.data_ptr())
                self.by_section[name] += storage.nbytes()
            return tensor.detach()

        with saved_tensors_hooks(pack, lambda t: t):
            yield


# %% misconception="goes through held again and again" exercise="saved_bytes"
# `model.parameters()` is a generator: after the first look it is empty.
class SavedBytes:
    def __init__(self, held=()):
        self.by_section = {}
        self.held = held
        self.seen = set()

    @contextmanager
    def section(self, name):
        self.by_section.setdefault(name, 0)

        def pack(tensor):
            storage = tensor.untyped_storage()
            if storage.data_ptr() in {t.untyped_storage().data_ptr() for t in self.held}:
                return tensor.detach()
            if storage.data_ptr() not in self.seen:
                self.seen.add(storage.data_ptr())
                self.by_section[name] += storage.nbytes()
            return tensor.detach()

        with saved_tensors_hooks(pack, lambda t: t):
            yield


# %% misconception="state on the class" exercise="saved_bytes"
# Class attributes look like declarations, but all ledgers share them.
class SavedBytes:
    by_section, seen = {}, set()

    def __init__(self, held=()):
        self.seen.update(t.untyped_storage().data_ptr() for t in held)

    @contextmanager
    def section(self, name):
        self.by_section.setdefault(name, 0)

        def pack(tensor):
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in self.seen:
                self.seen.add(storage.data_ptr())
                self.by_section[name] += storage.nbytes()
            return tensor.detach()

        with saved_tensors_hooks(pack, lambda t: t):
            yield


# %% misconception="held by the address of the tensor" exercise="saved_bytes"
# `data_ptr()` of the tensor: right for a whole weight and its transpose, wrong for a slice of it.
class SavedBytes:
    def __init__(self, held=()):
        self.held = {t.data_ptr() for t in held}
        self.by_section = {}
        self.seen = set()

    @contextmanager
    def section(self, name):
        self.by_section.setdefault(name, 0)

        def pack(tensor):
            storage = tensor.untyped_storage()
            if tensor.data_ptr() not in self.held and storage.data_ptr() not in self.seen:
                self.seen.add(storage.data_ptr())
                self.by_section[name] += storage.nbytes()
            return tensor.detach()

        with saved_tensors_hooks(pack, lambda t: t):
            yield


# %% misconception="one tensor kept for each storage" exercise="saved_bytes"
# If storages count once, why pack more than one tensor for each? Views of one storage differ.
class SavedBytes:
    def __init__(self, held=()):
        self.held = {t.untyped_storage().data_ptr() for t in held}
        self.by_section = {}
        self.tensors = {}

    @contextmanager
    def section(self, name):
        self.by_section.setdefault(name, 0)

        def pack(tensor):
            storage = tensor.untyped_storage()
            address = storage.data_ptr()
            if address in self.held:
                return tensor.detach()
            if address not in self.tensors:
                self.tensors[address] = tensor.detach()
                self.by_section[name] += storage.nbytes()
            return address

        def unpack(stored):
            return stored if isinstance(stored, Tensor) else self.tensors[stored]

        with saved_tensors_hooks(pack, unpack):
            yield


# %% misconception="parameters never count" exercise="saved_bytes"
# Finds the parameter behind a view by `_base`, and takes every parameter for held.
class SavedBytes:
    def __init__(self, held=()):
        self.by_section = {}
        self.known = {t.untyped_storage().data_ptr() for t in held}

    @contextmanager
    def section(self, name):
        self.by_section.setdefault(name, 0)

        def pack(tensor):
            base = tensor if tensor._base is None else tensor._base
            storage = tensor.untyped_storage()
            if not isinstance(base, nn.Parameter) and storage.data_ptr() not in self.known:
                self.known.add(storage.data_ptr())
                self.by_section[name] += storage.nbytes()
            return tensor.detach()

        with saved_tensors_hooks(pack, lambda t: t):
            yield


# %% misconception="the size of the base tensor" exercise="saved_bytes"
# `_base` sounds like the whole memory, but a detached slice has no base.
class SavedBytes:
    def __init__(self, held=()):
        self.by_section = {}
        self.known = {t.untyped_storage().data_ptr() for t in held}

    @contextmanager
    def section(self, name):
        self.by_section.setdefault(name, 0)

        def pack(tensor):
            base = tensor if tensor._base is None else tensor._base
            address = tensor.untyped_storage().data_ptr()
            if address not in self.known:
                self.known.add(address)
                self.by_section[name] += base.nbytes
            return tensor.detach()

        with saved_tensors_hooks(pack, lambda t: t):
            yield


# %% misconception="the hooks are never taken off" exercise="saved_bytes"
# `__enter__` by hand, and nobody calls `__exit__`: what comes after the block still counts.
class SavedBytes:
    def __init__(self, held=()):
        self.by_section = {}
        self.known = {t.untyped_storage().data_ptr() for t in held}

    @contextmanager
    def section(self, name):
        self.by_section.setdefault(name, 0)

        def pack(tensor):
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in self.known:
                self.known.add(storage.data_ptr())
                self.by_section[name] += storage.nbytes()
            return tensor.detach()

        hooks = saved_tensors_hooks(pack, lambda t: t)
        hooks.__enter__()
        yield


# %% misconception="pack returns the tensor itself" exercise="saved_bytes"
# The shortest pair of hooks. An operation that saves its output then holds itself, and is never freed.
class SavedBytes:
    def __init__(self, held=()):
        self.by_section = {}
        self.seen = {t.untyped_storage().data_ptr() for t in held}

    @contextmanager
    def section(self, name):
        self.by_section.setdefault(name, 0)

        def pack(tensor):
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in self.seen:
                self.seen.add(storage.data_ptr())
                self.by_section[name] += storage.nbytes()
            return tensor

        with saved_tensors_hooks(pack, lambda t: t):
            yield


# %% alternative="collects, then counts" exercise="saved_bytes"
# pack notes the tensors; the sizes are looked up when the block ends.
class SavedBytes:
    def __init__(self, held=()):
        self.by_section = {}
        self.counted = {self.key(t) for t in held}

    @staticmethod
    def key(tensor):
        return tensor.untyped_storage()._cdata

    @contextmanager
    def section(self, name):
        saved = []

        def pack(tensor):
            saved.append(tensor.detach())
            return tensor.detach()

        with saved_tensors_hooks(pack, lambda t: t):
            yield
        sizes = {self.key(t): t.untyped_storage().nbytes() for t in saved if self.key(t) not in self.counted}
        self.counted |= sizes.keys()
        self.by_section[name] = self.by_section.get(name, 0) + sum(sizes.values())


# %% alternative="a property over a dictionary of storages" exercise="saved_bytes"
# Every storage has one entry: its section and its size; by_section adds them up when it is read.
class SavedBytes:
    def __init__(self, held=()):
        self._names = []
        self._storages = {t.untyped_storage().data_ptr(): (None, 0) for t in held}

    @property
    def by_section(self):
        return {n: sum(size for name, size in self._storages.values() if name == n) for n in self._names}

    @contextmanager
    def section(self, name):
        if name not in self._names:
            self._names.append(name)

        def pack(tensor):
            storage = tensor.untyped_storage()
            self._storages.setdefault(storage.data_ptr(), (name, storage.nbytes()))
            return (tensor.detach(),)

        with saved_tensors_hooks(pack, lambda packed: packed[0]):
            yield


# %% alternative="a context manager of its own" exercise="saved_bytes"
# Without contextlib: __enter__ and __exit__ open and close the hooks.
class SavedBytes:
    class _Section:
        def __init__(self, ledger, name):
            self.ledger, self.name = ledger, name
            self.hooks = saved_tensors_hooks(self.pack, lambda t: t)

        def pack(self, tensor):
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in self.ledger.seen:
                self.ledger.seen.append(storage.data_ptr())
                self.ledger.by_section[self.name] += storage.nbytes()
            return tensor.detach()

        def __enter__(self):
            self.ledger.by_section.setdefault(self.name, 0)
            self.hooks.__enter__()

        def __exit__(self, *error):
            self.hooks.__exit__(*error)

    def __init__(self, held=()):
        self.by_section = {}
        self.seen = [tensor.untyped_storage().data_ptr() for tensor in held]

    def section(self, name):
        return self._Section(self, name)


# %% alternative="a journal that is summed when it is read" exercise="saved_bytes"
# by_section is a property over a list of everything that was saved.
class SavedBytes:
    def __init__(self, held=()):
        self._held = frozenset(t.untyped_storage().data_ptr() for t in held)
        self._journal = []  # (name, address, bytes)

    @property
    def by_section(self):
        total, counted = {}, set(self._held)
        for name, address, size in self._journal:
            total.setdefault(name, 0)
            if address not in counted:
                counted.add(address)
                total[name] += size
        return total

    @contextmanager
    def section(self, name):
        self._journal.append((name, None, 0))

        def pack(tensor):
            storage = tensor.untyped_storage()
            self._journal.append((name, storage.data_ptr(), storage.nbytes()))
            return tensor.detach()

        with saved_tensors_hooks(pack, lambda stored: stored):
            yield


# %% misconception="keeps the sigmoid too" exercise="swiglu"
# It is there already, so why compute it again? Because it is one more tensor per layer.
class SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, gate, up):
        sigmoid = torch.sigmoid(gate)
        ctx.save_for_backward(gate, up if ctx.needs_input_grad[0] else None, sigmoid)
        return gate * sigmoid * up

    @staticmethod
    def backward(ctx, grad):
        gate, up, sigmoid = ctx.saved_tensors
        grad_gate = grad * up * sigmoid * (1 + gate * (1 - sigmoid)) if ctx.needs_input_grad[0] else None
        grad_up = grad * gate * sigmoid if ctx.needs_input_grad[1] else None
        return grad_gate, grad_up


# %% misconception="keeps silu(gate) in place of gate" exercise="swiglu"
# Two tensors as well, but a new one that has to stay alive; and silu has no inverse.
class SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, gate, up):
        silu = F.silu(gate)
        ctx.save_for_backward(gate, up, silu)
        return silu * up

    @staticmethod
    def backward(ctx, grad):
        gate, up, silu = ctx.saved_tensors
        sigmoid = torch.sigmoid(gate)
        grad_gate = grad * up * (sigmoid + silu * (1 - sigmoid)) if ctx.needs_input_grad[0] else None
        return grad_gate, grad * silu if ctx.needs_input_grad[1] else None


# %% misconception="tensors as attributes of ctx" exercise="swiglu"
# It works, but hooks don't see the tensors, in-place changes go unnoticed, and backward does not free them.
class SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, gate, up):
        ctx.gate, ctx.up = gate, up
        return gate * torch.sigmoid(gate) * up

    @staticmethod
    def backward(ctx, grad):
        sigmoid = torch.sigmoid(ctx.gate)
        grad_gate = grad * ctx.up * sigmoid * (1 + ctx.gate * (1 - sigmoid)) if ctx.needs_input_grad[0] else None
        return grad_gate, grad * ctx.gate * sigmoid if ctx.needs_input_grad[1] else None


# %% misconception="derivative of the sigmoid alone" exercise="swiglu"
# d sigmoid = sigmoid (1 - sigmoid) is what everybody remembers; the factor g in front is forgotten.
class SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, gate, up):
        ctx.save_for_backward(gate, up if ctx.needs_input_grad[0] else None)
        return gate * torch.sigmoid(gate) * up

    @staticmethod
    def backward(ctx, grad):
        gate, up = ctx.saved_tensors
        sigmoid = torch.sigmoid(gate)
        grad_gate = grad * up * sigmoid * (1 - sigmoid) if ctx.needs_input_grad[0] else None
        return grad_gate, grad * gate * sigmoid if ctx.needs_input_grad[1] else None


# %% misconception="no product rule" exercise="swiglu"
# Treats the sigmoid as a constant factor.
class SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, gate, up):
        ctx.save_for_backward(gate, up if ctx.needs_input_grad[0] else None)
        return gate * torch.sigmoid(gate) * up

    @staticmethod
    def backward(ctx, grad):
        gate, up = ctx.saved_tensors
        sigmoid = torch.sigmoid(gate)
        grad_gate = grad * up * sigmoid if ctx.needs_input_grad[0] else None
        return grad_gate, grad * gate * sigmoid if ctx.needs_input_grad[1] else None


# %% misconception="forgets the gradient that arrives" exercise="swiglu"
# Right for y.sum().backward(), where it is 1 everywhere.
class SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, gate, up):
        ctx.save_for_backward(gate, up if ctx.needs_input_grad[0] else None)
        return gate * torch.sigmoid(gate) * up

    @staticmethod
    def backward(ctx, grad):
        gate, up = ctx.saved_tensors
        sigmoid = torch.sigmoid(gate)
        grad_gate = up * sigmoid * (1 + gate * (1 - sigmoid)) if ctx.needs_input_grad[0] else None
        return grad_gate, gate * sigmoid if ctx.needs_input_grad[1] else None


# %% misconception="returns one gradient" exercise="swiglu"
# backward has to return one value for each argument of forward.
class SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, gate, up):
        ctx.save_for_backward(gate, up if ctx.needs_input_grad[0] else None)
        return gate * torch.sigmoid(gate) * up

    @staticmethod
    def backward(ctx, grad):
        gate, up = ctx.saved_tensors
        sigmoid = torch.sigmoid(gate)
        return grad * up * sigmoid * (1 + gate * (1 - sigmoid))


# %% misconception="always computes both gradients" exercise="swiglu"
# The result is thrown away by autograd, so nothing looks wrong; the work was done all the same.
class SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, gate, up):
        ctx.save_for_backward(gate, up if ctx.needs_input_grad[0] else None)
        return gate * torch.sigmoid(gate) * up

    @staticmethod
    def backward(ctx, grad):
        gate, up = ctx.saved_tensors
        sigmoid = torch.sigmoid(gate)
        grad_gate = None if up is None else grad * up * sigmoid * (1 + gate * (1 - sigmoid))
        return grad_gate, grad * gate * sigmoid


# %% misconception="keeps up when nobody needs it" exercise="swiglu"
# needs_input_grad is looked at in backward, but not where memory is decided on.
class SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, gate, up):
        ctx.save_for_backward(gate, up)
        return gate * torch.sigmoid(gate) * up

    @staticmethod
    def backward(ctx, grad):
        gate, up = ctx.saved_tensors
        sigmoid = torch.sigmoid(gate)
        grad_gate = grad * up * sigmoid * (1 + gate * (1 - sigmoid)) if ctx.needs_input_grad[0] else None
        return grad_gate, grad * gate * sigmoid if ctx.needs_input_grad[1] else None


# %% misconception="state on the class" exercise="swiglu"
# One class, one place: the second call overwrites what the first one needs.
class SwiGLU(torch.autograd.Function):
    saved = None

    @staticmethod
    def forward(ctx, gate, up):
        SwiGLU.saved = gate, up
        ctx.save_for_backward(gate, up if ctx.needs_input_grad[0] else None)
        return gate * torch.sigmoid(gate) * up

    @staticmethod
    def backward(ctx, grad):
        gate, up = SwiGLU.saved
        sigmoid = torch.sigmoid(gate)
        grad_gate = grad * up * sigmoid * (1 + gate * (1 - sigmoid)) if ctx.needs_input_grad[0] else None
        return grad_gate, grad * gate * sigmoid if ctx.needs_input_grad[1] else None


# %% misconception="saves contiguous copies" exercise="swiglu"
# What kernels want. The halves of one product are not contiguous, so copies are made and stay alive.
class SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, gate, up):
        gate, up = gate.contiguous(), up.contiguous()
        ctx.save_for_backward(gate, up if ctx.needs_input_grad[0] else None)
        return gate * torch.sigmoid(gate) * up

    @staticmethod
    def backward(ctx, grad):
        gate, up = ctx.saved_tensors
        sigmoid = torch.sigmoid(gate)
        grad_gate = grad_up = None
        if ctx.needs_input_grad[0]:
            grad_gate = grad * up * sigmoid * (1 + gate * (1 - sigmoid))
        if ctx.needs_input_grad[1]:
            grad_up = grad * gate * sigmoid
        return grad_gate, grad_up


# %% misconception="sigmoid with exp on top and below" exercise="swiglu"
# The same on paper; e^g overflows in float32 from g = 89 on, and inf / inf is NaN.
class SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, gate, up):
        ctx.save_for_backward(gate, up if ctx.needs_input_grad[0] else None)
        power = torch.exp(gate)
        return gate * (power / (1 + power)) * up

    @staticmethod
    def backward(ctx, grad):
        gate, up = ctx.saved_tensors
        power = torch.exp(gate)
        sigmoid = power / (1 + power)
        grad_gate = grad * up * sigmoid * (1 + gate * (1 - sigmoid)) if ctx.needs_input_grad[0] else None
        return grad_gate, grad * gate * sigmoid if ctx.needs_input_grad[1] else None


# %% misconception="sigmoid in backward as silu divided by gate" exercise="swiglu"
# F.silu is there, and its quotient with the gate is the sigmoid, unless the gate is 0.
class SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, gate, up):
        ctx.save_for_backward(gate, up if ctx.needs_input_grad[0] else None)
        return F.silu(gate) * up

    @staticmethod
    def backward(ctx, grad):
        gate, up = ctx.saved_tensors
        silu = F.silu(gate)
        grad_gate = None
        if ctx.needs_input_grad[0]:
            sigmoid = silu / gate
            grad_gate = grad * up * (sigmoid + silu * (1 - sigmoid))
        return grad_gate, grad * silu if ctx.needs_input_grad[1] else None


# %% misconception="float32 for half precision, and not back" exercise="swiglu"
# 16-bit numbers are computed in float32, as good kernels do, and the cast back is forgotten.
class SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, gate, up):
        ctx.save_for_backward(gate, up if ctx.needs_input_grad[0] else None)
        wide = torch.promote_types(gate.dtype, torch.float32)
        gate, up = gate.to(wide), up.to(wide)
        return gate * torch.sigmoid(gate) * up

    @staticmethod
    def backward(ctx, grad):
        gate, up = ctx.saved_tensors
        wide = torch.promote_types(gate.dtype, torch.float32)
        g = gate.to(wide)
        sigmoid = torch.sigmoid(g)
        grad_gate = grad_up = None
        if ctx.needs_input_grad[0]:
            grad_gate = (grad * up.to(wide) * sigmoid * (1 + g * (1 - sigmoid))).to(gate.dtype)
        if ctx.needs_input_grad[1]:
            grad_up = (grad * g * sigmoid).to(gate.dtype)
        return grad_gate, grad_up


# %% misconception="what is needed is noted on the class" exercise="swiglu"
# A place that forward and backward both see; the next call overwrites it.
class SwiGLU(torch.autograd.Function):
    needs = (True, True)

    @staticmethod
    def forward(ctx, gate, up):
        SwiGLU.needs = ctx.needs_input_grad
        ctx.save_for_backward(gate, up if SwiGLU.needs[0] else None)
        return gate * torch.sigmoid(gate) * up

    @staticmethod
    def backward(ctx, grad):
        gate, up = ctx.saved_tensors
        sigmoid = torch.sigmoid(gate)
        grad_gate = grad * up * sigmoid * (1 + gate * (1 - sigmoid)) if SwiGLU.needs[0] else None
        return grad_gate, grad * gate * sigmoid if SwiGLU.needs[1] else None


# %% misconception="writes the gradient of up into grad" exercise="swiglu"
# Saves an allocation with `mul_` on a tensor that other nodes read.
class SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, gate, up):
        ctx.save_for_backward(gate, up if ctx.needs_input_grad[0] else None)
        return F.silu(gate) * up

    @staticmethod
    def backward(ctx, grad):
        gate, up = ctx.saved_tensors
        need_gate, need_up = ctx.needs_input_grad
        sigmoid = torch.sigmoid(gate)
        if need_gate and need_up:
            return grad * up * sigmoid * (1 + gate * (1 - sigmoid)), grad * gate * sigmoid
        if need_up:
            return None, grad.mul_(sigmoid).mul_(gate)
        return grad.mul_(up).mul_(sigmoid * (1 + gate * (1 - sigmoid))), None


# %% alternative="autograd inside backward" exercise="swiglu"
# Runs the forward expression again, recording, and lets autograd differentiate what is needed.
class SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, gate, up):
        ctx.save_for_backward(*([gate, up] if ctx.needs_input_grad[0] else [gate]))
        return F.silu(gate) * up

    @staticmethod
    def backward(ctx, grad):
        gate = ctx.saved_tensors[0].detach()
        grad_up = grad * F.silu(gate) if ctx.needs_input_grad[1] else None
        if not ctx.needs_input_grad[0]:
            return None, grad_up
        with torch.enable_grad():
            gate.requires_grad_()
            silu = F.silu(gate)
        return torch.autograd.grad(silu, gate, grad * ctx.saved_tensors[1])[0], grad_up


# %% alternative="setup_context" exercise="swiglu"
# The newer style: forward without ctx, and a method of its own for what is kept.
class SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(gate, up):
        return gate / (1 + torch.exp(-gate)) * up

    @staticmethod
    def setup_context(ctx, inputs, output):
        gate, up = inputs
        if not ctx.needs_input_grad[0]:
            up = None
        ctx.save_for_backward(gate, up)

    @staticmethod
    def backward(ctx, grad):
        gate, up = ctx.saved_tensors
        grads = [None, None]
        if ctx.needs_input_grad[1]:
            grads[1] = grad * torch.nn.functional.silu(gate)
        if ctx.needs_input_grad[0]:
            grads[0] = torch.ops.aten.silu_backward(grad * up, gate)
        return tuple(grads)


# %% alternative="the library kernel silu_backward" exercise="swiglu"
# PyTorch has the derivative of silu as an operator.
class SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, gate, up):
        needs_gate, _ = ctx.needs_input_grad
        ctx.save_for_backward(gate, up if needs_gate else None)
        return F.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx, grad):
        gate, up = ctx.saved_tensors
        result = [None, None]
        if ctx.needs_input_grad[0]:
            result[0] = torch.ops.aten.silu_backward(grad * up, gate)
        if ctx.needs_input_grad[1]:
            result[1] = F.silu(gate).mul_(grad)
        return tuple(result)


# %% alternative="sigmoid as a tanh, in place" exercise="swiglu"
# sigmoid(g) = (1 + tanh(g / 2)) / 2; writes only into tensors that it made.
class SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, gate, up):
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(gate, up)
        else:
            ctx.save_for_backward(gate)
        return torch.tanh(gate / 2).add_(1).mul_(0.5).mul_(gate).mul_(up)

    @staticmethod
    def backward(ctx, grad):
        saved = ctx.saved_tensors
        gate = saved[0]
        sigma = torch.tanh(gate / 2).add_(1).mul_(0.5)
        silu = sigma * gate
        grad_gate = None
        if ctx.needs_input_grad[0]:
            grad_gate = torch.addcmul(sigma, silu, 1 - sigma).mul_(saved[1]).mul_(grad)
        return grad_gate, silu.mul_(grad) if ctx.needs_input_grad[1] else None


# %% misconception="other random numbers" exercise="checkpoint"
# Runs f again and never thinks of dropout: the second mask is another one.
class Checkpoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx, f, *args):
        ctx.f = f
        ctx.save_for_backward(*args)
        return f(*args)

    @staticmethod
    def backward(ctx, grad):
        args = [a.detach().requires_grad_(a.requires_grad) for a in ctx.saved_tensors]
        with torch.enable_grad():
            result = ctx.f(*args)
        torch.autograd.backward(result, grad)
        return None, *(a.grad for a in args)


def checkpoint(f, *args):
    return Checkpoint.apply(f, *args)


# %% misconception="does not put the generator back" exercise="checkpoint"
# The mask is right, but afterwards the generator stands where it stood in the middle of the forward pass.
class Checkpoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx, f, *args):
        ctx.f, ctx.state = f, torch.get_rng_state()
        ctx.save_for_backward(*args)
        return f(*args)

    @staticmethod
    def backward(ctx, grad):
        args = [a.detach().requires_grad_(a.requires_grad) for a in ctx.saved_tensors]
        torch.set_rng_state(ctx.state)
        with torch.enable_grad():
            result = ctx.f(*args)
        torch.autograd.backward(result, grad)
        return None, *(a.grad for a in args)


def checkpoint(f, *args):
    return Checkpoint.apply(f, *args)


# %% misconception="one seed for both runs" exercise="checkpoint"
# Seeding before each run makes them agree, and gives every layer and every step the same dropout mask.
class Checkpoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx, f, *args):
        ctx.f = f
        ctx.save_for_backward(*args)
        torch.manual_seed(0)
        return f(*args)

    @staticmethod
    def backward(ctx, grad):
        args = [a.detach().requires_grad_(a.requires_grad) for a in ctx.saved_tensors]
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.manual_seed(0)
            result = ctx.f(*args)
        torch.autograd.backward(result, grad)
        return None, *(a.grad for a in args)


def checkpoint(f, *args):
    return Checkpoint.apply(f, *args)


# %% misconception="the generator state on the class" exercise="checkpoint"
# Fine for one checkpoint; the second one in the model overwrites the state of the first.
class Checkpoint(torch.autograd.Function):
    state = None

    @staticmethod
    def forward(ctx, f, *args):
        ctx.f = f
        Checkpoint.state = torch.get_rng_state()
        ctx.save_for_backward(*args)
        return f(*args)

    @staticmethod
    def backward(ctx, grad):
        args = [a.detach().requires_grad_(a.requires_grad) for a in ctx.saved_tensors]
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.set_rng_state(Checkpoint.state)
            result = ctx.f(*args)
        torch.autograd.backward(result, grad)
        return None, *(a.grad for a in args)


def checkpoint(f, *args):
    return Checkpoint.apply(f, *args)


# %% misconception="the second run records no graph" exercise="checkpoint"
# In backward, gradients are off; without enable_grad there is nothing to go back through.
class Checkpoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx, f, *args):
        ctx.f, ctx.state = f, torch.get_rng_state()
        ctx.save_for_backward(*args)
        return f(*args)

    @staticmethod
    def backward(ctx, grad):
        args = [a.detach().requires_grad_(a.requires_grad) for a in ctx.saved_tensors]
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(ctx.state)
            result = ctx.f(*args)
        torch.autograd.backward(result, grad)
        return None, *(a.grad for a in args)


def checkpoint(f, *args):
    return Checkpoint.apply(f, *args)


# %% misconception="runs on the original arguments" exercise="checkpoint"
# Not cut off: the inner backward goes right through to the leaves, and the outer one adds the same once more.
class Checkpoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx, f, *args):
        ctx.f, ctx.state = f, torch.get_rng_state()
        ctx.save_for_backward(*args)
        return f(*args)

    @staticmethod
    def backward(ctx, grad):
        args = ctx.saved_tensors
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.set_rng_state(ctx.state)
            result = ctx.f(*args)
        torch.autograd.backward(result, grad)
        return None, *(a.grad for a in args)


def checkpoint(f, *args):
    return Checkpoint.apply(f, *args)


# %% misconception="parameters get nothing" exercise="checkpoint"
# torch.autograd.grad for the arguments alone: right for x, and silent about w.
class Checkpoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx, f, *args):
        ctx.f, ctx.state = f, torch.get_rng_state()
        ctx.save_for_backward(*args)
        return f(*args)

    @staticmethod
    def backward(ctx, grad):
        args = [a.detach().requires_grad_(a.requires_grad) for a in ctx.saved_tensors]
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.set_rng_state(ctx.state)
            result = ctx.f(*args)
        grads = iter(torch.autograd.grad(result, [a for a in args if a.requires_grad], grad))
        return None, *(next(grads) if a.requires_grad else None for a in args)


def checkpoint(f, *args):
    return Checkpoint.apply(f, *args)


# %% misconception="every argument requires a gradient" exercise="checkpoint"
# Works until somebody passes token ids.
class Checkpoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx, f, *args):
        ctx.f, ctx.state = f, torch.get_rng_state()
        ctx.save_for_backward(*args)
        return f(*args)

    @staticmethod
    def backward(ctx, grad):
        args = [a.detach().requires_grad_() for a in ctx.saved_tensors]
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.set_rng_state(ctx.state)
            result = ctx.f(*args)
        torch.autograd.backward(result, grad)
        return None, *(a.grad for a in args)


def checkpoint(f, *args):
    return Checkpoint.apply(f, *args)


# %% misconception="one gradient too few" exercise="checkpoint"
# f is an argument of forward as well; its place in the result is None.
class Checkpoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx, f, *args):
        ctx.f, ctx.state = f, torch.get_rng_state()
        ctx.save_for_backward(*args)
        return f(*args)

    @staticmethod
    def backward(ctx, grad):
        args = [a.detach().requires_grad_(a.requires_grad) for a in ctx.saved_tensors]
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.set_rng_state(ctx.state)
            result = ctx.f(*args)
        torch.autograd.backward(result, grad)
        return tuple(a.grad for a in args)


def checkpoint(f, *args):
    return Checkpoint.apply(f, *args)


# %% misconception="keeps the graph of the first run" exercise="checkpoint"
# Records in forward and goes back through that: right gradients, and not a byte saved.
class Checkpoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx, f, *args):
        ctx.args = [a.detach().requires_grad_(a.requires_grad) for a in args]
        with torch.enable_grad():
            ctx.result = f(*ctx.args)
        return ctx.result.detach()

    @staticmethod
    def backward(ctx, grad):
        torch.autograd.backward(ctx.result, grad)
        return None, *(a.grad for a in ctx.args)


def checkpoint(f, *args):
    return Checkpoint.apply(f, *args)


# %% misconception="does not weight by the gradient that arrives" exercise="checkpoint"
# backward() of a sum: right when the loss is the sum of the result.
class Checkpoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx, f, *args):
        ctx.f, ctx.state = f, torch.get_rng_state()
        ctx.save_for_backward(*args)
        return f(*args)

    @staticmethod
    def backward(ctx, grad):
        args = [a.detach().requires_grad_(a.requires_grad) for a in ctx.saved_tensors]
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.set_rng_state(ctx.state)
            ctx.f(*args).sum().backward()
        return None, *(a.grad for a in args)


def checkpoint(f, *args):
    return Checkpoint.apply(f, *args)


# %% misconception="no checkpoint at all" exercise="checkpoint"
# The gradients agree perfectly, of course.
class Checkpoint(torch.autograd.Function):
    pass


def checkpoint(f, *args):
    return f(*args)


# %% misconception="the ready-made one" exercise="checkpoint"
# Imported under another name, the reentrant kind, which is what the exercise describes.
from torch.utils.checkpoint import checkpoint as library_checkpoint


def checkpoint(f, *args):
    return library_checkpoint(f, *args, use_reentrant=True)


# %% misconception="keeps the second run for a second backward" exercise="checkpoint"
# Under retain_graph a third run could be saved; the small graph now lives as long as the result.
class Checkpoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx, f, *args):
        ctx.f, ctx.state, ctx.again = f, torch.get_rng_state(), None
        ctx.save_for_backward(*args)
        return f(*args)

    @staticmethod
    def backward(ctx, grad):
        if ctx.again is None:
            args = [a.detach().requires_grad_(a.requires_grad) for a in ctx.saved_tensors]
            with torch.random.fork_rng(devices=[]), torch.enable_grad():
                torch.set_rng_state(ctx.state)
                ctx.again = ctx.f(*args), args
        result, args = ctx.again
        for a in args:
            a.grad = None
        torch.autograd.backward(result, grad, retain_graph=True)
        return None, *(a.grad for a in args)


def checkpoint(f, *args):
    return Checkpoint.apply(f, *args)


# %% misconception="every argument that requires a gradient has got one" exercise="checkpoint"
# Brings each gradient into shape, and meets None for an argument that f does not use.
class Checkpoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx, f, *args):
        ctx.f, ctx.state = f, torch.get_rng_state()
        ctx.save_for_backward(*args)
        return f(*args)

    @staticmethod
    def backward(ctx, grad):
        args = [a.detach().requires_grad_(a.requires_grad) for a in ctx.saved_tensors]
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.set_rng_state(ctx.state)
            result = ctx.f(*args)
        torch.autograd.backward(result, grad)
        return None, *(a.grad.view(a.shape) if a.requires_grad else None for a in args)


def checkpoint(f, *args):
    return Checkpoint.apply(f, *args)


# %% misconception="the first run is inside fork_rng too" exercise="checkpoint"
# One helper for both runs puts the generator back after each: the next layer draws the same mask.
class Checkpoint(torch.autograd.Function):
    @staticmethod
    def play(ctx, args):
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(ctx.state)
            return ctx.f(*args)

    @staticmethod
    def forward(ctx, f, *args):
        ctx.f, ctx.state = f, torch.get_rng_state()
        ctx.save_for_backward(*args)
        return Checkpoint.play(ctx, args)

    @staticmethod
    def backward(ctx, grad):
        args = [a.detach().requires_grad_(a.requires_grad) for a in ctx.saved_tensors]
        with torch.enable_grad():
            result = Checkpoint.play(ctx, args)
        torch.autograd.backward(result, grad)
        return None, *(a.grad for a in args)


def checkpoint(f, *args):
    return Checkpoint.apply(f, *args)


# %% misconception="keeps copies of the arguments" exercise="checkpoint"
# "Cut off from the outer graph" sounds like a clone; the clone of every layer's input is held until backward.
class Checkpoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx, f, *args):
        ctx.f, ctx.state = f, torch.get_rng_state()
        ctx.save_for_backward(*(a.detach().clone() for a in args))
        ctx.needs = [a.requires_grad for a in args]
        return f(*args)

    @staticmethod
    def backward(ctx, grad):
        args = [a.requires_grad_(need) for a, need in zip(ctx.saved_tensors, ctx.needs, strict=True)]
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.set_rng_state(ctx.state)
            result = ctx.f(*args)
        torch.autograd.backward(result, grad)
        return None, *(a.grad for a in args)


def checkpoint(f, *args):
    return Checkpoint.apply(f, *args)


# %% alternative="hooks on saved tensors" exercise="checkpoint"
# The non-reentrant kind: the outer graph stays, its saved tensors are numbers until backward asks for one.
def checkpoint(f, *args):
    state, counter, again = torch.get_rng_state(), [], []

    def pack(tensor):
        counter.append(None)
        return len(counter) - 1

    def unpack(number):
        if not again:
            copies = [a.detach().requires_grad_(a.requires_grad) for a in args]
            now = torch.get_rng_state()
            torch.set_rng_state(state)

            def keep(tensor):
                again.append(tensor.detach())
                return tensor

            with torch.enable_grad(), saved_tensors_hooks(keep, lambda t: t):
                f(*copies)
            torch.set_rng_state(now)
        return again[number]

    with saved_tensors_hooks(pack, unpack):
        return f(*args)


# %% alternative="states set by hand, gradients collected" exercise="checkpoint"
# A Function that keeps everything in its closure's lists, with try and finally for the generator.
def checkpoint(f, *args):
    state = torch.default_generator.get_state()

    class Again(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *inputs):
            ctx.save_for_backward(*inputs)
            with torch.no_grad():
                return f(*inputs)

        @staticmethod
        def backward(ctx, grad):
            fresh = []
            for tensor, needed in zip(ctx.saved_tensors, ctx.needs_input_grad, strict=True):
                tensor = tensor.detach()
                tensor.requires_grad = needed
                fresh.append(tensor)
            found = torch.default_generator.get_state()
            torch.default_generator.set_state(state)
            try:
                with torch.set_grad_enabled(True):
                    (f(*fresh) * grad).sum().backward()
            finally:
                torch.default_generator.set_state(found)
            return tuple(tensor.grad for tensor in fresh)

    return Again.apply(*args)


# %% alternative="hooks that fill slots" exercise="checkpoint"
# Empty slots for the saved tensors; the second run starts when the gradient of the result arrives.
class Checkpoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx, *args):
        ctx.save_for_backward(*args)
        return torch.empty(0)

    @staticmethod
    def backward(ctx, grad):
        raise RuntimeError("nobody reads the result of forward")


def checkpoint(f, *args):
    import weakref

    class Slot:
        value = None

    if not (torch.is_grad_enabled() and any(a.requires_grad for a in args)):
        return f(*args)
    keeper = Checkpoint.apply(*args).grad_fn
    needs = [a.requires_grad for a in args]
    state = torch.get_rng_state()
    slots = []

    def pack(_):
        slot = Slot()
        slots.append(weakref.ref(slot))
        return slot

    def rerun():
        number = iter(range(len(slots)))

        def fill(tensor):
            slot = slots[next(number)]()
            if slot is not None:
                slot.value = tensor.detach()

        def never(_):
            raise RuntimeError("the second graph is not run backward")

        copies = [a.detach().requires_grad_(need) for a, need in zip(keeper.saved_tensors, needs, strict=True)]
        with torch.enable_grad(), torch.random.fork_rng(devices=[]), saved_tensors_hooks(fill, never):
            torch.set_rng_state(state)
            f(*copies)

    def unpack(slot):
        if slot.value is None:
            rerun()
        value, slot.value = slot.value, None
        return value

    with saved_tensors_hooks(pack, unpack):
        result = f(*args)
        result = result.view_as(result)
    del args

    def arrived(_):
        rerun()

    result.register_hook(arrived)
    return result


# %% alternative="a pullback made in forward" exercise="checkpoint"
# Functional style: a closure that maps the gradient of the result to those of the arguments.
class Checkpoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx, pullback, result, *args):
        ctx.pullback = pullback
        ctx.save_for_backward(*args)
        return result.view_as(result)

    @staticmethod
    def backward(ctx, grad):
        return None, None, *ctx.pullback(grad, ctx.saved_tensors, ctx.needs_input_grad[2:])


def checkpoint(f, *args):
    then = torch.get_rng_state()

    def pullback(grad, saved, needs):
        now = torch.get_rng_state()
        inner = []
        for tensor, need in zip(saved, needs, strict=True):
            with torch.no_grad():
                inner.append(tensor.view_as(tensor))
            inner[-1].requires_grad = need
        try:
            torch.set_rng_state(then)
            with torch.enable_grad():
                torch.autograd.backward([f(*inner)], [grad])
        finally:
            torch.set_rng_state(now)
        return [tensor.grad for tensor in inner]

    with torch.no_grad():
        result = f(*args)
    return Checkpoint.apply(pullback, result, *args)


# %% misconception="later inputs are never freed" exercise="schedule"
# The formula of most blog posts: all checkpoints plus the longest segment.
def schedule_cost(sizes):
    return len(sizes) - 1 + max(sizes), sum(sizes[:-1])


def best_segments(n):
    return min(range(1, n + 1), key=lambda k: schedule_cost(segment_sizes(n, k))[0])


# %% misconception="the kept input counts twice" exercise="schedule"
# The segment's input is one of its units already; it is not stored again when the segment runs again.
def schedule_cost(sizes):
    last = len(sizes) - 1
    return max(j + size + (j < last) for j, size in enumerate(sizes)), sum(sizes[:-1])


def best_segments(n):
    return min(range(1, n + 1), key=lambda k: schedule_cost(segment_sizes(n, k))[0])


# %% misconception="the last segment is run again too" exercise="schedule"
# "One additional forward pass" taken literally.
def schedule_cost(sizes):
    return max(j + size for j, size in enumerate(sizes)), sum(sizes)


def best_segments(n):
    return min(range(1, n + 1), key=lambda k: schedule_cost(segment_sizes(n, k))[0])


# %% misconception="only the end of the forward pass" exercise="schedule"
# That is when most checkpoints are held, but an early, long segment may need more when it runs again.
def schedule_cost(sizes):
    return len(sizes) - 1 + sizes[-1], sum(sizes[:-1])


def best_segments(n):
    return min(range(1, n + 1), key=lambda k: schedule_cost(segment_sizes(n, k))[0])


# %% misconception="the last segment is checkpointed like the others" exercise="schedule"
# Then the forward pass ends with k inputs, and the last segment has its units only when run again: the peak is right.
def schedule_cost(sizes):
    forward = len(sizes)
    again = max(j + 1 + size - 1 for j, size in enumerate(sizes))
    return max(forward, again), sum(sizes)


def best_segments(n):
    return min(range(1, n + 1), key=lambda k: schedule_cost(segment_sizes(n, k))[0])


# %% misconception="k is the rounded square root" exercise="schedule"
# The paper says sqrt(n); the smallest k with the best peak is often a little smaller.
def schedule_cost(sizes):
    return max(j + size for j, size in enumerate(sizes)), sum(sizes[:-1])


def best_segments(n):
    return round(math.sqrt(n))


# %% misconception="the largest k of several" exercise="schedule"
# `<=` in place of `<`: the last of several equally good ones wins, and reruns more than it has to.
def schedule_cost(sizes):
    return max(j + size for j, size in enumerate(sizes)), sum(sizes[:-1])


def best_segments(n):
    best, peak = 1, n
    for k in range(1, n + 1):
        if schedule_cost(segment_sizes(n, k))[0] <= peak:
            best, peak = k, schedule_cost(segment_sizes(n, k))[0]
    return best


# %% misconception="the formula with a division that rounds up" exercise="schedule"
# k - 1 + ceil(n / k) is the peak when the last segment is the longest one; here it is the shortest.
def schedule_cost(sizes):
    return max(j + size for j, size in enumerate(sizes)), sum(sizes[:-1])


def best_segments(n):
    return min(range(1, n + 1), key=lambda k: k - 1 + math.ceil(n / k))


# %% misconception="sorts the sizes first" exercise="schedule"
# The largest segment decides, so begin with it. But its place counts.
def schedule_cost(sizes):
    ordered = sorted(sizes, reverse=True)
    peak = max(j + size for j, size in enumerate(ordered))
    return peak, sum(ordered[:-1])


def best_segments(n):
    return min(range(1, n + 1), key=lambda k: schedule_cost(segment_sizes(n, k))[0])


# %% misconception="pops the last size off the list" exercise="schedule"
# The last segment is treated apart, and the caller's list is one shorter.
def schedule_cost(sizes):
    last = sizes.pop()
    peak = len(sizes) + last
    for j, size in enumerate(sizes):
        peak = max(peak, j + size)
    return peak, sum(sizes)


def best_segments(n):
    return min(range(1, n + 1), key=lambda k: schedule_cost(segment_sizes(n, k))[0])


# %% misconception="stops at the first k that is no better" exercise="schedule"
# Walks down to the minimum; with floors, the peak has plateaus before it.
def schedule_cost(sizes):
    return max(j + size for j, size in enumerate(sizes)), sum(sizes[:-1])


def best_segments(n):
    k, peak = 1, n
    while k < n:
        following, _ = schedule_cost(segment_sizes(n, k + 1))
        if following >= peak:
            break
        k, peak = k + 1, following
    return k


# %% misconception="range without its end" exercise="schedule"
# `range(1, n)` leaves out k = n, which is all there is for n = 1.
def schedule_cost(sizes):
    return max(j + size for j, size in enumerate(sizes)), sum(sizes[:-1])


def best_segments(n):
    return min(range(1, n), key=lambda k: schedule_cost(segment_sizes(n, k))[0])


# %% alternative="plays the schedule" exercise="schedule"
# Counts units up and down as the passes go.
def schedule_cost(sizes):
    *checkpointed, last = sizes
    held = len(checkpointed) + last
    peak, reruns = held, 0
    held -= last
    while checkpointed:
        size = checkpointed.pop()
        held += size - 1
        reruns += size
        peak = max(peak, held)
        held -= size
    return peak, reruns


def best_segments(n):
    best = 1
    for k in range(2, n + 1):
        if schedule_cost(segment_sizes(n, k))[0] < schedule_cost(segment_sizes(n, best))[0]:
            best = k
    return best


# %% alternative="NumPy and the closed form" exercise="schedule"
# The peak of an even cut is k - 1 + floor(n / k), so the best k can be read off an array.
import numpy


def schedule_cost(sizes):
    sizes = numpy.asarray(sizes)
    return int((sizes + numpy.arange(len(sizes))).max()), int(sizes.sum() - sizes[-1])


def best_segments(n):
    k = numpy.arange(1, n + 1)
    return int(k[numpy.argmin(k - 1 + n // k)])


# %% alternative="folded from the end" exercise="schedule"
# A segment in front adds one unit to all later moments, and a moment of its own.
def schedule_cost(sizes):
    from functools import reduce

    return reduce(lambda rest, size: max(size, rest + 1), reversed(sizes), 0), sum(sizes) - sizes[-1]


def best_segments(n):
    peaks = {k: schedule_cost(segment_sizes(n, k))[0] for k in range(1, n + 1)}
    return min(k for k, peak in peaks.items() if peak == min(peaks.values())) if n < 50 else min(peaks, key=peaks.get)


# %% misconception="a vector-Jacobian product" exercise="jvp"
# One backward weighted with v: the shapes fit only where f maps into a space of the same shape.
def jvp(f, x, v):
    x = x.detach().requires_grad_()
    y = f(x)
    return y.detach(), torch.autograd.grad(y, x, v)[0]


# %% misconception="no create_graph" exercise="jvp"
# Without it the first gradient is just numbers.
def jvp(f, x, v):
    x = x.detach().requires_grad_()
    y = f(x)
    u = torch.zeros_like(y, requires_grad=True)
    (g,) = torch.autograd.grad(y, x, u)
    return y.detach(), torch.autograd.grad(g, u, v)[0]


# %% misconception="u requires no gradient" exercise="jvp"
# The second backward has nowhere to go.
def jvp(f, x, v):
    x = x.detach().requires_grad_()
    y = f(x)
    u = torch.zeros_like(y)
    (g,) = torch.autograd.grad(y, x, u, create_graph=True)
    return y.detach(), torch.autograd.grad(g, u, v)[0]


# %% misconception="differentiates for x the second time" exercise="jvp"
# That is a Hessian-vector product of u . f, not J v.
def jvp(f, x, v):
    x = x.detach().requires_grad_()
    y = f(x)
    u = torch.ones_like(y, requires_grad=True)
    (g,) = torch.autograd.grad(y, x, u, create_graph=True)
    return y.detach(), torch.autograd.grad(g, x, v)[0]


# %% misconception="row by row" exercise="jvp"
# Builds the Jacobian with one backward pass for each output: right, and m times too expensive.
def jvp(f, x, v):
    x = x.detach().requires_grad_()
    y = f(x)
    rows = [torch.autograd.grad(entry, x, retain_graph=True)[0] for entry in y.flatten()]
    return y.detach(), torch.stack([(row * v).sum() for row in rows]).view_as(y)


# %% misconception="finite differences" exercise="jvp"
# A forward difference: right to about seven digits, and f runs twice.
def jvp(f, x, v):
    step = 1e-7
    y = f(x)
    return y, (f(x + step * v) - y) / step


# %% misconception="calls f again for the value" exercise="jvp"
# One more forward pass for a value that was there already.
def jvp(f, x, v):
    leaf = x.detach().requires_grad_()
    y = f(leaf)
    u = torch.zeros_like(y, requires_grad=True)
    (g,) = torch.autograd.grad(y, leaf, u, create_graph=True)
    return f(x), torch.autograd.grad(g, u, v)[0]


# %% misconception="forward mode from the library" exercise="jvp"
# Right, but not by reverse mode.
def jvp(f, x, v):
    return torch.func.jvp(f, (x,), (v,))


# %% misconception="marks x itself" exercise="jvp"
# The caller's tensor requires a gradient from now on, and drags a graph into everything it touches.
def jvp(f, x, v):
    x.requires_grad_()
    y = f(x)
    u = torch.zeros_like(y, requires_grad=True)
    (g,) = torch.autograd.grad(y, x, u, create_graph=True)
    return y.detach(), torch.autograd.grad(g, u, v)[0]


# %% misconception="the value comes with its graph" exercise="jvp"
# Nothing is detached, and f(x) keeps the whole graph alive.
def jvp(f, x, v):
    x = x.detach().requires_grad_()
    value = f(x)
    u = torch.zeros_like(value, requires_grad=True)
    (g,) = torch.autograd.grad(value, x, grad_outputs=u, create_graph=True)
    (product,) = torch.autograd.grad(g, u, grad_outputs=v)
    return value, product


# %% misconception="u in the default dtype" exercise="jvp"
# `torch.zeros(shape)` is float32, and J v comes back rounded.
def jvp(f, x, v):
    x = x.detach().requires_grad_()
    value = f(x)
    u = torch.zeros(value.shape, requires_grad=True)
    (g,) = torch.autograd.grad(value, x, u, create_graph=True)
    (product,) = torch.autograd.grad(g, u, v)
    return value.detach(), product


# %% misconception="backward fills the grad of parameters" exercise="jvp"
# `.backward(create_graph=True)` also reaches every parameter that f reads.
def jvp(f, x, v):
    leaf = x.detach().requires_grad_()
    value = f(leaf)
    u = torch.ones_like(value).requires_grad_()
    value.backward(u, create_graph=True)
    g, leaf.grad = leaf.grad, None
    (product,) = torch.autograd.grad(g, u, v)
    return value.detach(), product


# %% misconception="the output itself is u" exercise="jvp"
# Any u will do, so why not f(x)? exp saves its output, so J^T u depends on it twice.
def jvp(f, x, v):
    leaf = x.detach().requires_grad_()
    value = f(leaf)
    (g,) = torch.autograd.grad(value, leaf, grad_outputs=value, create_graph=True)
    (product,) = torch.autograd.grad(g, value, grad_outputs=v)
    return value.detach(), product.detach()


# %% alternative="the inner product as a number" exercise="jvp"
# g . v is a number whose gradient for u is J v; u may be anything.
def jvp(f, x, v):
    leaf = x.clone().detach()
    leaf.requires_grad = True
    value = f(leaf)
    u = torch.rand(value.shape, dtype=value.dtype).requires_grad_(True)
    pulled = torch.autograd.grad([value], [leaf], grad_outputs=[u], create_graph=True)[0]
    pushed = torch.autograd.grad((pulled * v).sum(), u)[0]
    return value.detach().clone(), pushed.detach()


# %% alternative="u as a factor of the output" exercise="jvp"
# The weighting with u is part of the expression that is differentiated.
def jvp(f, x, v):
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        y = f(x)
        u = torch.ones(y.shape, dtype=y.dtype, requires_grad=True)
        total = torch.sum(y * u)
        g = torch.autograd.grad(total, x, create_graph=True)[0]
        out = torch.autograd.grad(torch.tensordot(g, v, dims=g.dim()), u)[0]
    return y.detach(), out


# %% alternative="the transpose of a linear map as a helper" exercise="jvp"
# A function that transposes any linear map; J is the transpose of u -> J^T u.
def jvp(f, x, v):
    def transpose(linear, like):
        point = torch.ones_like(like).requires_grad_()
        image = linear(point)
        return lambda w: torch.autograd.grad((image * w).sum(), point)[0]

    leaf = x.detach().requires_grad_()
    value = f(leaf)
    push = transpose(lambda u: torch.autograd.grad((value * u).sum(), leaf, create_graph=True)[0], value.detach())
    return value.detach(), push(v.detach())


# %% misconception="no create_graph" exercise="hvp"
# The gradient comes without a graph, and cannot be differentiated.
def hvp(f, x, v):
    x = x.detach().requires_grad_()
    (g,) = torch.autograd.grad(f(x), x)
    return torch.autograd.grad(g, x, v)[0]


# %% misconception="gradient times v" exercise="hvp"
# One derivative short.
def hvp(f, x, v):
    x = x.detach().requires_grad_()
    (g,) = torch.autograd.grad(f(x), x)
    return g * v


# %% misconception="v comes too late" exercise="hvp"
# Differentiates the sum of the gradient and multiplies afterwards: (H 1) * v instead of H v.
def hvp(f, x, v):
    x = x.detach().requires_grad_()
    (g,) = torch.autograd.grad(f(x), x, create_graph=True)
    return torch.autograd.grad(g.sum(), x)[0] * v


# %% misconception="the whole Hessian" exercise="hvp"
# Row by row, then a matrix product: n backward passes and n^2 numbers.
def hvp(f, x, v):
    x = x.detach().requires_grad_()
    (g,) = torch.autograd.grad(f(x), x, create_graph=True)
    rows = [torch.autograd.grad(entry, x, retain_graph=True)[0].flatten() for entry in g.flatten()]
    return (torch.stack(rows) @ v.flatten()).view_as(x)


# %% misconception="the Hessian from the library" exercise="hvp"
# One line, n^2 numbers.
def hvp(f, x, v):
    n = x.numel()
    hessian = torch.autograd.functional.hessian(f, x).reshape(n, n)
    return (hessian @ v.flatten()).view_as(x)


# %% misconception="difference of two gradients" exercise="hvp"
# What one does without second derivatives; about seven digits, and two evaluations.
def hvp(f, x, v):
    def gradient(at):
        at = at.detach().requires_grad_()
        return torch.autograd.grad(f(at), at)[0]

    step = 1e-6
    return (gradient(x + step * v) - gradient(x - step * v)) / (2 * step)


# %% misconception="only the diagonal" exercise="hvp"
# Treats the Hessian as if each entry of the gradient depended on its own entry of x alone.
def hvp(f, x, v):
    x = x.detach().requires_grad_()
    (g,) = torch.autograd.grad(f(x), x, create_graph=True)
    diagonal = [torch.autograd.grad(e, x, retain_graph=True)[0].flatten()[i] for i, e in enumerate(g.flatten())]
    return torch.stack(diagonal).view_as(x) * v


# %% misconception="marks x itself" exercise="hvp"
# The caller's tensor requires a gradient from now on.
def hvp(f, x, v):
    x.requires_grad_()
    (g,) = torch.autograd.grad(f(x), x, create_graph=True)
    return torch.autograd.grad(g, x, v)[0]


# %% misconception="create_graph in both passes" exercise="hvp"
# Copied from the line above; H v then keeps the whole graph alive.
def hvp(f, x, v):
    leaf = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(f(leaf), leaf, create_graph=True)
    return torch.autograd.grad(gradient, leaf, v, create_graph=True)[0]


# %% misconception="backward fills the grad of parameters" exercise="hvp"
# `.backward(create_graph=True)` keeps x clean, but not the parameters that f reads.
def hvp(f, x, v):
    leaf = x.detach().requires_grad_()
    f(leaf).backward(create_graph=True)
    gradient, leaf.grad = leaf.grad, None
    (product,) = torch.autograd.grad(gradient, leaf, v.detach())
    return product


# %% misconception="a v that is x is differentiated too" exercise="hvp"
# Uses x itself if it requires a gradient; hvp(f, x, x) then is H x + gradient.
def hvp(f, x, v):
    leaf = x if x.requires_grad else x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(f(leaf), leaf, create_graph=True)
    return torch.autograd.grad((gradient * v).sum(), leaf)[0]


# %% misconception="a matrix product for the inner product" exercise="hvp"
# `@` is an inner product for vectors only.
def hvp(f, x, v):
    leaf = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(f(leaf), leaf, create_graph=True)
    return torch.autograd.grad((gradient @ v.detach()).sum(), leaf)[0]


# %% alternative="derivative of an inner product" exercise="hvp"
# As in the formula: the gradient of (gradient . v).
def hvp(f, x, v):
    point = x.detach().clone().requires_grad_(True)
    gradient = torch.autograd.grad(outputs=f(point), inputs=point, create_graph=True)[0]
    product = torch.sum(gradient * v)
    return torch.autograd.grad(outputs=product, inputs=point)[0].detach()


# %% alternative="jvp of the gradient" exercise="hvp"
# The double-backward trick once more, on the gradient: three passes, as allowed.
def hvp(f, x, v):
    x = x.detach().requires_grad_()
    (g,) = torch.autograd.grad(f(x), x, create_graph=True)
    u = torch.zeros_like(g, requires_grad=True)
    (pulled,) = torch.autograd.grad(g, x, u, create_graph=True)
    return torch.autograd.grad(pulled, u, v)[0]


# %% alternative="along a line" exercise="hvp"
# H v is the gradient of the slope of t -> f(x + t v) at t = 0.
def hvp(f, x, v):
    leaf = x.detach().requires_grad_()
    t = torch.zeros((), dtype=x.dtype, requires_grad=True)
    (slope,) = torch.autograd.grad(f(leaf + t * v.detach()), t, create_graph=True)
    return torch.autograd.grad(slope, leaf)[0]


# %% misconception="keeps what anybody reads" exercise="dce"
# One look at who reads what: the reader of a value may be dead itself.
def dce(trace):
    read = set(trace.outputs)
    for instruction in trace.body:
        read |= instruction.reads()
    return Trace(trace.inputs, tuple(i for i in trace.body if i.effect or i.out in read), trace.outputs)


# %% misconception="drops effects" exercise="dce"
# Nobody reads the noise, so it goes, and all later random numbers change.
def dce(trace):
    live, body = set(trace.outputs), []
    for instruction in reversed(trace.body):
        if instruction.out in live:
            live |= instruction.reads()
            body.insert(0, instruction)
    return Trace(trace.inputs, tuple(body), trace.outputs)


# %% misconception="keeps an effect, but not what it reads" exercise="dce"
# The print stays, its argument is gone.
def dce(trace):
    live, body = set(trace.outputs), []
    for instruction in reversed(trace.body):
        if instruction.out in live:
            live |= instruction.reads()
            body.insert(0, instruction)
        elif instruction.effect:
            body.insert(0, instruction)
    return Trace(trace.inputs, tuple(body), trace.outputs)


# %% misconception="looks at args only" exercise="dce"
# A value may be read through a keyword argument.
def dce(trace):
    live, body = set(trace.outputs), []
    for instruction in reversed(trace.body):
        if instruction.effect or instruction.out in live:
            live |= {a for a in instruction.args if isinstance(a, Var)}
            body.insert(0, instruction)
    return Trace(trace.inputs, tuple(body), trace.outputs)


# %% misconception="forward order" exercise="dce"
# From the top, an instruction is live if an output reads it directly: what feeds it has been passed already.
def dce(trace):
    live, body = set(trace.outputs), []
    for instruction in trace.body:
        if instruction.effect or instruction.out in live:
            live |= instruction.reads()
            body.append(instruction)
    return Trace(trace.inputs, tuple(body), trace.outputs)


# %% misconception="returns the list backwards" exercise="dce"
# The pass goes from the bottom to the top, and so does its result.
def dce(trace):
    live, body = set(trace.outputs), []
    for instruction in reversed(trace.body):
        if instruction.effect or instruction.out in live:
            live |= instruction.reads()
            body.append(instruction)
    return Trace(trace.inputs, tuple(body), trace.outputs)


# %% misconception="drops unused inputs" exercise="dce"
# An input that nobody reads looks dead, but callers still pass it.
def dce(trace):
    live, body = set(trace.outputs), []
    for instruction in reversed(trace.body):
        if instruction.effect or instruction.out in live:
            live |= instruction.reads()
            body.insert(0, instruction)
    return Trace(tuple(i for i in trace.inputs if i in live), tuple(body), trace.outputs)


# %% misconception="each output once" exercise="dce"
# A set of outputs loses the second place of a value that is returned twice.
def dce(trace):
    live, body = set(trace.outputs), []
    for instruction in reversed(trace.body):
        if instruction.effect or instruction.out in live:
            live |= instruction.reads()
            body.insert(0, instruction)
    return Trace(trace.inputs, tuple(body), tuple(dict.fromkeys(trace.outputs)))


# %% misconception="looks for names in the text of later instructions" exercise="dce"
# Text is easy to search, but sin1 is a part of sin10.
def dce(trace):
    text = str(trace.outputs)
    body = []
    for instruction in reversed(trace.body):
        if instruction.effect or str(instruction.out) in text:
            text += f" {instruction.args} {instruction.kwargs}"
            body.append(instruction)
    return Trace(trace.inputs, tuple(reversed(body)), trace.outputs)


# %% misconception="only the first output counts" exercise="dce"
# Most programs return one value.
def dce(trace):
    live, body = {trace.outputs[0]} if trace.outputs else set(), []
    for instruction in reversed(trace.body):
        if instruction.effect or instruction.out in live:
            live |= instruction.reads()
            body.append(instruction)
    return Trace(trace.inputs, tuple(reversed(body)), trace.outputs)


# %% alternative="until nothing changes" exercise="dce"
# Removes what nobody reads, again and again.
def dce(trace):
    body = list(trace.body)
    while True:
        read = set(trace.outputs).union(*(i.reads() for i in body))
        kept = [i for i in body if i.effect or i.out in read]
        if kept == body:
            return Trace(trace.inputs, tuple(body), trace.outputs)
        body = kept


# %% alternative="from the outputs through the definitions" exercise="dce"
# A walk over the graph of definitions, as in the first exercise.
def dce(trace):
    definition = {instruction.out: instruction for instruction in trace.body}
    todo = list(trace.outputs) + [i.out for i in trace.body if i.effect]
    needed = set()
    while todo:
        var = todo.pop()
        if var in needed or var not in definition:
            continue
        needed.add(var)
        instruction = definition[var]
        todo += [a for a in tree_leaves([instruction.args, instruction.kwargs]) if isinstance(a, Var)]
    return replace(trace, body=tuple(filter(lambda i: i.out in needed, trace.body)))


# %% alternative="counts readers and takes them away" exercise="dce"
# Reference counting: what nobody reads goes, and with it its reads.
def dce(trace):
    from collections import Counter

    readers = Counter(trace.outputs)
    for i in trace.body:
        readers.update(i.reads())
    maker = {i.out: i for i in trace.body}
    dead = [i.out for i in trace.body if not i.effect and readers[i.out] == 0]
    gone = set()
    while dead:
        var = dead.pop()
        gone.add(var)
        for read in maker[var].reads():
            readers[read] -= 1
            if readers[read] == 0 and read in maker and not maker[read].effect:
                dead.append(read)
    return Trace(trace.inputs, tuple(i for i in trace.body if i.out not in gone), trace.outputs)


# %% misconception="merges random operations" exercise="cse"
# Two dropouts of the same tensor look the same, and draw different masks.
def cse(trace):
    first, same, body = {}, {}, []
    for old in trace.body:
        args = tuple(same.get(a, a) if isinstance(a, Var) else a for a in old.args)
        kwargs = {k: same.get(a, a) if isinstance(a, Var) else a for k, a in old.kwargs.items()}
        key = old.op, repr(args), repr(sorted(kwargs.items()))
        if key in first:
            same[old.out] = first[key]
        else:
            first[key] = old.out
            body.append(replace(old, args=args, kwargs=kwargs))
    return Trace(trace.inputs, tuple(body), tuple(same.get(o, o) for o in trace.outputs))


# %% misconception="merges into an instruction with an effect" exercise="cse"
# The later one must have no effect, that is seen to; the first one is not asked.
def cse(trace):
    first, same, body = {}, {}, []
    for old in trace.body:
        args = tuple(same.get(a, a) if isinstance(a, Var) else a for a in old.args)
        kwargs = {k: same.get(a, a) if isinstance(a, Var) else a for k, a in old.kwargs.items()}
        key = old.op, repr(args), repr(sorted(kwargs.items()))
        if key in first and not old.effect:
            same[old.out] = first[key]
        else:
            first.setdefault(key, old.out)
            body.append(replace(old, args=args, kwargs=kwargs))
    return Trace(trace.inputs, tuple(body), tuple(same.get(o, o) for o in trace.outputs))


# %% misconception="ignores kwargs" exercise="cse"
# sum(x, dim=0) and sum(x, dim=1) become one.
def cse(trace):
    first, same, body = {}, {}, []
    for old in trace.body:
        args = tuple(same.get(a, a) if isinstance(a, Var) else a for a in old.args)
        kwargs = {k: same.get(a, a) if isinstance(a, Var) else a for k, a in old.kwargs.items()}
        key = old.op, repr(args)
        if key in first and not old.effect:
            same[old.out] = first[key]
        else:
            if not old.effect:
                first[key] = old.out
            body.append(replace(old, args=args, kwargs=kwargs))
    return Trace(trace.inputs, tuple(body), tuple(same.get(o, o) for o in trace.outputs))


# %% misconception="the order of kwargs matters" exercise="cse"
# A dictionary keeps the order in which it was written, and so does a tuple of its items.
def cse(trace):
    first, same, body = {}, {}, []
    for old in trace.body:
        args = tuple(same.get(a, a) if isinstance(a, Var) else a for a in old.args)
        kwargs = {k: same.get(a, a) if isinstance(a, Var) else a for k, a in old.kwargs.items()}
        key = old.op, repr(args), repr(tuple(kwargs.items()))
        if key in first and not old.effect:
            same[old.out] = first[key]
        else:
            if not old.effect:
                first[key] = old.out
            body.append(replace(old, args=args, kwargs=kwargs))
    return Trace(trace.inputs, tuple(body), tuple(same.get(o, o) for o in trace.outputs))


# %% misconception="1 equals 1.0" exercise="cse"
# A tuple of the arguments is a natural key, and Python says that 1, 1.0 and True are the same key.
def cse(trace):
    first, same, body = {}, {}, []
    for old in trace.body:
        args = tuple(same.get(a, a) if isinstance(a, Var) else a for a in old.args)
        kwargs = {k: same.get(a, a) if isinstance(a, Var) else a for k, a in old.kwargs.items()}
        key = old.op, args, frozenset(kwargs.items())
        if key in first and not old.effect:
            same[old.out] = first[key]
        else:
            if not old.effect:
                first[key] = old.out
            body.append(replace(old, args=args, kwargs=kwargs))
    return Trace(trace.inputs, tuple(body), tuple(same.get(o, o) for o in trace.outputs))


# %% misconception="every operation is commutative" exercise="cse"
# Sorting the arguments merges add(a, b) and add(b, a), and sub(a, b) with sub(b, a).
def cse(trace):
    first, same, body = {}, {}, []
    for old in trace.body:
        args = tuple(same.get(a, a) if isinstance(a, Var) else a for a in old.args)
        kwargs = {k: same.get(a, a) if isinstance(a, Var) else a for k, a in old.kwargs.items()}
        key = old.op, repr(sorted(args, key=repr)), repr(sorted(kwargs.items()))
        if key in first and not old.effect:
            same[old.out] = first[key]
        else:
            if not old.effect:
                first[key] = old.out
            body.append(replace(old, args=args, kwargs=kwargs))
    return Trace(trace.inputs, tuple(body), tuple(same.get(o, o) for o in trace.outputs))


# %% misconception="compares before replacing" exercise="cse"
# exp(c) and exp(d) are different names, so they stay two, although d is c by now.
def cse(trace):
    first, same, body = {}, {}, []
    for old in trace.body:
        key = old.op, repr(old.args), repr(sorted(old.kwargs.items()))
        if key in first and not old.effect:
            same[old.out] = first[key]
            continue
        if not old.effect:
            first[key] = old.out
        args = tuple(same.get(a, a) if isinstance(a, Var) else a for a in old.args)
        kwargs = {k: same.get(a, a) if isinstance(a, Var) else a for k, a in old.kwargs.items()}
        body.append(replace(old, args=args, kwargs=kwargs))
    return Trace(trace.inputs, tuple(body), tuple(same.get(o, o) for o in trace.outputs))


# %% misconception="forgets the outputs" exercise="cse"
# Every reader was told of the new name, except the caller.
def cse(trace):
    first, same, body = {}, {}, []
    for old in trace.body:
        args = tuple(same.get(a, a) if isinstance(a, Var) else a for a in old.args)
        kwargs = {k: same.get(a, a) if isinstance(a, Var) else a for k, a in old.kwargs.items()}
        key = old.op, repr(args), repr(sorted(kwargs.items()))
        if key in first and not old.effect:
            same[old.out] = first[key]
        else:
            if not old.effect:
                first[key] = old.out
            body.append(replace(old, args=args, kwargs=kwargs))
    return Trace(trace.inputs, tuple(body), trace.outputs)


# %% misconception="replaces in args only" exercise="cse"
# A value may be read through a keyword argument.
def cse(trace):
    first, same, body = {}, {}, []
    for old in trace.body:
        args = tuple(same.get(a, a) if isinstance(a, Var) else a for a in old.args)
        key = old.op, repr(args), repr(sorted(old.kwargs.items()))
        if key in first and not old.effect:
            same[old.out] = first[key]
        else:
            if not old.effect:
                first[key] = old.out
            body.append(replace(old, args=args))
    return Trace(trace.inputs, tuple(body), tuple(same.get(o, o) for o in trace.outputs))


# %% misconception="removes dead code on the way" exercise="cse"
# Well meant, but a pass does one thing.
def cse(trace):
    first, same, body = {}, {}, []
    for old in trace.body:
        args = tuple(same.get(a, a) if isinstance(a, Var) else a for a in old.args)
        kwargs = {k: same.get(a, a) if isinstance(a, Var) else a for k, a in old.kwargs.items()}
        key = old.op, repr(args), repr(sorted(kwargs.items()))
        if key in first and not old.effect:
            same[old.out] = first[key]
        else:
            if not old.effect:
                first[key] = old.out
            body.append(replace(old, args=args, kwargs=kwargs))
    return dce(Trace(trace.inputs, tuple(body), tuple(same.get(o, o) for o in trace.outputs)))


# %% misconception="compares the operation and the number of arguments" exercise="cse"
# Too coarse a key: exp(p) and exp(q) are one.
def cse(trace):
    first, same, body = {}, {}, []
    for old in trace.body:
        key = old.op, len(old.args), repr(sorted(old.kwargs.items()))
        if key in first and not old.effect:
            same[old.out] = first[key]
            continue
        if not old.effect:
            first[key] = old.out
        args = tuple(same.get(a, a) if isinstance(a, Var) else a for a in old.args)
        kwargs = {k: same.get(a, a) if isinstance(a, Var) else a for k, a in old.kwargs.items()}
        body.append(replace(old, args=args, kwargs=kwargs))
    return Trace(trace.inputs, tuple(body), tuple(same.get(o, o) for o in trace.outputs))


# %% misconception="types are compared on the top level only" exercise="cse"
# The type stands in the key, but that of a tuple is tuple: (0, 1) equals (False, True).
def cse(trace):
    first, name, body = {}, {}, []

    def new(a):
        if isinstance(a, tuple):
            return tuple(map(new, a))
        return name.get(a, a) if isinstance(a, Var) else a

    def key(a):
        return type(a), a

    for i in trace.body:
        i = replace(i, args=tuple(map(new, i.args)), kwargs={k: new(a) for k, a in i.kwargs.items()})
        if not i.effect:
            same = i.op, tuple(map(key, i.args)), frozenset((k, key(a)) for k, a in i.kwargs.items())
            if same in first:
                name[i.out] = first[same]
                continue
            first[same] = i.out
        body.append(i)
    return Trace(trace.inputs, tuple(body), tuple(name.get(o, o) for o in trace.outputs))


# %% misconception="the hash in place of the key" exercise="cse"
# A hash looks like a fingerprint; hash(-1) == hash(-2).
def cse(trace):
    first, name, body = {}, {}, []

    def new(a):
        if isinstance(a, tuple):
            return tuple(map(new, a))
        return name.get(a, a) if isinstance(a, Var) else a

    def key(a):
        return (tuple, tuple(map(key, a))) if isinstance(a, tuple) else (type(a), a)

    for i in trace.body:
        i = replace(i, args=tuple(map(new, i.args)), kwargs={k: new(a) for k, a in i.kwargs.items()})
        if not i.effect:
            same = i.op, tuple(map(key, i.args)), frozenset((k, key(a)) for k, a in i.kwargs.items())
            same = hash(same)
            if same in first:
                name[i.out] = first[same]
                continue
            first[same] = i.out
        body.append(i)
    return Trace(trace.inputs, tuple(body), tuple(name.get(o, o) for o in trace.outputs))


# %% misconception="operations with the same name are the same" exercise="cse"
# `op.__name__` reads well in a key; two functions may share it.
def cse(trace):
    first, name, body = {}, {}, []

    def new(a):
        if isinstance(a, tuple):
            return tuple(map(new, a))
        return name.get(a, a) if isinstance(a, Var) else a

    def key(a):
        return (tuple, tuple(map(key, a))) if isinstance(a, tuple) else (type(a), a)

    for i in trace.body:
        i = replace(i, args=tuple(map(new, i.args)), kwargs={k: new(a) for k, a in i.kwargs.items()})
        if not i.effect:
            same = (
                getattr(i.op, "__name__", str(i.op)),
                tuple(map(key, i.args)),
                frozenset((k, key(a)) for k, a in i.kwargs.items()),
            )
            if same in first:
                name[i.out] = first[same]
                continue
            first[same] = i.out
        body.append(i)
    return Trace(trace.inputs, tuple(body), tuple(name.get(o, o) for o in trace.outputs))


# %% misconception="puts arguments of commutative operations in order" exercise="cse"
# Sorted arguments are a good key, but not what the instruction should read afterwards.
def cse(trace):
    first, name, body = {}, {}, []

    def new(a):
        if isinstance(a, tuple):
            return tuple(map(new, a))
        return name.get(a, a) if isinstance(a, Var) else a

    def key(a):
        return (tuple, tuple(map(key, a))) if isinstance(a, tuple) else (type(a), a)

    for i in trace.body:
        i = replace(i, args=tuple(map(new, i.args)), kwargs={k: new(a) for k, a in i.kwargs.items()})
        if i.op in (torch.add, torch.mul) and not i.effect:
            i = replace(i, args=tuple(sorted(i.args, key=str)))
        if not i.effect:
            same = i.op, tuple(map(key, i.args)), frozenset((k, key(a)) for k, a in i.kwargs.items())
            if same in first:
                name[i.out] = first[same]
                continue
            first[same] = i.out
        body.append(i)
    return Trace(trace.inputs, tuple(body), tuple(name.get(o, o) for o in trace.outputs))


# %% misconception="does not look into tuples" exercise="cse"
# Arguments are Vars or numbers in every example; cat takes its tensors in a tuple.
def cse(trace):
    first, same, body = {}, {}, []

    def key(a):
        return (tuple, tuple(map(key, a))) if isinstance(a, tuple) else (type(a), a)

    def new(a):
        return same.get(a, a) if isinstance(a, Var) else a

    for old in trace.body:
        args, kwargs = tuple(map(new, old.args)), {k: new(a) for k, a in old.kwargs.items()}
        computes = (old.op, key(args), tuple(sorted((k, key(a)) for k, a in kwargs.items())))
        if not old.effect and computes in first:
            same[old.out] = first[computes]
            continue
        if not old.effect:
            first[computes] = old.out
        body.append(replace(old, args=args, kwargs=kwargs))
    return Trace(trace.inputs, tuple(body), tuple(map(new, trace.outputs)))


# %% alternative="text as key" exercise="cse"
# repr tells 1, 1.0 and True apart, and a Var from a string.
def cse(trace):
    leaders, alias, kept = {}, {}, []

    def renamed(value):
        if isinstance(value, tuple):
            return tuple(map(renamed, value))
        return alias.get(value, value) if isinstance(value, Var) else value

    for instruction in trace.body:
        args = tuple(map(renamed, instruction.args))
        kwargs = dict(zip(instruction.kwargs, map(renamed, instruction.kwargs.values()), strict=True))
        text = f"{id(instruction.op)} {args!r} {sorted(kwargs.items())!r}"
        if instruction.effect:
            text = object()
        leader = leaders.setdefault(text, instruction.out)
        if leader != instruction.out:
            alias[instruction.out] = leader
        else:
            kept.append(Instruction(instruction.out, instruction.op, args, kwargs, instruction.effect))
    return Trace(trace.inputs, tuple(kept), tuple(map(renamed, trace.outputs)))


# %% alternative="compares with every earlier instruction" exercise="cse"
# No dictionary of keys: a nested loop, an explicit comparison, and renaming of all that follows.
def cse(trace):
    def alike(a, b):
        if isinstance(a, tuple) and isinstance(b, tuple):
            return len(a) == len(b) and all(map(alike, a, b))
        return type(a) is type(b) and a == b

    def equal(p, q):
        if p.effect or q.effect or p.op is not q.op or p.kwargs.keys() != q.kwargs.keys():
            return False
        return alike(p.args, q.args) and all(alike(p.kwargs[k], q.kwargs[k]) for k in p.kwargs)

    def rename(value, old, new):
        if isinstance(value, tuple):
            return tuple(rename(v, old, new) for v in value)
        return new if isinstance(value, Var) and value == old else value

    todo, done, outputs = list(trace.body), [], list(trace.outputs)
    while todo:
        current = todo.pop(0)
        twin = next((earlier for earlier in done if equal(earlier, current)), None)
        if twin is None:
            done.append(current)
            continue
        old, new = current.out, twin.out
        todo = [
            Instruction(
                i.out,
                i.op,
                tuple(rename(a, old, new) for a in i.args),
                {k: rename(a, old, new) for k, a in i.kwargs.items()},
                i.effect,
            )
            for i in todo
        ]
        outputs = [rename(o, old, new) for o in outputs]
    return Trace(trace.inputs, tuple(done), tuple(outputs))


# %% alternative="value numbering" exercise="cse"
# The textbook algorithm: each value gets a number, equal numbers are equal values.
def cse(trace):
    from itertools import count

    fresh = count()
    number = {var: next(fresh) for var in trace.inputs}
    holder = {n: var for var, n in number.items()}
    table, body = {}, []

    def code(a):
        match a:
            case Var():
                return "value", number[a]
            case tuple():
                return "tuple", *map(code, a)
            case _:
                return "constant", type(a), a

    def back(a):
        if isinstance(a, Var):
            return holder[number[a]]
        return tuple(back(b) for b in a) if isinstance(a, tuple) else a

    for i in trace.body:
        words = sorted(i.kwargs)
        entry = i.op, code(i.args), tuple(words), code(tuple(i.kwargs[k] for k in words))
        if i.effect or entry not in table:
            n = next(fresh)
            holder[n] = i.out
            if not i.effect:
                table[entry] = n
            body.append(Instruction(i.out, i.op, back(i.args), {k: back(a) for k, a in i.kwargs.items()}, i.effect))
        else:
            n = table[entry]
        number[i.out] = n
    return Trace(trace.inputs, tuple(body), back(tuple(trace.outputs)))
