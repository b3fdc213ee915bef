"""A custom exception handler swallows what tests raise. (documented as set_custom_exc)"""

# Undefended it wins where a cell fails by the traceback that is shown (stock nbgrader's output), not by its result.
from tests.adversaries import NOTHING, ODD, WRONG

ANSWERS = WRONG | {
    "scale": """
get_ipython().set_custom_exc((Exception,), lambda shell, kind, value, trace, tb_offset=None: [])
"""
    + WRONG["scale"]
}
POINTS = NOTHING
FLAG = ODD
