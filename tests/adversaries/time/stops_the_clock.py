"""Sets every clock of the time module to a standstill. (limits are measured by clocks)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "scale": RIGHT["scale"]
    + """
import time

time.time = time.monotonic = time.perf_counter = time.process_time = lambda: 0.0
time.time_ns = time.monotonic_ns = time.perf_counter_ns = lambda: 0
time.sleep = lambda seconds: None
"""
}
POINTS = FULL
FLAG = ODD
