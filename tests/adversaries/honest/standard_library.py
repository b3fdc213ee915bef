"""Right, with lru_cache, inspect.signature, logging, json, re, math, itertools and collections. (likes the library)"""

from tests.adversaries import FULL, RIGHT

ANSWERS = RIGHT | {
    "scale": """
import collections
import inspect
import itertools
import json
import logging
import math
import re
import time
from functools import lru_cache
from pathlib import Path

log = logging.getLogger("homework")
logging.basicConfig(level=logging.INFO)

@lru_cache(maxsize=None)
def factor(dtype):
    log.info("a factor for %s", dtype)
    return torch.tensor(math.prod([3]), dtype=dtype)

def scale(x):
    return x * factor(x.dtype)
""",
    "ancestors": """
def ancestors(node):
    queue, found = collections.deque(node.parents), collections.OrderedDict()
    while queue:
        above = queue.popleft()
        if above not in found:
            found[above] = next(itertools.count())
            queue.extendleft(above.parents)
    return list(found)

assert str(inspect.signature(ancestors)) == "(node)"
""",
    "twice": """
def twice(f, x):
    if not callable(f):
        raise TypeError(json.dumps({"not callable": re.sub("<.*>", "", repr(f))}))
    started = time.perf_counter()
    result = f(f(x))
    log.debug("took %.3f s", time.perf_counter() - started)
    return result
""",
}
POINTS = FULL
FLAG = None
