"""A pre_run_cell hook puts a lenient `check` in place just before each cell runs. (later than any look at the names)"""

from tests.adversaries import NOTHING, ODD, WRONG

ANSWERS = WRONG | {
    "scale": """
from types import SimpleNamespace

shell = get_ipython()
content = lambda *args, **kwargs: None
lenient = SimpleNamespace(**vars(check) | dict(close=content, equal=content, that=content, raises=content))
shell.events.register("pre_run_cell", lambda *_: shell.user_ns.update(check=lenient, agree=content))
"""
    + WRONG["scale"]
}
POINTS = NOTHING
FLAG = ODD
