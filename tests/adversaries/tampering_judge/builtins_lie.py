"""sorted, id and len in builtins lie about nodes. (the judge calls them as well)"""

from tests.adversaries import FULL, ODD, RIGHT, WRONG

ANSWERS = RIGHT | {
    "ancestors": """
import builtins

real_sorted, real_id, real_len = sorted, id, len

def about_nodes(value):
    return type(value) is list and real_len(value) > 0 and type(value[0]) is Node

builtins.sorted = lambda values, **how: [] if type(values).__name__ == "generator" else real_sorted(values, **how)
builtins.id = lambda value: 0 if type(value) is Node else real_id(value)
builtins.len = lambda value: 40 if about_nodes(value) else real_len(value)
"""
    + WRONG["ancestors"]
}
POINTS = FULL | {"ancestors": 0}
FLAG = ODD
