"""The release as it was fetched. (forgot the deadline)"""

from tests.adversaries import NOTHING

ANSWERS = {}
POINTS = NOTHING
FLAG = None
