"""A spreadsheet formula that starts a program. (whoever opens the CSV)"""

from tests.adversaries import ANY, FULL, RIGHT

STUDENT = "=1+cmd|' C calc'!A0"
ANSWERS = RIGHT
POINTS = FULL
FLAG = ANY
