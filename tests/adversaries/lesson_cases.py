# %% [markdown]
# Right and wrong answers, which prove the tests of `lesson.py`. Cells out of their notebook:
#
# ruff: noqa: F811, F821, B

# %% misconception="twice" exercise="scale"
# Reads "three" as "two".
def scale(x):
    return x * 2


# %% misconception="cubed" exercise="scale"
# Three times as a product of x with itself.
def scale(x):
    return x**3


# %% misconception="in floats" exercise="scale"
# The factor is a float, and so is then every result.
def scale(x):
    return x * 3.0


# %% misconception="a copy that is flat" exercise="scale"
# view(-1) makes the loop easy, and loses the shape.
def scale(x):
    return torch.stack([3 * value for value in x.reshape(-1)])


# %% misconception="by NumPy" exercise="scale"
# float() on the way loses the dtype.
def scale(x):
    return 3 * x.float()


# %% alternative="a sum" exercise="scale"
# The definition.
def scale(x):
    return x + x + x


# %% alternative="in place on a copy" exercise="scale"
# A copy may be written to.
def scale(x):
    y = x.clone()
    y *= 3
    return y


# %% misconception="parents only" exercise="ancestors"
# Stops after one step.
def ancestors(node):
    return list(node.parents)


# %% misconception="each path" exercise="ancestors"
# On a tree each node has one path; here the walk is exponential, so only small graphs end.
def ancestors(node):
    found = []
    for parent in node.parents:
        found += [parent, *ancestors(parent)]
    return found


# %% misconception="by name" exercise="ancestors"
# Names look like keys.
def ancestors(node):
    found, waiting = {}, list(node.parents)
    while waiting:
        above = waiting.pop()
        if above.name not in found:
            found[above.name] = above
            waiting.extend(above.parents)
    return list(found.values())


# %% misconception="itself too" exercise="ancestors"
# The walk starts at the node.
def ancestors(node):
    found, waiting = {}, [node]
    while waiting:
        above = waiting.pop()
        if above not in found:
            found[above] = above
            waiting.extend(above.parents)
    return list(found)


# %% misconception="recursion" exercise="ancestors"
# Deeper than Python's stack.
def ancestors(node):
    found = {}

    def visit(above):
        if above not in found:
            found[above] = above
            for parent in above.parents:
                visit(parent)

    for parent in node.parents:
        visit(parent)
    return list(found)


# %% misconception="a set" exercise="ancestors"
# Each once, but a list was asked for.
def ancestors(node):
    found, waiting = set(), list(node.parents)
    while waiting:
        above = waiting.pop()
        if above not in found:
            found.add(above)
            waiting.extend(above.parents)
    return found


# %% alternative="level by level" exercise="ancestors"
# Breadth first, with sets.
def ancestors(node):
    found, level = set(), set(node.parents)
    while level:
        found |= level
        level = {parent for above in level for parent in above.parents} - found
    return list(found)


# %% alternative="a growing list" exercise="ancestors"
# Walks along the list that it fills.
def ancestors(node):
    order = list(dict.fromkeys(node.parents))
    seen = set(order)
    for above in order:
        for parent in above.parents:
            if parent not in seen:
                seen.add(parent)
                order.append(parent)
    return order


# %% misconception="once" exercise="twice"
# Forgot the second call.
def twice(f, x):
    return f(x)


# %% misconception="two times the value" exercise="twice"
# Reads "twice" as a factor.
def twice(f, x):
    return 2 * f(x)


# %% misconception="one call too many" exercise="twice"
# Tries f out first.
def twice(f, x):
    f(x)
    return f(f(x))


# %% misconception="swallows errors" exercise="twice"
# A friendly None in place of an error.
def twice(f, x):
    try:
        return f(f(x))
    except Exception:
        return None


# %% misconception="on a copy" exercise="twice"
# Protects x from f.
def twice(f, x):
    import copy

    return f(f(copy.deepcopy(x)))


