"""Looks at deleted and shared files: /dev/shm, memfds, /tmp, sockets in /proc/net. (what others leave behind)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "scale": RIGHT["scale"]
    + """
import os
from pathlib import Path

for place in ("/dev/shm", "/dev/mqueue", "/tmp", "/var/tmp", "/run/user", os.getcwd()):
    for path in Path(place).glob("*"):
        try:
            print(path, path.stat().st_size, path.read_bytes()[:1000] if path.is_file() else "")
        except OSError:
            pass
for name in ("unix", "tcp", "tcp6"):
    try:
        print(Path("/proc/net", name).read_text())
    except OSError:
        pass
"""
}
POINTS = FULL
FLAG = ANY
