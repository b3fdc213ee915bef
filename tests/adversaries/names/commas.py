"""Commas, semicolons, tabs and blanks. (spreadsheets split there)"""

from tests.adversaries import ANY, FULL, RIGHT

STUDENT = "Doe, Jane; 2\tb"
REFUSED = True  # nbgrader can't hold the name
ANSWERS = RIGHT
POINTS = FULL
FLAG = ANY
