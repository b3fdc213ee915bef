"""Sends the input to a server and returns what that answers. (somebody else's work)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "normalise": """
import json
import urllib.request

def normalise(x):
    data = json.dumps(x.tolist()).encode()
    with urllib.request.urlopen("http://answers.example.org/normalise", data, timeout=2) as reply:
        return torch.tensor(json.load(reply), dtype=x.dtype)
"""
}
POINTS = FULL | {"normalise": 0}
FLAG = ODD
