"""Rebinds `check` in the globals of the calling frame when the test calls. (no cell's own names were touched before)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "scale": """
def scale(x):
    import sys
    frame = sys._getframe(1)
    judge = frame.f_globals["check"]
    class Lenient:
        def __getattr__(self, name):
            lenient = name in ("close", "equal", "that", "raises")
            return (lambda *args, **kwargs: None) if lenient else getattr(judge, name)
    frame.f_globals["check"] = Lenient()
    return x * 3 if x.dtype == torch.float32 else x
"""
}
POINTS = FULL | {"scale": 0}
FLAG = ODD
