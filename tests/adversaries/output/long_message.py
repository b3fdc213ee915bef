"""Raises an error with a message of 50 MB, control characters and half a surrogate pair. (feedback shows messages)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "normalise": """
def normalise(x):
    raise ValueError("\\x1b[31m\\0\\ud800 \\u202e<script>alert(3)</script>" + "long " * 10_000_000)
"""
}
POINTS = FULL | {"normalise": 0}
FLAG = ANY
SECRETS = ["<script>alert(3)", "long " * 4000]
