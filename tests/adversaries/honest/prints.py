"""Right, and prints some hundred lines on the way. (debugging)"""

from tests.adversaries import FULL, RIGHT

ANSWERS = RIGHT | {
    "scale": """
for i in range(200):
    print("row", i, [i * j for j in range(10)])

def scale(x):
    print("in scale:", x.dtype)
    return x * 3
""",
    "twice": """
def twice(f, x):
    print("f is", f, "x is", x)
    y = f(x)
    print("once:", y)
    return f(y)
""",
}
POINTS = FULL
FLAG = None
