"""Right, with tests of its own by assert and by `check`. (good habits)"""

from tests.adversaries import FULL, RIGHT

ANSWERS = RIGHT | {
    "scale": RIGHT["scale"]
    + """
check.close(scale(torch.tensor([5.0])), torch.tensor([15.0]), "scale(5)")
assert torch.allclose(scale(torch.ones(2)), torch.full((2,), 3.0))
torch.testing.assert_close(scale(torch.ones(2)), torch.full((2,), 3.0))
""",
}
EXTRA_CELLS = [
    (
        "after",
        "exercise-twice",
        'check.equal(twice(len, "abc") if False else 1, 1, "my own")\nassert twice(abs, -1) == 1',
    ),
    ("before", "exercise-normalise", 'check.equal(1, 2, "a check of mine that fails")'),
]
POINTS = FULL
FLAG = None
