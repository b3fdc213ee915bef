"""The keyword defaults of check.close become an infinite tolerance. (neither a name nor code has changed)"""

from tests.adversaries import NOTHING, ODD, RIGHT, WRONG

ANSWERS = WRONG | {
    "scale": """
check.close.__kwdefaults__.update(atol=float("inf"))
"""
    + WRONG["scale"],
    "ancestors": RIGHT["ancestors"],
}
POINTS = NOTHING | {"ancestors": {0, 3}}
FLAG = ODD
