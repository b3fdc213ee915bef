"""Right, with copy.deepcopy, weak references and gc.collect. (was told to free memory)"""

from tests.adversaries import FULL, RIGHT

ANSWERS = RIGHT | {
    "scale": """
import copy
import gc
import weakref

def scale(x):
    y = copy.deepcopy(x)
    y *= 3
    gc.collect()
    return y
""",
    "ancestors": """
def ancestors(node):
    alive, waiting, found = weakref.WeakSet(), list(node.parents), []
    while waiting:
        above = waiting.pop()
        if above not in alive:
            alive.add(above)
            found.append(above)
            waiting.extend(above.parents)
    del waiting
    return found
""",
}
POINTS = FULL
FLAG = None
