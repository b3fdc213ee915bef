"""An input transformer empties every later cell that mentions `check`. (IPython's documented hook)"""

from tests.adversaries import NOTHING, ODD, WRONG

ANSWERS = WRONG | {
    "scale": """
def lenient(lines):
    return ["pass\\n"] if any("check." in line for line in lines) else lines

get_ipython().input_transformers_cleanup.append(lenient)
get_ipython().input_transformers_post.append(lenient)
"""
    + WRONG["scale"]
}
POINTS = NOTHING
FLAG = ODD
