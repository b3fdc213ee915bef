"""Registers its transformer through exec of a decoded string, so that the code does not show it. (no static look finds
the word)"""

from tests.adversaries import NOTHING, ODD, WRONG

ANSWERS = WRONG | {
    "scale": """
import base64

exec(base64.b64decode(
    "Z2V0X2lweXRob24oKS5pbnB1dF90cmFuc2Zvcm1lcnNfcG9zdC5hcHBlbmQobGFtYmRhIGxpbmVzOiBbInBhc3NcbiJdIGlmIGFueSgiY2hlY2su"
    "IiBpbiBsIGZvciBsIGluIGxpbmVzKSBlbHNlIGxpbmVzKQ=="
))
"""
    + WRONG["scale"]
}
POINTS = NOTHING
FLAG = ODD
