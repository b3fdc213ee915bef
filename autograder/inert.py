"""Inert: nothing that a student puts into a notebook runs in the browser of whoever opens it.

`inert` rebuilds a notebook from the parts that are known to be harmless, so a kind of output, a field or a type that
nobody thought of is left out and not passed on. nbconvert escapes most of what it renders, and not all: raw HTML in
Markdown, a Mermaid block, an execution count that is no number, the width of a picture, ``files/javascript:``.

What a student wrote stays readable: Markdown with active content in it is shown as its own source text.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
import struct
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import count
from typing import Any

import nh3
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbconvert.preprocessors import Preprocessor
from nbformat import NotebookNode, from_dict

OUTPUTS = 50  # of one cell,
OUTPUT_CHARACTERS = 50_000  # their text in all,
PICTURE_CHARACTERS = 3_000_000  # and their pictures, in base64
PICTURE_PIXELS = 25_000_000  # a small file may unpack to anything
SOURCE_CHARACTERS = 200_000  # of one cell

_CELL_METADATA = ("autograder", "deletable", "editable", "tags")
_NOTEBOOK_METADATA = ("autograder", "kernelspec", "llmsys", "title")
_NBGRADER: dict[str, type | tuple[type, ...]] = {
    "schema_version": int,
    "grade": bool,
    "solution": bool,
    "locked": bool,
    "task": bool,
    "grade_id": str,
    "points": (int, float),
    "checksum": str,
    "cell_type": str,
}


def inert(notebook: NotebookNode) -> NotebookNode:
    """A copy of `notebook` that is safe to render as HTML, and of a bounded size.

    Sources, nbgrader's and the autograder's metadata, text outputs and PNG pictures stay; HTML outputs are sanitised;
    everything else that could be active is left out. Applying it twice changes nothing more.
    """
    found = [cell for cell in _items(notebook.get("cells")) if isinstance(cell, Mapping)]
    cells = [_cell(cell) | {"id": name} for cell, name in zip(found, _ids(found), strict=True)]
    # Without nbformat's own makers, which validate each piece against a schema: that is most of the time.
    return from_dict({"nbformat": 4, "nbformat_minor": 5, "metadata": _metadata(notebook), "cells": cells})


class Inert(Preprocessor):
    """`inert` as a step of nbconvert, for the formgrader and whatever else renders a notebook."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        return inert(nb), resources

    def __call__(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        return self.preprocess(nb, resources)


# ---------------------------------------------------------------- cells


def _metadata(notebook: NotebookNode) -> dict[str, Any]:
    given = _mapping(notebook.get("metadata"))
    kept = {key: given[key] for key in _NOTEBOOK_METADATA if key in given}
    kept["title"] = str(kept.get("title", ""))
    # A lexer may be anything that Pygments has, some of which are slow on purpose-made text.
    return kept | {"language_info": {"name": "python", "pygments_lexer": "ipython3"}}


def _cell(cell: Mapping[str, Any]) -> dict[str, Any]:
    source = _cut(_text(cell.get("source", "")), SOURCE_CHARACTERS)
    made: dict[str, Any] = {"metadata": _cell_metadata(cell)}
    match cell.get("cell_type"):
        case "code":
            count = _whole_number(cell.get("execution_count"))
            return made | {
                "cell_type": "code",
                "source": source,
                "execution_count": count,
                "outputs": _outputs(cell.get("outputs")),
            }
        case "markdown":
            attachments = _attachments(cell.get("attachments"))
            made |= {"attachments": attachments} if attachments else {}
            return made | {"cell_type": "markdown", "source": inert_markdown(source, frozenset(attachments))}
        case _:  # raw, which nbconvert cleans, or a type that there is not
            return made | {"cell_type": "raw", "source": source}


def _ids(cells: list[Mapping[str, Any]]) -> Iterable[str]:
    """As they are where they are valid and new; never by chance, so that a notebook always gives the same copy."""
    taken: dict[str, None] = {}
    for index, cell in enumerate(cells):
        name = str(cell.get("id"))
        if not re.fullmatch(r"[\w-]{1,64}", name, re.ASCII) or name in taken:
            name = next(free for n in count(index) if (free := f"cell-{n}") not in taken)
        taken[name] = None
    return taken


def _cell_metadata(cell: Mapping[str, Any]) -> dict[str, Any]:
    given = _mapping(cell.get("metadata"))
    kept = {key: given[key] for key in _CELL_METADATA if key in given}
    kept["tags"] = [tag for tag in _items(kept.get("tags")) if re.fullmatch(r"[\w-]+", str(tag))]
    if not kept["tags"]:
        del kept["tags"]
    found = given.get("nbgrader")
    if isinstance(found, Mapping) and re.fullmatch(r"[\w.-]+", str(found.get("grade_id"))):
        kept["nbgrader"] = {key: found[key] for key, kind in _NBGRADER.items() if isinstance(found.get(key), kind)}
    return kept


def _whole_number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: Any) -> str:
    """nbformat allows a text to be a list of lines. Half a surrogate can be written nowhere."""
    joined = value if isinstance(value, str) else "".join(map(str, _items(value)))
    return joined.encode("utf-8", "replace").decode("utf-8")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _items(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _cut(text: str, limit: int) -> str:
    """The begin and the end of a text: what a student printed first, and what happened last."""
    if len(text) <= limit:
        return text
    note = f"\n[... {len(text) - limit} characters left out ...]\n"
    return text[: limit * 3 // 4 - len(note)] + note + text[-(limit // 4) :]


# ---------------------------------------------------------------- outputs


def _outputs(found: Any) -> list[dict[str, Any]]:
    """Text first come first served: `OUTPUT_CHARACTERS` for all outputs of a cell."""
    kept: list[dict[str, Any]] = []
    left, pictures = OUTPUT_CHARACTERS, PICTURE_CHARACTERS
    outputs = [output for output in _items(found) if isinstance(output, Mapping)]
    for output in outputs[:OUTPUTS]:
        made = _output(output, max(left, 200), pictures)
        if made is not None:
            left -= _characters(made)
            pictures -= len(made.get("data", {}).get("image/png", ""))
            kept.append(made)
    if len(outputs) > OUTPUTS:
        note = f"[... {len(outputs) - OUTPUTS} more outputs left out ...]"
        kept.append({"output_type": "stream", "name": "stdout", "text": note})
    return kept


def _output(output: Mapping[str, Any], characters: int, pictures: int) -> dict[str, Any] | None:
    match output.get("output_type"):
        case "stream":
            name = "stderr" if output.get("name") == "stderr" else "stdout"
            return {"output_type": "stream", "name": name, "text": _cut(_text(output.get("text", "")), characters)}
        case "error":
            traceback = _cut(_text("\n".join(map(str, _items(output.get("traceback"))))), characters)
            name, value = (_cut(_text(str(output.get(key, ""))), 2000) for key in ("ename", "evalue"))
            return {"output_type": "error", "ename": name, "evalue": value, "traceback": traceback.split("\n")}
        case "display_data" | "execute_result":
            data = _data(output.get("data"), characters, pictures)
            return {"output_type": "display_data", "metadata": {}, "data": data} if data else None
    return None


def _data(found: Any, characters: int, pictures: int) -> dict[str, str]:
    """One form of what was displayed: the picture, else the HTML, else the text. SVG and scripts have none here."""
    data = _mapping(found)
    png = "".join(_text(data.get("image/png", "")).split())
    if png and len(png) <= pictures and _is_png(png):
        return {"image/png": png}
    plain = _cut(_text(data.get("text/plain", "")), characters)
    html = _text(data.get("text/html", ""))
    if len(html) <= characters and (cleaned := CLEANER.clean(html)):
        return {"text/html": cleaned, "text/plain": plain}
    if png:
        plain += "\n[a picture that can't be shown here]"
    return {"text/plain": plain} if plain else {}


def _is_png(encoded: str) -> bool:
    try:
        head = base64.b64decode(encoded, validate=True)[:24]
    except (binascii.Error, ValueError):
        return False
    if len(head) < 24 or not head.startswith(b"\x89PNG\r\n\x1a\n"):
        return False
    return math.prod(struct.unpack(">II", head[16:24])) <= PICTURE_PIXELS


def _characters(output: Mapping[str, Any]) -> int:
    data = output.get("data", {})
    texts = (
        output.get("text", ""),
        *output.get("traceback", ()),
        data.get("text/html", ""),
        data.get("text/plain", ""),
    )
    return sum(map(len, texts))


def _attachments(found: Any) -> dict[str, dict[str, str]]:
    pictures = {}
    for name, forms in _mapping(found).items():
        png = _text(_mapping(forms).get("image/png", ""))
        if re.fullmatch(r"[A-Za-z0-9_.-]+", str(name)) and len(png) <= PICTURE_CHARACTERS and _is_png(png):
            pictures[str(name)] = {"image/png": png}
    return pictures


# ---------------------------------------------------------------- HTML

_PLAIN_TAGS = (
    "abbr|b|blockquote|br|caption|center|code|dd|del|details|div|dl|dt|em|h1|h2|h3|h4|h5|h6|hr|i|ins|kbd|li|mark|ol|p|pre"
    "|s|samp|small|span|strong|sub|summary|sup|table|tbody|td|tfoot|th|thead|tr|u|ul|var"
)
_PICTURE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/=]*")
_HIGHLIGHT = re.compile(r"(highlight|[a-z][a-z0-9]{0,2})( (highlight|[a-z][a-z0-9]{0,2}))*")  # Pygments' classes


def _attribute(tag: str, name: str, value: str) -> str | None:
    """No address but a picture in the page itself: to load another tells its owner who reads this, and when."""
    value = re.sub(r"[\ue000-\uf8ff]", "", value)  # a renderer may put something in the place of such a character
    if name == "class":
        return value if _HIGHLIGHT.fullmatch(value) else None
    if tag == "img" and name == "src":
        return value if _PICTURE.fullmatch(value) else None
    return value if not value.lower().lstrip().startswith("data:") else None


# For what is rendered already. nh3 is ammonia, which parses as a browser does.
CLEANER = nh3.Cleaner(
    tags={*_PLAIN_TAGS.split("|"), "a", "img"},
    attributes={
        "*": {"class", "title"},
        "a": {"href"},
        "img": {"alt", "src"},
        "ol": {"start"},
        "td": {"colspan", "rowspan", "align"},
        "th": {"colspan", "rowspan", "align", "scope"},
    },
    attribute_filter=_attribute,
    clean_content_tags={"script", "style", "svg", "math", "iframe", "object", "noscript", "template", "title"},
    url_schemes={"http", "https", "mailto", "data"},
    url_relative="deny",
)

_PLAIN_TAG = re.compile(rf"</?(?:{_PLAIN_TAGS})\s*/?>|<!--[\w\s.,:;()'-]*?-->", re.IGNORECASE)
_LINK = re.compile(r"(https?://|mailto:)[^\s\"'<>]*|#[\w%.-]*", re.IGNORECASE)
# Beside the notebook may lie a page that was handed in with it; of these kinds, no server makes one.
_FILE = re.compile(r"[\w.][\w./%-]*\.(ipynb|png|jpe?g)(#[\w%.-]*)?", re.IGNORECASE)
_AS_WRITTEN = "*Shown as it was written, for it holds active content:*"


@lru_cache(2000)  # a class shares the lesson's prose
def inert_markdown(source: str, attachments: frozenset[str] = frozenset()) -> str:
    """`source` itself where a Markdown renderer makes nothing active of it; else its text in a fence.

    Args:
        source: of a Markdown cell.
        attachments: the names of the pictures that are attached to it.
    """
    if not _active(source, attachments):
        return source
    fence = "`" * max(3, 1 + max(map(len, re.findall(r"`+", source)), default=0))  # that nothing in it can close
    shown = f"{_AS_WRITTEN}\n\n{fence}text\n{source}\n{fence}"
    return shown if not _active(shown) else "*This cell holds active content that can't be shown.*"


def _active(source: str, attachments: frozenset[str] = frozenset()) -> bool:
    renderer = _Watch(attachments)
    try:
        MarkdownWithMath(renderer=renderer).render(source)
    except Exception:  # what the renderer can't stand would stop the whole page
        return True
    return bool(renderer.found)


class _Watch(IPythonRenderer):
    """nbconvert's renderer, which notes what it would pass on as it is. The page's own parser decides, not a guess."""

    def __init__(self, attachments: frozenset[str]) -> None:
        super().__init__(escape=False, exclude_anchor_links=True)
        self.pictures = {f"attachment:{name}" for name in attachments}
        self.found: list[str] = []

    def block_html(self, html: str) -> str:
        return self._html(html)

    def inline_html(self, html: str) -> str:
        return self._html(html)

    def _html(self, html: str) -> str:
        if "<" in _PLAIN_TAG.sub("", html):
            self.found.append(html)
        return ""

    def block_code(self, code: str, info: str | None = None) -> str:
        if info and info.lstrip().startswith("mermaid"):  # passed on unescaped
            self.found.append(info)
        return ""

    def link(self, text: str, url: str, title: str | None = None) -> str:
        if not (_LINK.fullmatch(url) or _FILE.fullmatch(url)):
            self.found.append(url)
        return text

    def image(self, text: str, url: str, title: str | None = None) -> str:
        # nbconvert stops at the name of an attachment that is not there.
        if not (url in self.pictures or _FILE.fullmatch(url) or _PICTURE.fullmatch(url)):
            self.found.append(url)
        return text
