"""A sparse file of ten terabytes beside the notebook, and a folder a thousand levels deep. (who copies them back?)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "normalise": RIGHT["normalise"]
    + """
import os

here = os.getcwd()
try:
    with open("sparse", "wb") as file:
        file.truncate(10 << 40)
except OSError as error:
    print(error)
try:
    for _ in range(1000):
        os.mkdir("d" * 200)
        os.chdir("d" * 200)
except OSError as error:
    print(error)
os.chdir(here)
"""
}
POINTS = FULL
FLAG = ANY
