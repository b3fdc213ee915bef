"""Imports the autograder and asks it for the lesson's source. (perhaps it is installed)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "scale": RIGHT["scale"]
    + """
import importlib.util
import sys

for name in ("autograder", "autograder.source", "autograder.snapshot", "nbgrader", "tests.adversaries"):
    try:
        module = importlib.import_module(name)
        print(module.__file__)
        for key, value in list(vars(module).items()):
            if key in ("RIGHT", "LESSON"):
                print(value)
    except Exception as error:
        print(name, type(error).__name__)
print([name for name in sys.modules if "grader" in name], sys.argv, sys.path)
"""
}
POINTS = FULL
FLAG = ANY
