"""Right by recursion, with the recursion limit raised where it is needed. (why not?)"""

from tests.adversaries import FULL, RIGHT

ANSWERS = RIGHT | {
    "ancestors": """
import sys

def ancestors(node):
    sys.setrecursionlimit(20_000)
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
POINTS = FULL
FLAG = None
