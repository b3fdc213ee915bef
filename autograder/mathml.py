"""Formulas as MathML, which browsers draw themselves: a page with formulas needs no script and no network.

latex2mathml makes elements of any LaTeX, a student's too, and its own serialisation turns escaped text back into tags.
So only its tree is used: the elements and attributes of MathML's core, with every text escaped.
"""

from __future__ import annotations

import html
from functools import lru_cache
from xml.etree.ElementTree import Element, tostring

from latex2mathml.converter import convert_to_element
from markupsafe import Markup

LONGEST = 2000  # characters; a longer one is shown as it was written

_ELEMENTS = (
    "math|mfrac|mi|mmultiscripts|mn|mo|mover|mpadded|mphantom|mprescripts|mroot|mrow|ms|mspace|msqrt|mstyle|msub|msubsup"
    "|msup|mtable|mtd|mtext|mtr|munder|munderover"
)
_ATTRIBUTES = (
    "accent|accentunder|columnalign|columnspacing|depth|display|displaystyle|fence|form|height|largeop|linethickness"
    "|lspace|mathvariant|maxsize|minsize|movablelimits|rowspacing|rspace|separator|stretchy|symmetric|width"
)
_CORE = {*_ELEMENTS.split("|"), *_ATTRIBUTES.split("|")}


@lru_cache(10_000)
def mathml(latex: str, display: bool = False) -> Markup:
    """The formula `latex`, on a line of its own with `display`; its source where it can't be understood."""
    shown = Markup("<code>{}</code>").format(latex)
    if len(latex) > LONGEST:
        return shown
    try:
        return Markup(tostring(_safe(convert_to_element(latex, display="block" if display else "inline")), "unicode"))
    except Exception:  # any text may stand between two dollar signs
        return shown


def _safe(found: Element) -> Element:
    attributes = {name: value for name, value in found.attrib.items() if name in _CORE}
    made = Element(found.tag if found.tag in _CORE else "mrow", attributes)
    made.text = html.unescape(found.text or "")
    made.extend(map(_safe, found))
    return made