# %% alternative="a loop" exercise="twice"
# The same for any number of calls; calling what can't be called raises TypeError by itself.
def twice(f, x):
    for _ in range(2):
        x = f(x)
    return x


# %% alternative="reduce" exercise="twice"
# Functional style.
def twice(f, x):
    from functools import reduce

    return reduce(lambda value, g: g(value), [f, f], x)


# %% misconception="one-sided" exercise="grad"
# Three digits are lost.
def grad(f, x):
    h = 1e-4
    return torch.stack([(f(x + h * e) - f(x)) / h for e in torch.eye(len(x), dtype=x.dtype)])


# %% misconception="the step is too small" exercise="grad"
# Smaller looks better, until round-off takes over.
def grad(f, x):
    h = 1e-13
    return torch.stack([(f(x + h * e) - f(x - h * e)) / (2 * h) for e in torch.eye(len(x), dtype=x.dtype)])


# %% misconception="divided by h" exercise="grad"
# The two points are 2h apart.
def grad(f, x):
    h = 1e-6
    return torch.stack([(f(x + h * e) - f(x - h * e)) / h for e in torch.eye(len(x), dtype=x.dtype)])


# %% misconception="all entries at once" exercise="grad"
# Moves along (1, ..., 1): the sum of the derivatives, in every entry.
def grad(f, x):
    h = 1e-6
    return torch.ones_like(x) * (f(x + h) - f(x - h)) / (2 * h)


# %% misconception="autograd" exercise="grad"
# Works, and is what was not to be used.
def grad(f, x):
    x = x.clone().requires_grad_()
    return torch.autograd.grad(f(x), x)[0]


# %% misconception="moves x itself" exercise="grad"
# Leaves the last step in x.
def grad(f, x):
    result, h = torch.zeros_like(x), 6e-6
    for i in range(len(x)):
        x[i] += h
        up = f(x)
        x[i] -= 2 * h
        result[i] = (up - f(x)) / (2 * h)
    return result


# %% alternative="entry by entry" exercise="grad"
# A loop over the entries of a copy.
def grad(f, x):
    result, h = torch.zeros_like(x), 6e-6
    for i in range(len(x)):
        up, down = x.clone(), x.clone()
        up[i] += h
        down[i] -= h
        result[i] = (f(up) - f(down)) / (2 * h)
    return result


# %% alternative="five points" exercise="grad"
# Of fourth order, so the step may be larger.
def grad(f, x):
    h, entries = 1e-3, []
    for e in torch.eye(len(x), dtype=x.dtype):
        near, far = f(x + h * e) - f(x - h * e), f(x + 2 * h * e) - f(x - 2 * h * e)
        entries.append((8 * near - far) / (12 * h))
    return torch.stack(entries)


# %% misconception="no scale" exercise="normalise"
# The softmax alone.
def normalise(x):
    return torch.softmax(x, -1)


# %% misconception="the first axis" exercise="normalise"
# Counts axes from the wrong end.
def normalise(x):
    return torch.softmax(scale(x), 0)


# %% misconception="overflows" exercise="normalise"
# exp of 30000 is inf, and inf / inf is NaN.
def normalise(x):
    powers = scale(x).exp()
    return powers / powers.sum(-1, keepdim=True)


# %% misconception="the sum of everything" exercise="normalise"
# One distribution over the batch.
def normalise(x):
    powers = (scale(x) - scale(x).amax(-1, keepdim=True)).exp()
    return powers / powers.sum()


# %% misconception="scaled last" exercise="normalise"
# Scales the probabilities.
def normalise(x):
    return scale(torch.softmax(x, -1))


# %% alternative="torch's own" exercise="normalise"
# It was not forbidden.
def normalise(x):
    return torch.softmax(scale(x), dim=-1)


# %% alternative="by logarithms" exercise="normalise"
# x - logsumexp(x), and back.
def normalise(x):
    y = scale(x)
    return (y - torch.logsumexp(y, -1, keepdim=True)).exp()
