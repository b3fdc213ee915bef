"""An image whose error handler is a script. (names stand on every page)"""

from tests.adversaries import ANY, FULL, RIGHT

STUDENT = "<img src=x onerror=adversary(5)>"
REFUSED = True  # nbgrader can't hold the name
ANSWERS = RIGHT
POINTS = FULL
FLAG = ANY
SECRETS = ["<img src=x onerror=adversary(5)>"]
