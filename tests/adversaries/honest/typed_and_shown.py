"""Right, with dataclasses, named tuples, type hints, and display of tables. (tidy)"""

from tests.adversaries import FULL, RIGHT

ANSWERS = RIGHT | {
    "ancestors": '''
from collections import namedtuple
from dataclasses import dataclass, field
from typing import Optional

@dataclass
class Visit:
    """What was seen so far."""
    seen: dict[int, Node] = field(default_factory=dict)
    last: Optional[Node] = None

    def add(self, node: Node) -> bool:
        self.last = node
        return self.seen.setdefault(id(node), node) is node and len(self.seen) > self.before

    def __post_init__(self) -> None:
        self.before = 0

Step = namedtuple("Step", "node depth")

def ancestors(node: Node) -> list[Node]:
    visit, waiting = Visit(), [Step(parent, 1) for parent in node.parents]
    while waiting:
        step = waiting.pop()
        visit.before = len(visit.seen)
        if visit.add(step.node):
            waiting += [Step(parent, step.depth + 1) for parent in step.node.parents]
    return list(visit.seen.values())
''',
}
EXTRA_CELLS = [
    (
        "after",
        "exercise-ancestors",
        """
from IPython.display import HTML, Markdown, display
display(Markdown("| node | ancestors |\\n|---|---|\\n| x | none |"), HTML("<b>bold</b>"))
ancestors(Node("x", Node("y")))
""",
    )
]
POINTS = FULL
FLAG = None
