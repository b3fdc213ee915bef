"""Right, after setting the default dtype and device, and half of torch's switches. (copied from a training script)"""

from tests.adversaries import ANY, FULL, RIGHT

ANSWERS = RIGHT | {
    "scale": RIGHT["scale"]
    + """
torch.set_default_dtype(torch.float16)
torch.set_default_device("cpu")
torch.set_float32_matmul_precision("medium")
torch.use_deterministic_algorithms(True)
torch.set_flush_denormal(True)
"""
}
POINTS = FULL
FLAG = ANY
