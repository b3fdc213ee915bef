"""A formula behind a tab and a quote. (cells are trimmed)"""

from tests.adversaries import ANY, FULL, RIGHT

STUDENT = "\t=HYPERLINK(A1)"
REFUSED = True  # nbgrader can't hold the name
ANSWERS = RIGHT
POINTS = FULL
FLAG = ANY
