"""Opens a server on all interfaces and waits for the next student's answers. (the other direction)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "scale": RIGHT["scale"]
    + """
import http.server
import threading

try:
    server = http.server.ThreadingHTTPServer(("0.0.0.0", 48_123), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
except OSError as error:
    print(type(error).__name__)
"""
}
POINTS = FULL
FLAG = ODD
