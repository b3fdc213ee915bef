"""Known ways to smuggle active content through a notebook into the browser of a grader or a student."""

from __future__ import annotations

import base64
import struct
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
import nbgrader
import pytest
from bs4 import BeautifulSoup
from nbconvert.exporters import HTMLExporter
from nbformat import NotebookNode, from_dict
from traitlets.config import Config

from autograder import inert as module
from autograder.inert import inert

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SVG = "<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'><script>alert(1)</script></svg>"


@cache
def formgrader(*preprocessors: str) -> HTMLExporter:
    templates = Path(nbgrader.__file__).parent / "server_extensions" / "formgrader" / "templates"
    config = Config()
    config.HTMLExporter.template_name = "formgrade"
    config.HTMLExporter.extra_template_basedirs = [str(templates)]
    config.HTMLExporter.preprocessors = list(preprocessors)
    return HTMLExporter(config=config)


def page_of(notebook: NotebookNode, *preprocessors: str) -> str:
    """`notebook` as nbgrader's formgrader shows it."""
    resources = dict.fromkeys(("base_url", "notebook_id", "assignment_id", "submission_id", "notebook_path"), "x")
    resources |= {"index": 0, "total": 1, "student": "s", "last_name": "L", "first_name": "F"}
    return formgrader(*preprocessors).from_notebook_node(notebook, resources)[0]


_ACTIVE = {"script", "iframe", "object", "embed", "svg", "form", "base", "meta", "link", "style", "template", "frame"}
_ADDRESSES = {"href", "src", "srcset", "srcdoc", "action", "formaction", "xlink:href", "data", "background", "poster"}
_HARMLESS = {True: ("data:image/png;base64,",), False: ("#", "http", "mailto:")}  # for what is loaded; for a link


def active(page: str) -> set[str]:
    """What a browser would run, load or submit, in the part of a page that shows the notebook."""
    found = set()
    for tag in BeautifulSoup(page, "html.parser").find(id="notebook-container").find_all():
        if tag.name in _ACTIVE:
            found.add(tag.name)
        for name, value in tag.attrs.items():
            text = "".join(str(value).lower().split())
            if name.startswith("on") or name == "style":
                found.add(name)
            elif name in _ADDRESSES and not text.startswith(_HARMLESS[name == "src"]):
                found.add(f"{name}={text[:40]}")
    return found


