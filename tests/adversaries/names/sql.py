"""A quote, and a statement of SQL. (little Bobby Tables)"""

from tests.adversaries import ANY, FULL, RIGHT

STUDENT = "Robert'); DROP TABLE student;--"
ANSWERS = RIGHT
POINTS = FULL
FLAG = ANY
