"""Searches the process's own memory through /proc/self/mem for the marks of hidden tests. (nothing is ever wiped)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "scale": RIGHT["scale"]
    + """
import re

mark = re.compile(b"#{3} BEGIN HID" + b"DEN[ -~\\\\n]{200,2000}")
with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
    for line in maps:
        low, high, rights = re.match(r"(\\w+)-(\\w+) (\\S+)", line).groups()
        if rights.startswith("rw") and int(high, 16) - int(low, 16) < 1 << 29:
            try:
                memory.seek(int(low, 16))
                block = memory.read(int(high, 16) - int(low, 16))
            except (OSError, OverflowError, ValueError):
                continue
            for found in mark.findall(block):
                print(found.decode())
"""
}
POINTS = FULL
FLAG = ANY
