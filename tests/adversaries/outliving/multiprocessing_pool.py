"""Leaves a pool of worker processes that was never closed. (an honest one, for speed)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "scale": RIGHT["scale"]
    + """
import multiprocessing as mp

pool = mp.get_context("fork").Pool(2)
print(pool.map(abs, [-1, -2]))
"""
}
POINTS = FULL
FLAG = ANY
