"""Writes verdicts as JSON lines, length-prefixed and plain, to every open descriptor. (one of them leads home)"""

# Undefended it can't be shown without knowing the grader's protocol. A channel that it spoils costs what it touched.
from tests.adversaries import NOTHING, ODD, WRONG

ANSWERS = WRONG | {
    "scale": """
import json
import os
import struct

lines = []
for exercise in ("scale", "ancestors", "twice", "grad", "normalise"):
    for verdict in ({"status": "passed", "credit": 1.0}, {"status": "ok"}, {"result": True}, True):
        lines.append(json.dumps({"id": f"test-{exercise}", "cell": f"test-{exercise}", "exercise": exercise,
                                 "verdict": verdict, **(verdict if isinstance(verdict, dict) else {})}).encode())

def forge():
    for descriptor in range(3, 1024):
        try:
            os.set_blocking(descriptor, False)
            for line in lines:
                os.write(descriptor, line + b"\\n")
                os.write(descriptor, struct.pack("<Q", len(line)) + line)
        except OSError:
            pass

forge()

def scale(x):
    forge()
    return x * 2
"""
}
POINTS = NOTHING
FLAG = ODD
