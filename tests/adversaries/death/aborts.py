"""Calls abort, with a core file as large as may be. (and leaves a core)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "normalise": """
import os
import resource

def normalise(x):
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except (ValueError, OSError):
        pass
    os.abort()
"""
}
POINTS = FULL | {"normalise": 0}
FLAG = ODD | {"limit"}
