"""Prints the source and the constants of every frame above it while it is called. (inspect.stack reads sources)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "twice": """
import inspect

def twice(f, x):
    for caller in inspect.stack(context=50):
        if "site-packages" not in caller.filename:
            print(caller.filename, caller.lineno, *(caller.code_context or []), sep="\\n")
            print(caller.frame.f_code.co_consts, caller.frame.f_code.co_names)
            print({name for name in caller.frame.f_globals if name.startswith("_")})
    return f(f(x))
"""
}
POINTS = FULL | {"twice": {0, 2}}  # what it reaches for is refused with an error, in the middle of its answer
FLAG = ODD
