"""Right, with figures in its own cells. (wants to see it)"""

from tests.adversaries import FULL, RIGHT

ANSWERS = RIGHT
EXTRA_CELLS = [
    (
        "after",
        "exercise-scale",
        """
import matplotlib.pyplot as plt

figure, axes = plt.subplots(1, 2)
axes[0].plot([1, 2, 3], scale(torch.tensor([1, 2, 3])))
axes[1].hist(scale(torch.randn(100)).numpy())
axes[1].set_title("a test")
plt.show()
""",
    ),
    ("after", "exercise-normalise", "plt.imshow(normalise(torch.randn(5, 5)))\nplt.colorbar();"),
]
POINTS = FULL
FLAG = None
