"""Returns NaN, infinities, strings, None and lists in place of numbers. (perhaps something compares as true)"""

from tests.adversaries import NOTHING

ANSWERS = {
    "scale": "def scale(x):\n    return x * float('nan')\n",
    "ancestors": "def ancestors(node):\n    return float('inf')\n",
    "twice": "def twice(f, x):\n    return '12'\n",
    "grad": "def grad(f, x):\n    return [None] * len(x)\n",
    "normalise": "def normalise(x):\n    return x.double() * float('inf')\n",
}
POINTS = NOTHING
FLAG = None
