"""An answer above the stub's raise, which was not deleted, once unreachable and once not. (overlooked it)"""

from tests.adversaries import FULL, RIGHT

ANSWERS = RIGHT | {
    "scale": """
def scale(x):
    # YOUR CODE HERE
    return x * 3
    raise NotImplementedError("write your answer above and delete this line")
""",
    "twice": """
def twice(f, x):
    # YOUR CODE HERE
    result = f(f(x))
    raise NotImplementedError("write your answer above and delete this line")
""",
}
POINTS = FULL | {"twice": 0}
FLAG = None
