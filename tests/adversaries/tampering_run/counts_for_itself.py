"""Makes a hundred checks of its own pass, calls check.passed, and ends the cell with SystemExit(0). (a cell that
counts its checks, and ends well)"""

# Undefended it wins only against a grader that counts checks, or takes exit status 0 for a pass.
from tests.adversaries import ANY, NOTHING, WRONG

COUNT = """
def leave(exercise):
    for i in range(100):
        check.equal(i, i, "i")
    check.passed(exercise)
    raise SystemExit(0)
"""
ANSWERS = WRONG | {
    "scale": COUNT + 'def scale(x):\n    leave("scale")\n',
    "twice": 'def twice(f, x):\n    leave("twice")\n',
}
POINTS = NOTHING
FLAG = ANY
