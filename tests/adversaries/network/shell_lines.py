"""Tries curl, wget, git and nc from shell lines in cells of its own. (notebooks make it easy)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT
EXTRA_CELLS = [
    ("after", "imports", "!timeout 1 curl -s -m 1 http://1.1.1.1/"),
    ("after", "exercise-scale", "!timeout 1 git clone -q https://github.com/octocat/Hello-World.git"),
    (
        "after",
        "exercise-twice",
        "%%bash --no-raise-error\ntimeout 1 bash -c 'echo hello > /dev/tcp/1.1.1.1/80' && echo REACHED",
    ),
]
POINTS = FULL
FLAG = ODD
