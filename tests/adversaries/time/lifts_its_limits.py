"""Raises its own limits with setrlimit and disarms timers, then does its work. (to be prepared)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "scale": RIGHT["scale"]
    + """
import resource
import signal

for name in (name for name in dir(resource) if name.startswith("RLIMIT_")):
    for wish in (resource.RLIM_INFINITY, resource.getrlimit(getattr(resource, name))[1]):
        try:
            resource.setrlimit(getattr(resource, name), (wish, wish))
        except (ValueError, OSError):
            pass
signal.setitimer(signal.ITIMER_REAL, 0)
signal.alarm(0)
"""
}
POINTS = FULL
FLAG = ODD
