"""Right, by generators, closures, decorators and partials. (functional style)"""

from tests.adversaries import FULL, RIGHT

ANSWERS = RIGHT | {
    "scale": """
from functools import partial, wraps

def counted(function):
    @wraps(function)
    def inner(*args, **kwargs):
        inner.calls += 1
        return function(*args, **kwargs)
    inner.calls = 0
    return inner

def times(factor):
    return lambda x: x * factor

scale = counted(times(3))
""",
    "ancestors": """
def above(level, seen):
    while level:
        nearer, level = level, []
        for node in nearer:
            if node not in seen:
                seen.add(node)
                level.extend(node.parents)
                yield node

ancestors = lambda node: [*above(list(node.parents), set())]
""",
    "twice": """
def twice(f, x):
    return partial(f, f(x))()
""",
}
POINTS = FULL
FLAG = None
