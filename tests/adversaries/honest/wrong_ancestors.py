"""Only the second answer is wrong: recursion, which a long chain overflows. (a textbook search)"""

from tests.adversaries import FULL, RIGHT

ANSWERS = RIGHT | {
    "ancestors": """
def ancestors(node):
    found = {}
    def visit(above):
        if above not in found:
            found[above] = None
            for parent in above.parents:
                visit(parent)
    for parent in node.parents:
        visit(parent)
    return list(found)
"""
}
POINTS = FULL | {"ancestors": 0}
FLAG = None
