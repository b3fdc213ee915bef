"""builtins.compile drops the expression statements of what it compiles. (the shell calls it for every cell)"""

from tests.adversaries import NOTHING, ODD, WRONG

ANSWERS = WRONG | {
    "scale": """
import ast
import builtins

real = builtins.compile

def lenient(source, filename, mode, flags=0, *args, **kwargs):
    tree = real(source, filename, mode, flags, *args, **kwargs)
    if isinstance(tree, ast.Module):
        tree.body = [node for node in tree.body if not isinstance(node, ast.Expr | ast.With)] or [ast.Pass()]
    return tree

builtins.compile = lenient
"""
    + WRONG["scale"]
}
POINTS = NOTHING
FLAG = ODD
