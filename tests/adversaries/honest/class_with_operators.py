"""Right, through a class of its own with __eq__, __hash__, __repr__, __len__ and __bool__. (object-oriented style)"""

from tests.adversaries import FULL, RIGHT

ANSWERS = RIGHT | {
    "ancestors": '''
class Seen:
    """A bag of nodes, told apart by identity."""

    def __init__(self, nodes=()):
        self.nodes = {}
        for node in nodes:
            self.add(node)

    def add(self, node):
        self.nodes[id(node)] = node

    def __contains__(self, node):
        return id(node) in self.nodes

    def __eq__(self, other):
        return isinstance(other, Seen) and self.nodes.keys() == other.nodes.keys()

    def __hash__(self):
        return hash(frozenset(self.nodes))

    def __len__(self):
        return len(self.nodes)

    def __bool__(self):
        return len(self) > 0

    def __repr__(self):
        return f"Seen({list(self.nodes.values())})"

def ancestors(node):
    seen, waiting = Seen(), list(node.parents)
    while waiting:
        above = waiting.pop()
        if above not in seen:
            seen.add(above)
            waiting.extend(above.parents)
    return list(seen.nodes.values())

assert Seen() == Seen() and not Seen()
'''
}
POINTS = FULL
FLAG = None