def notebook(*cells: dict[str, Any]) -> NotebookNode:
    return from_dict({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": list(cells)})


def markdown(source: str, **more: Any) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": "m", "metadata": {}, "source": source} | more


def code(*outputs: dict[str, Any], **more: Any) -> dict[str, Any]:
    cell = {"cell_type": "code", "id": "c", "metadata": {}, "source": "x", "execution_count": 1}
    return cell | {"outputs": list(outputs)} | more


def display(metadata: Any = None, kind: str = "display_data", **data: str) -> dict[str, Any]:
    forms = {name.replace("__", "+").replace("_", "/", 1): value for name, value in data.items()}
    more = {"execution_count": 1} if kind == "execute_result" else {}
    return {"output_type": kind, "metadata": metadata or {}, "data": forms} | more


MARKDOWN = {
    "script": "<script>alert(1)</script>",
    "script in capitals": "text <ScRiPt >alert(1)</sCrIpT>",
    "image with a handler": "<img src=x onerror=alert(1)>",
    "handler without a space": "<img/src='x'/onerror=alert(1)>",
    "svg": "<svg onload=alert(1)>",
    "svg script": "<svg><script>alert(1)</script></svg>",
    "math with a link": "<math><a xlink:href='javascript:alert(1)'>x</a></math>",
    "iframe": "<iframe src='javascript:alert(1)'></iframe>",
    "iframe srcdoc": "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "object": "<object data='data:text/html,<script>alert(1)</script>'></object>",
    "embed": "<embed src='javascript:alert(1)'>",
    "form": "<form action='javascript:alert(1)'><button>go on</button></form>",
    "button with formaction": "<form><button formaction='javascript:alert(1)'>x</button></form>",
    "base": "<base href='https://evil.example/'>",
    "meta refresh": "<meta http-equiv=refresh content='0;url=javascript:alert(1)'>",
    "link to a style": "<link rel=stylesheet href=https://evil.example/x.css>",
    "style": "<style>body { background: url(https://evil.example/) }</style>",
    "style attribute": "<div style='position:fixed;inset:0'>all of the page</div>",
    "details ontoggle": "<details open ontoggle=alert(1)>x</details>",
    "video": "<video><source onerror=alert(1)></video>",
    "input autofocus": "<input autofocus onfocus=alert(1)>",
    "marquee": "<marquee onstart=alert(1)>",
    "javascript link": "[click](javascript:alert(1))",
    "javascript link in capitals": "[click](JaVaScRiPt:alert(1))",
    "javascript link with an entity": "[click](&#106;avascript:alert(1))",
    "javascript link by reference": "[click][1]\n\n[1]: javascript:alert(1)",
    "javascript in an autolink": "<javascript:alert(1)>",
    "vbscript link": "[click](vbscript:msgbox(1))",
    "data link": "[click](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "files prefix that nbconvert strips": "[click](files/javascript:alert(1))",
    "picture from elsewhere": "![seen](https://evil.example/who-reads-this.png)",
    "picture by script": "![x](javascript:alert(1))",
    "page that was handed in beside it": "[see here](answer.html)",
    "svg that was handed in beside it": "![x](answer.svg)",
    "raw HTML link": "<a href='javascript:alert(1)'>x</a>",
    "mermaid": "```mermaid\n<img src=x onerror=alert(1)>\n```",
    "html after a comment trick": "<!--><img src=x onerror=alert(1)>-->",
    "html in a table": "| a |\n|---|\n| <img src=x onerror=alert(1)> |",
    "html in a heading": "# <img src=x onerror=alert(1)>",
    "nested mutation": "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
}
CELLS = {
    "html output": code(display(text_html="<script>alert(1)</script>")),
    "html output with a handler": code(display(text_html="<b onclick=alert(1)>x</b><img src=x onerror=alert(1)>")),
    "html result": code(display(kind="execute_result", text_html="<iframe src='javascript:alert(1)'></iframe>")),
    "isolated html": code(display({"text/html": {"isolated": True}}, text_html="<script>alert(1)</script>")),
    "markdown output": code(display(text_markdown="<script>alert(1)</script>")),
    "script output": code(display(application_javascript="alert(1)")),
    "svg output": code(display(image_svg__xml=SVG)),
    "width of a picture": code(display({"image/png": {"width": "1 onload=alert(1)"}}, image_png=PNG)),
    "file name of a picture": code(display({"filenames": {"image/png": "javascript:alert(1)"}}, image_png=PNG)),
    "execution count": code(execution_count="<img src=x onerror=alert(1)>"),
    "type of a cell": {"cell_type": "x", "id": "i", "metadata": {}, "type": "<script>alert(1)</script>", "source": ""},
    "attachment": markdown("![x](attachment:a)", attachments={"a": {"image/png": '" onerror="alert(1)'}}),
    "grade id": markdown(
        "x",
        metadata={"nbgrader": {"grade_id": '"><img src=x onerror=alert(1)>', "task": True, "grade": 1, "points": 1}},
    ),
    "widget": code(display(**{"application_vnd.jupyter.widget-view__json": {"model_id": "</script><script>alert(1)"}})),
}
VECTORS = {name: markdown(source) for name, source in MARKDOWN.items()} | CELLS


@pytest.mark.parametrize("name", VECTORS)
def test_nothing_active_is_left(name: str) -> None:
    assert active(page_of(inert(notebook(VECTORS[name])))) == set()


# What only a browser's parser sees, and what the nbformat, nbconvert and mistune of today stop themselves.
NO_CONTROL = {
    *("handler without a space", "html after a comment trick", "nested mutation"),
    *("execution count", "type of a cell", "attachment", "widget"),
}


@pytest.mark.parametrize("name", [name for name in VECTORS if name not in NO_CONTROL])
def test_without_it_the_attack_works(name: str) -> None:
    assert active(page_of(notebook(VECTORS[name])))


@pytest.mark.parametrize("name", VECTORS)
def test_twice_is_once(name: str) -> None:
    once = inert(notebook(VECTORS[name]))
    assert inert(once) == once


@pytest.mark.parametrize("name", [name for name in MARKDOWN if "files/" not in MARKDOWN[name]])
def test_what_a_student_wrote_stays_readable(name: str) -> None:
    shown = BeautifulSoup(page_of(inert(notebook(markdown(MARKDOWN[name])))), "html.parser").get_text()
    assert "".join(MARKDOWN[name].split()) in "".join(shown.split())


def test_the_formgrader_uses_it_as_a_preprocessor() -> None:
    cells = [VECTORS[name] | {"id": f"c{n}"} for n, name in enumerate(VECTORS) if name not in NO_CONTROL]
    assert active(page_of(notebook(*cells)))
    assert active(page_of(notebook(*cells), "autograder.inert.Inert")) == set()


@pytest.mark.parametrize(
    "source",
    [
        "# A heading\n\n*text* with `code <b>` and $a < b$",
        "<details><summary>Hint</summary>\n\nLook again.\n\n</details>",
        "[a paper](https://arxiv.org/abs/1604.06174), [the next lesson](adam.ipynb), [below](#part-2)",
        "```python\nif a < b: print('<script>')\n```",
        "$$\\sum_{i<n} x_i$$\n\n| a | b |\n|---|---|\n| 1 | 2 |",
        "<!-- a note -->",
        f"![plot](data:image/png;base64,{PNG})",
    ],
)
def test_harmless_markdown_stays_as_it_is(source: str) -> None:
    assert inert(notebook(markdown(source))).cells[0].source == source


def test_a_fence_in_the_text_does_not_close_the_fence_around_it() -> None:
    source = "````\n```` \n<script>alert(1)</script>\n~~~\n$$\n``` \n$$ <img src=x onerror=alert(1)>"
    assert active(page_of(inert(notebook(markdown(source))))) == set()


def test_a_name_without_an_attachment_does_not_stop_the_page() -> None:
    assert "gone.png" in page_of(inert(notebook(markdown("![x](attachment:gone.png)"))))


def test_text_pictures_and_attachments_stay() -> None:
    cell = code(
        {"output_type": "stream", "name": "stdout", "text": "hello"},
        {"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["one", "two"]},
        display(image_png=PNG, text_plain="<Figure>"),
        display(text_html="<table><tr><td onclick=x>1</td></tr></table>", text_plain="1"),
    )
    attached = markdown("![x](attachment:a.png)", attachments={"a.png": {"image/png": PNG}})
    made = inert(notebook(cell, attached))
    stream, error, picture, table = made.cells[0].outputs
    assert (stream.text, error.traceback, picture.data) == ("hello", ["one", "two"], {"image/png": PNG})
    assert table.data == {"text/html": "<table><tbody><tr><td>1</td></tr></tbody></table>", "text/plain": "1"}
    assert made.cells[1] == from_dict(attached)
    nbformat.validate(made)


def test_metadata_that_the_pipeline_needs_stays() -> None:
    metadata = {
        "nbgrader": {"grade_id": "test_a", "grade": True, "locked": True, "points": 2, "checksum": "ab", "odd": 1},
        "autograder": {"status": "passed"},
        "tags": ["answer", "<b>"],
        "odd": 1,
    }
    made = inert(notebook(code(metadata=metadata)))
    assert made.cells[0].metadata == {
        "nbgrader": {"grade_id": "test_a", "grade": True, "locked": True, "points": 2, "checksum": "ab"},
        "autograder": {"status": "passed"},
        "tags": ["answer"],
    }


def test_sizes_are_bounded() -> None:
    lines = {"output_type": "stream", "name": "stdout", "text": "x" * 10_000_000}
    huge = display(image_png="iVBORw0KGgo" + "A" * module.PICTURE_CHARACTERS)
    head = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 100_000, 100_000)
    bomb = display(image_png=base64.b64encode(head).decode())
    source = markdown("word " * 1_000_000)
    made = inert(notebook(code(*[lines] * 1000), code(huge, bomb) | {"id": "d"}, source))
    assert len(nbformat.writes(made)) < 60 * 1000 + module.OUTPUT_CHARACTERS + module.SOURCE_CHARACTERS
    assert made.cells[0].outputs[-1].text == "[... 950 more outputs left out ...]"
    assert ["image/png" in output.data for output in made.cells[1].outputs] == [False, False]


@pytest.mark.parametrize(
    "broken",
    [
        {"metadata": [], "cells": {}},
        {"cells": [1, {}, {"cell_type": "code", "outputs": 3, "metadata": 4, "source": None, "id": 5}]},
        {"cells": [code({"output_type": "display_data", "data": 7}, {"output_type": "stream", "text": 1})]},
        {"cells": [code({"output_type": "error", "traceback": [1, {}]}, source=["a\n", "b", 3])]},
        {"cells": [markdown("\ud800", attachments=[1]), markdown("x", attachments={"a": 1})]},
    ],
)
def test_any_json_makes_a_notebook(broken: dict[str, Any]) -> None:
    nbformat.validate(inert(from_dict(broken)))
