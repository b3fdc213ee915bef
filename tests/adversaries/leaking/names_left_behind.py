"""Prints, in cells of its own after each test, what the hidden tests left in the namespace. (no trick needed)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT
TELL = """
import inspect

for name in "_x _want _thin _top _twins _chain _a _b _seen _start _line _oracle _bilinear _wave _sharp".split():
    value = globals().get(name)
    if value is not None:
        print("LEFT" + " BEHIND", name, str(value)[:200])
        if inspect.isfunction(value):
            print(inspect.getsource(value))
"""
EXTRA_CELLS = [("after", f"test-{exercise}", TELL) for exercise in RIGHT]
POINTS = FULL
FLAG = ANY
SECRETS = ["LEFT BEHIND"]
