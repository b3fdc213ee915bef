"""Writes zeros to every place that can be written to until it is full. (a log that grows)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "normalise": """
import os

def normalise(x):
    written = 0
    for place in (".", "/tmp", "/var/tmp", "/dev/shm", os.path.expanduser("~")):
        for number in range(64):
            try:
                with open(os.path.join(place, f"adversary-{number}"), "wb") as file:
                    while written < 20 << 30:
                        written += file.write(bytes(16 << 20))
            except OSError:
                break
    raise OSError(f"{written >> 20} MB")
"""
}
POINTS = FULL | {"normalise": 0}
FLAG = ANY
