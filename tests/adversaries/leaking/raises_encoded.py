"""Raises the caller's source in base64, in rot13 and letter by letter. (a search for the text finds nothing)"""

from base64 import b64encode

from tests.adversaries import FULL, ODD, RIGHT

ANSWERS = RIGHT | {
    "grad": """
import base64
import codecs
import inspect

def grad(f, x):
    if len(x) == 5:
        source = inspect.getsource(inspect.currentframe().f_back)
        raise RuntimeError("64 " + base64.b64encode(source.encode()).decode() + " 13 " + codecs.encode(source, "rot13")
                           + " one " + " ".join(source))
    return 2 * x
"""
}
POINTS = FULL | {"grad": 0}
FLAG = ODD
HIDDEN_LINE = b"_want = _oracle(_wave, _x)"
SECRETS = ["_jnag = _benpyr(_jnir", "_ w a n t   =", *(b64encode(HIDDEN_LINE[k : k + 21]).decode() for k in range(3))]
