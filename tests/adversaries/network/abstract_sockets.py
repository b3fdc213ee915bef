"""Connects to the abstract unix sockets of the host, and leaves one of its own. (they have no file, and no mount hides
them)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "scale": RIGHT["scale"]
    + """
import socket
from pathlib import Path

try:
    found = [line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines()[1:] if "@" in line]
except OSError:
    found = []
for name in [*found, "@/tmp/.X11-unix/X0", "@dbus", "/run/systemd/private", "/run/docker.sock"]:
    with socket.socket(socket.AF_UNIX) as link:
        try:
            link.connect("\\0" + name[1:] if name[0] == "@" else name)
            print("REACHED", name)
        except OSError as error:
            print(name, type(error).__name__)
left = socket.socket(socket.AF_UNIX)
left.bind("\\0adversary-outlives")
left.listen()
"""
}
POINTS = FULL
FLAG = ODD
