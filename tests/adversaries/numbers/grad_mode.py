"""Right, and leaves gradients switched off for all that follows. (to save memory)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {"scale": RIGHT["scale"] + "\ntorch.set_grad_enabled(False)\ntorch.inference_mode().__enter__()\n"}
POINTS = FULL
FLAG = ANY
