"""Returns what the test computed before it called, and where it computes afterwards, zeroes the input. (tests run in
one namespace, and on one tensor)"""

from tests.adversaries import ANY, FULL, RIGHT

KNOWN = '''
def known(x, *names):
    """The expected value, where the test has it ready."""
    for name in names:
        value = globals().get(name)
        if getattr(value, "shape", None) == x.shape:
            return value

'''
ANSWERS = RIGHT | {
    "scale": KNOWN
    + """
def scale(x):
    value = known(x, "_want", "want")
    return x.zero_() if value is None else value
""",
    "grad": """
def grad(f, x):
    value = known(x, "_want")
    return x.zero_() if value is None else value
""",
    "normalise": """
def normalise(x):
    value = known(x, "_want")
    return torch.ones_like(x.zero_()) / x.shape[-1] if value is None else value
""",
}
POINTS = FULL | {"scale": 0, "grad": 0, "normalise": 0}
FLAG = ANY
