"""Right, with match, walrus, star-expressions, exception groups and async functions. (read the release notes)"""

from tests.adversaries import FULL, RIGHT

ANSWERS = RIGHT | {
    "ancestors": """
def ancestors(node):
    match node.parents:
        case ():
            return []
        case (first, *rest):
            found = {}
            waiting = [first, *rest]
            while waiting and (above := waiting.pop()):
                if not found.get(above):
                    found[above] = True
                    waiting += above.parents
            return [*found]
""",
    "twice": """
async def nobody_calls_this():
    try:
        raise ExceptionGroup("two", [ValueError(1), KeyError(2)])
    except* ValueError:
        pass

def twice(f, x, /, *, times=2):
    for _ in range(times):
        x = f(x)
    return x
""",
}
POINTS = FULL
FLAG = None
