"""Sends itself SIGKILL. (nobody can catch it)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "normalise": "import os\nimport signal\n\ndef normalise(x):\n    os.kill(os.getpid(), signal.SIGKILL)\n"
}
POINTS = FULL | {"normalise": 0}
FLAG = ODD | {"limit"}
