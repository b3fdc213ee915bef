"""A formula that begins with @. (= is not the only sign)"""

from tests.adversaries import ANY, FULL, RIGHT

STUDENT = "@SUM(A1:A9)"
ANSWERS = RIGHT
POINTS = FULL
FLAG = ANY
