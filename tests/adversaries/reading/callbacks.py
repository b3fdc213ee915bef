"""Takes the functions apart that it is called with: source, constants, closure, globals. (the test made them)"""

from tests.adversaries import FULL, RIGHT

ANSWERS = RIGHT | {
    "twice": """
import dis
import inspect

def look(f):
    try:
        print(inspect.getsource(f))
    except (OSError, TypeError):
        pass
    code = getattr(f, "__code__", None)
    if code:
        print(code.co_consts, code.co_names, code.co_filename, f.__closure__, f.__module__)
        dis.dis(code)
        print([name for name in f.__globals__ if name.startswith("_") and len(name) < 12])

def twice(f, x):
    look(f)
    if not callable(f):
        raise TypeError
    return f(f(x))
""",
    "grad": RIGHT["grad"].replace("    step = 6e-6", "    look(f)\n    step = 6e-6"),
}
POINTS = FULL
FLAG = {"tampering", "suspicious", "leak"}
