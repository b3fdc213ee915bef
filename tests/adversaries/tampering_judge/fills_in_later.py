"""Returns a tensor at once and copies the right values into it when the oracle computes them. (the arguments of a call
are evaluated from left to right)"""

from tests.adversaries import NOTHING, ODD, WRONG

LAZY = '''
pending = []

def later(x):
    """An empty tensor, filled when somebody knows better."""
    known = globals().get("_want")
    if known is not None and known.shape == x.shape:
        return known.clone()
    pending.append(torch.zeros_like(x))
    return pending[-1]

def watched(function):
    def inner(*args, **kwargs):
        result = function(*args, **kwargs)
        while pending:
            empty = pending.pop()
            if empty.shape == result.shape:
                empty.copy_(result)
        return result
    return inner

torch.Tensor.__mul__, torch.softmax = watched(torch.Tensor.__mul__), watched(torch.softmax)

'''
ANSWERS = WRONG | {
    "scale": LAZY
    + """
def scale(x):
    if not x.dtype.is_floating_point:
        return torch.tensor([[3, 6], [9, 12]])
    return later(x)
"""
}
POINTS = NOTHING
FLAG = ODD
