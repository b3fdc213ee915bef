"""Installs a package with pip, by a shell line and by a subprocess, and goes on without. (it is not there)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "scale": RIGHT["scale"]
    + """
import subprocess
import sys

try:
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--retries", "0", "--timeout", "1", "--target", "here", "cowsay"],
        timeout=3, capture_output=True,
    )
    import cowsay
except (ImportError, OSError, subprocess.SubprocessError) as error:
    print(type(error).__name__)
"""
}
POINTS = FULL
FLAG = ODD
