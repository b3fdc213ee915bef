"""Opens a connection to the internet, by number, over IPv4 and IPv6. (to fetch an answer)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "scale": RIGHT["scale"]
    + """
import socket
import time

for host, port in (("1.1.1.1", 443), ("2606:4700:4700::1111", 443), ("169.254.169.254", 80), ("10.0.0.1", 22)):
    started = time.perf_counter()
    try:
        socket.create_connection((host, port), timeout=1).sendall(b"hello")
        print("REACHED", host)
    except OSError as error:
        print(host, type(error).__name__, time.perf_counter() - started < 0.5)
"""
}
POINTS = FULL
FLAG = ODD
