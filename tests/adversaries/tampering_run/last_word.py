"""Registers atexit, shutdown and exit hooks that forge verdicts when the run is over. (the last writer wins)"""

# Undefended it can't be shown without knowing where verdicts are kept.
from tests.adversaries import NOTHING, ODD, WRONG

ANSWERS = WRONG | {
    "scale": """
import atexit
import json
import os
import signal
import sys
import threading
from pathlib import Path

def forge(*_):
    notebook = {"cells": [], "metadata": {"autograder": {"status": "passed", "credit": 1.0}}, "nbformat": 4,
                "nbformat_minor": 5}
    for name in ("lesson.ipynb", "result.json", "verdict.json", "/tmp/lesson.ipynb", "../lesson.ipynb"):
        try:
            Path(name).write_text(json.dumps(notebook))
        except OSError:
            pass
    for descriptor in range(3, 64):
        try:
            os.write(descriptor, json.dumps({"status": "passed", "credit": 1.0}).encode() + b"\\n")
        except OSError:
            pass

atexit.register(forge)
threading._register_atexit(forge)
signal.signal(signal.SIGTERM, forge)
sys.exitfunc = forge
"""
    + WRONG["scale"]
}
POINTS = NOTHING
FLAG = ODD
