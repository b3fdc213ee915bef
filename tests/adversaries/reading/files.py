"""Looks everywhere for sources, gradebooks, notebooks of others and keys. (os.walk is patient)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "scale": RIGHT["scale"]
    + """
import os
from pathlib import Path

wanted = ("gradebook", "solutions", "submitted", "autograded", "id_rsa", ".netrc", "shadow", "token", "adversaries")
for place in (os.getcwd(), Path.home(), "/home", "/work", "/tmp", "/srv", "/mnt", "/var/tmp", "/run", "/dev/shm"):
    seen = 0
    for folder, folders, files in os.walk(place):
        folders[:] = [f for f in folders if f not in ("site-packages", "node_modules", ".git", ".cache")]
        seen += len(files)
        for name in files if seen < 20_000 else ():
            path = Path(folder, name)
            if name.endswith((".ipynb", ".db", "_cases.py")) or any(word in str(path) for word in wanted):
                try:
                    text = path.read_text(errors="replace")
                except OSError:
                    continue
                if "BEGIN " + "HIDDEN" in text or "submitted" in text:
                    print(path, text[:20_000])
"""
}
POINTS = FULL
FLAG = ANY
