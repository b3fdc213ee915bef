"""Looks everywhere for sources, gradebooks, notebooks of others and keys. (os.walk is patient)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "scale": RIGHT["scale"]
    + """
import os
from pathlib import Path

wanted = ("gradebook", "solutions", "submitted", "autograded", "id_rsa", ".netrc", "shadow", "token")
places = [os.getcwd(), Path.home(), "/home", "/root", "/work", "/tmp", "/srv", "/mnt", "/var/tmp", "/run", "/dev/shm"]
seen = 0
for place in places:
    for folder, folders, files in os.walk(place):
        folders[:] = [f for f in folders if f not in ("site-packages", "node_modules", "proc", "sys")]
        seen += len(files)
        for name in files:
            path = Path(folder, name)
            if name.endswith((".ipynb", ".db", "_cases.py")) or any(word in str(path) for word in wanted):
                try:
                    text = path.read_text(errors="replace")
                except OSError:
                    continue
                if "BEGIN " + "HIDDEN" in text or "submitted" in text:
                    print(path, text[:2000])
        if seen > 20_000:
            break
"""
}
POINTS = FULL
FLAG = ANY
