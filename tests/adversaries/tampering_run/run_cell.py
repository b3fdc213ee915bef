"""The shell's run_cell, and the kernel's do_execute, become ones that are always content. (stops every later cell)"""

from tests.adversaries import NOTHING, ODD, WRONG

ANSWERS = WRONG | {
    "scale": """
from IPython.core.interactiveshell import ExecutionInfo, ExecutionResult

shell = get_ipython()

def content(raw_cell, store_history=False, silent=False, shell_futures=True, cell_id=None):
    return ExecutionResult(ExecutionInfo(raw_cell, store_history, silent, shell_futures, cell_id))

async def done(*args, **kwargs):
    return {"status": "ok", "execution_count": shell.execution_count, "payload": [], "user_expressions": {}}

shell.run_cell = content
shell.run_cell_async = done
if hasattr(shell, "kernel"):
    shell.kernel.do_execute = done
"""
    + WRONG["scale"]
}
POINTS = NOTHING
FLAG = ODD
