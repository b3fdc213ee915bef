"""Raises KeyboardInterrupt, GeneratorExit, CancelledError and StopIteration in tests. (perhaps one is no failure)"""

from tests.adversaries import ANY, NOTHING, WRONG

ANSWERS = WRONG | {
    "scale": "def scale(x):\n    raise KeyboardInterrupt",
    "ancestors": "def ancestors(node):\n    raise GeneratorExit",
    "twice": "import asyncio\ndef twice(f, x):\n    raise asyncio.CancelledError",
    "grad": "def grad(f, x):\n    raise StopIteration(0)",
    "normalise": "import unittest\ndef normalise(x):\n    raise unittest.SkipTest('not today')",
}
POINTS = NOTHING
FLAG = ANY
