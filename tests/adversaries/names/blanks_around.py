"""Blanks before and behind the name. (nbgrader strips them)"""

from tests.adversaries import ANY, FULL, RIGHT

STUDENT = " between blanks "
REFUSED = True  # nbgrader can't hold the name
ANSWERS = RIGHT
# Who can't keep the blanks says so, and grades nothing under another's name.
POINTS = {exercise: {0, points} for exercise, points in FULL.items()}
FLAG = ANY
