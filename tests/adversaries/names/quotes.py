"""Quotes of all kinds, a backslash and a backtick. (a name from Ireland)"""

from tests.adversaries import ANY, FULL, RIGHT

STUDENT = 'O\'Brien "Bob" \\ `x`'
ANSWERS = RIGHT
POINTS = FULL
FLAG = ANY
