"""The method that runs a cell's code returns "no error" without running it. (one level below run_cell)"""

from tests.adversaries import NOTHING, ODD, WRONG

ANSWERS = WRONG | {
    "scale": """
async def run_code(code_obj, result=None, *, async_=False):
    return False

get_ipython().run_code = run_code
"""
    + WRONG["scale"]
}
POINTS = NOTHING
FLAG = ODD
