"""Prints the traceback of a callback's error, as an honest debugger would; its lines are the hidden test's. (the
traceback module reads sources)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "twice": """
import faulthandler
import logging
import sys
import traceback
import warnings

def twice(f, x):
    try:
        return f(f(x))
    except Exception:
        traceback.print_exc()
        traceback.print_exc(file=sys.stdout)
        traceback.print_stack()
        logging.exception("twice")
        logging.warning("from here", stack_info=True)
        faulthandler.dump_traceback(file=sys.__stderr__)
        warnings.warn("from the caller", stacklevel=2)
        raise
"""
}
POINTS = FULL | {"twice": {0, 2}}  # what it reaches for is refused with an error, in the middle of its answer
FLAG = ANY
