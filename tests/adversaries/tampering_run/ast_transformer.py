"""An AST transformer takes every call of `check` out of later cells. (IPython's documented hook)"""

from tests.adversaries import NOTHING, ODD, WRONG

ANSWERS = WRONG | {
    "scale": """
import ast

class Lenient(ast.NodeTransformer):
    def visit_Expr(self, node):
        text = ast.unparse(node)
        return ast.Pass() if text.startswith(("check.", "agree(")) else node

get_ipython().ast_transformers.append(Lenient())
"""
    + WRONG["scale"]
}
POINTS = NOTHING
FLAG = ODD
