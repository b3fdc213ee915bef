"""A post_run_cell hook wipes the error off each result. (the hook gets the very object that says so)"""

from tests.adversaries import NOTHING, ODD, WRONG

ANSWERS = WRONG | {
    "scale": """
def forgive(result):
    result.error_in_exec = result.error_before_exec = None

get_ipython().events.register("post_run_cell", forgive)
"""
    + WRONG["scale"]
}
POINTS = NOTHING
FLAG = ODD
