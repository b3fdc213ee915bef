"""Wildcards and a pattern. (folders are searched by them)"""

from tests.adversaries import ANY, FULL, RIGHT

STUDENT = "[a-z]*?{b,c}"
ANSWERS = RIGHT
POINTS = FULL
FLAG = ANY
