"""The prose of a Wikipedia article, from its source (https://www.mediawiki.org/wiki/Help:Formatting)."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

DROPPED = "ref|gallery|timeline|imagemap|source|syntaxhighlight|pre|table|div|blockquote|poem"  # with all they hold
ENDING = "See also|Notes|References|Footnotes|Citations|Sources|Bibliography|Further reading|External links"
HOLE = "\0"  # where something stood without which a sentence is none
UNCLEAR = re.compile(rf"{HOLE}|\[\[|\]\]|\{{\||\|\}}")  # the latter where the source itself has a bracket too many
SPACES = {"snd": " –", "spaced ndash": " –", "ndash": "–", "mdash": "—", "mdashb": "—", "nbsp": " "}
SPACES |= {"'": "'", "'s": "'s"}
SHOWS_LAST = re.compile(r"(lang|transl|rtl-lang|nowrap|sc|linktext|big|small|vr)(-[\w-]+)?")  # -> its last argument
NOTHING = re.compile(  # templates after which a sentence is still one
    r"cite|citation|ref|sfn|efn|harv|rp\b|#tag:ref|ipa|respell|better source|clarify|page needed|when|which|who|by whom"
    r"|where|failed|vague|dead link|dubious|according|weasel|unreliable|quantify|coord|inflation.fn|audio|pron|abbr="
    r"|clear"
)


def prose(source: str) -> str:
    """Its paragraphs, with one empty line between.

    Headings, lists, tables, pictures, notes and what follows the article's body are left out, and so is a paragraph
    that holds a formula or a template whose text is not known here.
    """
    source = re.sub(r"<!--.*?-->", "", source, flags=re.DOTALL)
    source = re.sub(r"<ref\b[^<>]*/>", "", source, flags=re.IGNORECASE)
    source = re.sub(rf"<({DROPPED})\b[^>]*>.*?</\1\s*>", "", source, flags=re.DOTALL | re.IGNORECASE)
    source = re.sub(r"<math\b.*?</math>", HOLE, source, flags=re.DOTALL)
    source = _innermost(r"\{\{([^{}]*)\}\}", _template, source)
    source = re.split(rf"^==\s*(?:{ENDING})\b[^=\n]*==", source, maxsplit=1, flags=re.MULTILINE | re.IGNORECASE)[0]
    source = _innermost(r"^[:*]*\{\|(?:(?!\{\|).)*?^\|\}", lambda _: "\n", source, re.DOTALL | re.MULTILINE)
    source = _innermost(r"\[\[([^\[\]]*)\]\]", _link, source)
    source = re.sub(r"\[(?:https?|ftp)?:?//\S+ ?([^\[\]\n]*)\]", r"\1", source)
    source = re.sub(r"<br\s*/?>", " ", source, flags=re.IGNORECASE)
    source = html.unescape(re.sub(r"'{2,}|</?[a-zA-Z][^<>]*>|__[A-Z]+__", "", source))
    no_prose = rf"^(?:[=*#:;|!{{}} ].*|-{{4,}}|{HOLE}+\s*)$"
    paragraphs = re.split(r"\n\s*\n", re.sub(no_prose, "\n", source, flags=re.MULTILINE))
    paragraphs = [_mend(paragraph) for paragraph in paragraphs]
    return "\n\n".join(text for text in paragraphs if re.search(r"[.!?][\"”')]*$", text) and not UNCLEAR.search(text))


def _innermost(pattern: str, replacement: Callable[[re.Match[str]], str], text: str, flags: int = 0) -> str:
    """Replace what holds no other of its kind, until there is none."""
    found = 1
    while found:
        text, found = re.subn(pattern, replacement, text, flags=flags)
    return text


def _template(match: re.Match[str]) -> str:
    name, *arguments = (part.strip() for part in match[1].split("|"))
    name = name.lower()
    shown = [argument for argument in arguments if not re.match(r"\w+\s*=", argument)]
    if name in SPACES:
        return SPACES[name]
    if SHOWS_LAST.fullmatch(name) and shown:
        return shown[-1]
    if name in ("convert", "cvt") and len(shown) > 1:
        return " ".join(shown[:4] if shown[1] in ("to", "and", "-", "–", "by", "x") else shown[:2])
    if name == "as of" and shown:
        return f"{'as' if 'lc=y' in arguments else 'As'} of {shown[0]}"
    return "" if NOTHING.match(name) else HOLE


def _link(match: re.Match[str]) -> str:
    target, _, shown = match[1].partition("|")
    if re.match(r"\s*(file|image|media|category|[a-z]{2,3}|be-x-old)\s*:", target, re.IGNORECASE):
        return ""
    return shown.rpartition("|")[2] or target.lstrip(":")


def _mend(text: str) -> str:
    """Without what is left around something that was taken out: "( ; 1809)", "a , b"."""
    text = re.sub(r"\(\s*(?:or|and)?[\s,;:]+", "(", text)
    text = re.sub(r"[\s,;:]+\)", ")", text).replace("()", "")
    return re.sub(r"\s+([,.;:?!])", r"\1", " ".join(text.split()))
