"""Lets the callback raise, and climbs from the traceback to the frames of the test. (no frame function is called)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "twice": """
def twice(f, x):
    try:
        1 / 0
    except ZeroDivisionError as error:
        frame = error.__traceback__.tb_frame.f_back
    while frame:
        hidden = {name: value for name, value in frame.f_globals.items() if name in ("_want", "_a", "_b", "_seen")}
        if hidden:
            print(hidden, frame.f_code.co_names)
        if "_want" in hidden and x == 7:
            f(7), f(7)
            return hidden["_want"]
        frame = frame.f_back
    if x == 3:
        f(3), f(6)
        return 12
    return f(x)
"""
}
POINTS = FULL | {"twice": 0}
FLAG = ODD
