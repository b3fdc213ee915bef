"""The shell's class, not its instance, gets other methods for errors. (who compares the instance sees nothing)"""

from tests.adversaries import NOTHING, ODD, WRONG

ANSWERS = WRONG | {
    "scale": """
from IPython.core.interactiveshell import ExecutionResult, InteractiveShell

ExecutionResult.success = True
InteractiveShell.showtraceback = lambda self, *args, **kwargs: None
InteractiveShell._showtraceback = lambda self, *args, **kwargs: None
InteractiveShell.showsyntaxerror = lambda self, *args, **kwargs: None
"""
    + WRONG["scale"]
}
POINTS = NOTHING
FLAG = ODD
