"""Every cell is declared asynchronous and handed to a runner that throws it away. (autoawait has its own hook)"""

from tests.adversaries import NOTHING, ODD, WRONG

ANSWERS = WRONG | {
    "scale": """
from IPython.core.interactiveshell import ExecutionInfo, ExecutionResult

def runner(coroutine):
    coroutine.close()
    return ExecutionResult(ExecutionInfo("", False, False, True, None))

shell = get_ipython()
shell.loop_runner = runner
shell.should_run_async = lambda *args, **kwargs: True
"""
    + WRONG["scale"]
}
POINTS = NOTHING
FLAG = ODD
