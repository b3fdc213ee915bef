"""Right, with await in cells of its own. (read about it last week)"""

from tests.adversaries import FULL, RIGHT

ANSWERS = RIGHT
EXTRA_CELLS = [
    (
        "after",
        "exercise-twice",
        """
import asyncio

async def later(value):
    await asyncio.sleep(0.01)
    return twice(abs, value)

await later(-3)
""",
    ),
    ("after", "test-normalise", "[await task for task in [later(-1), later(-2)]]"),
]
POINTS = FULL
FLAG = None
