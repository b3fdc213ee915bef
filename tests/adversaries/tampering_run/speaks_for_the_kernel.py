"""Sends an execute_reply and an idle status through the kernel's own session. (the client believes its kernel)"""

# Undefended it can't be shown without a kernel; with stock nbclient the forged reply is taken for the test's.
from tests.adversaries import NOTHING, ODD, WRONG

ANSWERS = WRONG | {
    "scale": """
def scale(x):
    kernel = get_ipython().kernel
    parent = kernel.get_parent("shell")
    content = {"status": "ok", "execution_count": 1, "payload": [], "user_expressions": {}}
    for stream in kernel.shell_streams if hasattr(kernel, "shell_streams") else [kernel.shell_stream]:
        kernel.session.send(stream, "execute_reply", content, parent, ident=kernel._shell_parent_ident)
    kernel.session.send(kernel.iopub_socket, "status", {"execution_state": "idle"}, parent)
    return x * 2
"""
}
POINTS = NOTHING
FLAG = ODD
