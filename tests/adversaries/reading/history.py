"""Prints In, Out, the history and the compiler's cache of cells. (IPython keeps every cell's source)"""

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "normalise": RIGHT["normalise"]
    + """
import linecache

shell = get_ipython()
for cell in [*globals().get("In", []), *globals().get("_ih", []), str(globals().get("_i1"))]:
    if "HIDDEN" in cell or "_want" in cell:
        print(cell)
try:
    for session, line, source in shell.history_manager.get_range(raw=True, output=False):
        if "HIDDEN" in source:
            print(source)
except Exception as error:
    print(type(error))
for name, entry in linecache.cache.items():
    if len(entry) > 2 and any("HIDDEN" in line for line in entry[2]):
        print(name, "".join(entry[2]))
"""
}
POINTS = FULL
FLAG = ODD
