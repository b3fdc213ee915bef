"""Shows scores as last expressions, and changes the display hook so that each result is a full score. (nbgrader's
partial credit reads a number from the output)"""

# Undefended it can't be shown here: it aims at nbgrader's partial credit, and these tests end in no number.
from tests.adversaries import NOTHING, ODD, WRONG

ANSWERS = WRONG | {
    "scale": """
import sys

shell = get_ipython()
show = sys.displayhook
sys.displayhook = lambda value: show(100)
shell.displayhook = sys.displayhook
shell.ast_node_interactivity = "all"
"""
    + WRONG["scale"],
    "normalise": WRONG["normalise"] + "\n1000000\n",
}
POINTS = NOTHING
FLAG = ODD
