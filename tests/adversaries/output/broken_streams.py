"""Closes, replaces and deletes sys.stdout and sys.stderr. (redirected once, and never back)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "scale": RIGHT["scale"]
    + """
import io
import sys

sys.stdout = io.StringIO()
sys.stderr = None
sys.__stdout__ = sys.__stderr__ = None
""",
    "ancestors": "import sys\nsys.stdout = open('log.txt', 'w')\nsys.stdout.close()\n" + RIGHT["ancestors"],
}
POINTS = FULL
FLAG = ANY
