"""Withhold: lines of hidden tests, mark schemes and the reference that a student must not get back.

The sandbox keeps them from student code in the first place. This is the second wall: whatever is about to be given to
a student is searched for them, line by line, and a line that is found is taken out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nbconvert.filters import strip_ansi
from nbformat import NotebookNode

_BLOCKS = ("HIDDEN TESTS", "MARK SCHEME", "SOLUTION")  # as nbgrader delimits them
WITHHELD = "[withheld: a line of the course's own tests or solutions]"

_LINE_NUMBER = re.compile(r"^(-+> ?)?\d+ ")  # IPython's traceback: "----> 3 return x"
_LETTERS = 6  # a shorter line says nothing, and is everywhere


@dataclass(frozen=True)
class Secrets:
    """Lines that are not for a student, in the form of `plain`."""

    lines: frozenset[str] = frozenset()

    @classmethod
    def of(cls, lines: Iterable[str], release: NotebookNode) -> Secrets:
        """Those of `lines` that tell something, but for what `release` shows anyway."""
        told = (line for line in map(plain, lines) if len(re.findall(r"\w", line)) >= _LETTERS)
        return cls(frozenset(told)).but_for(cell.source for cell in release.cells)

    def but_for(self, texts: Iterable[str]) -> Secrets:
        """Without the lines of `texts`: what a student wrote, or a grader wrote to them, is no secret."""
        known = _plain_lines("\n".join(texts))
        return Secrets(frozenset(line for line in self.lines if line not in known))

    def found_in(self, text: str) -> set[str]:
        """The secret lines that `text` holds, however they are indented, numbered, coloured or commented out."""
        searched = _plain_lines(text)
        return {line for line in self.lines if line in searched}

    def without(self, text: str) -> str:
        """`text` with every line taken out that holds a secret one."""
        if not self.found_in(text):
            return text
        return "\n".join(WITHHELD if self.found_in(line) else line for line in text.split("\n"))


def without_hidden(source: str) -> str:
    """A test cell as students get it; an end that is missing is the end of the cell."""
    kept, hidden = [], False
    for line in source.split("\n"):
        if _marks(line, "BEGIN"):
            hidden = True
        elif _marks(line, "END"):
            hidden = False
        elif not hidden:
            kept.append(line)
    return "\n".join(kept)


def inside(source: str) -> Iterator[str]:
    """The lines of `source` between nbgrader's marks."""
    hidden = False
    for line in source.split("\n"):
        if _marks(line, "BEGIN"):
            hidden = True
        elif _marks(line, "END"):
            hidden = False
        elif hidden:
            yield line


def plain(line: str) -> str:
    """`line` without number, indentation, comment sign and runs of blanks: a line that is quoted is still the line."""
    return " ".join(_LINE_NUMBER.sub("", line.strip()).lstrip("# ").split())


def _plain_lines(text: str) -> str:
    return "\n".join(map(plain, strip_ansi(text).split("\n")))


def _marks(line: str, which: str) -> bool:
    return which in line and any(f"{which} {block}" in line for block in _BLOCKS)
