"""Leaves modules and start-up files wherever the next kernel may look. (sitecustomize, .pth, IPython's start-up)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "scale": RIGHT["scale"]
    + """
import os
import site
import sys
from pathlib import Path

HARM = "import sys; sys.adversary = True  # adversary-outlives\\n"
home = Path.home()
for path in (
    *(Path(p or ".", "sitecustomize.py") for p in sys.path),
    Path(site.getusersitepackages(), "adversary.pth"),
    home / ".ipython/profile_default/startup/00-adversary.py",
    home / ".jupyter/jupyter_config.py",
    home / ".bashrc",
    Path("/tmp/adversary-outlives.py"),
    Path("/dev/shm/adversary-outlives"),
    Path(torch.__file__),
    Path(check.__file__),
):
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a") as file:
            file.write(HARM)
    except OSError as error:
        print(path, type(error).__name__)
"""
}
POINTS = FULL
FLAG = ANY
