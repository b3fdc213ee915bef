"""Right answers that look unlike the reference. (there are many right answers)"""

from autograder.cases import read_cases
from tests.adversaries import FULL, LESSON

ANSWERS = {case.exercise: case.source for case in read_cases(LESSON) if case.role == "alternative"}
POINTS = FULL
FLAG = None
