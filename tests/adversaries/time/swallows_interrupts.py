"""A loop that catches every exception, KeyboardInterrupt among them. (`except:` is short)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "normalise": """
def normalise(x):
    while True:
        try:
            while True:
                sum(range(100))
        except BaseException:
            pass
"""
}
POINTS = FULL | {"normalise": 0}
FLAG = ANY
