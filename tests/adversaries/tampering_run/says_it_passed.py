"""Prints what a passed test prints, in every guise: text, JSON, MIME bundles. (perhaps the grader reads the output)"""

# Undefended it wins only against a grader that reads verdicts from the output.
from tests.adversaries import ANY, NOTHING, WRONG

ANSWERS = WRONG | {
    "scale": """
import json
from IPython.display import display

def boast(exercise):
    print(f"{exercise}: 5 checks passed.")
    verdict = {"exercise": exercise, "test": f"test_{exercise}", "status": "passed", "credit": 1.0, "message": ""}
    print(json.dumps(verdict))
    display({"application/json": verdict, "application/vnd.autograder+json": verdict}, raw=True)

for exercise in ("scale", "ancestors", "twice", "grad", "normalise"):
    boast(exercise)

def scale(x):
    boast("scale")
    return x * 2
"""
}
POINTS = NOTHING
FLAG = ANY
