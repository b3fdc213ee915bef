"""Right, with a temporary file and a JSON file beside the notebook. (keeps its results)"""

from tests.adversaries import FULL, RIGHT

ANSWERS = RIGHT | {
    "scale": """
import json
import os
import tempfile
from pathlib import Path

def scale(x):
    return x * 3

Path("results.json").write_text(json.dumps({"scaled": scale(torch.ones(2)).tolist()}))
print(json.loads(Path("results.json").read_text()), os.getcwd() != "")
with tempfile.NamedTemporaryFile() as scratch:
    torch.save(scale(torch.ones(2)), scratch.name)
    print(torch.load(scratch.name))
"""
}
POINTS = FULL
FLAG = None
