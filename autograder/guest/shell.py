"""IPython without a terminal and without a kernel: a cell in, its outputs out, in notebook format."""

from __future__ import annotations

import base64
import io
import sys
from typing import Any

from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets import Any as AnyTrait
from traitlets import Type
from traitlets.config import Config

Output = dict[str, Any]


class Outputs:
    """The outputs of a cell, at most so many bytes of them."""

    def __init__(self, most_bytes: int) -> None:
        self._most, self._left, self._all = most_bytes, most_bytes, list[Output]()

    def text(self, name: str, text: str) -> None:
        """Something written to stdout or stderr; joined with what was written to the same one just before."""
        text = text[: max(0, self._left)]
        if not text or not self._take(len(text)):
            return
        if self._all and self._all[-1].get("name") == name:
            self._all[-1]["text"] += text
        else:
            self._all.append({"output_type": "stream", "name": name, "text": text})

    def add(self, output: Output, size: int) -> None:
        """A displayed object, a result or an error; left out where it is too large."""
        if self._take(size):
            self._all.append(output)

    def clear(self) -> None:
        self._all.clear()

    def taken(self) -> list[Output]:
        """All of them, with a word on what was left out; starts anew."""
        found, self._all = self._all, []
        if self._left <= 0:
            said = f"[output cut after {self._most:,} bytes]\n"
            found.append({"output_type": "stream", "name": "stderr", "text": said})
        self._left = self._most
        return found

    def _take(self, size: int) -> bool:
        if self._left <= 0:
            return False
        self._left -= max(size, 64)  # a million empty messages are no less of a flood
        return self._left > 0


class _Stream(io.TextIOBase):
    def __init__(self, outputs: Outputs, name: str) -> None:
        self._outputs, self.name = outputs, name

    encoding, errors = "utf-8", "strict"

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() takes a string, not {type(text).__name__}")
        self._outputs.text(self.name, text.encode("utf-8", "replace").decode())
        return len(text)


class _Publisher(DisplayPublisher):
    outputs = AnyTrait()

    def publish(self, data: Any, metadata: Any = None, source: Any = None, **_: Any) -> None:
        bundle, size = _bundle(data)
        self.outputs.add({"output_type": "display_data", "data": bundle, "metadata": {}}, size)

    def clear_output(self, wait: bool = False) -> None:
        self.outputs.clear()


class _Hook(DisplayHook):
    outputs = AnyTrait()

    def write_output_prompt(self) -> None:
        """There is no terminal to write it to."""

    def write_format_data(self, format_dict: Any, md_dict: Any = None) -> None:
        bundle, size = _bundle(format_dict)
        result = {"output_type": "execute_result", "data": bundle, "metadata": {}}
        self.outputs.add(result | {"execution_count": self.prompt_count}, size)


def _bundle(data: Any) -> tuple[dict[str, Any], int]:
    """Text and images only, as notebooks hold them; and how many bytes that is."""
    kept = {}
    for kind, value in dict(data).items():
        if isinstance(value, bytes):
            value = base64.b64encode(value).decode()
        kept[str(kind)] = str(value)
    return kept, sum(map(len, kept.values()))


class Shell(InteractiveShell):
    """A shell whose outputs are kept."""

    display_pub_class = Type(_Publisher)
    displayhook_class = Type(_Hook)
    outputs = AnyTrait()

    def enable_gui(self, gui: str | None = None) -> None:
        """There is no screen."""

    def _showtraceback(self, etype: Any, evalue: Any, stb: list[str]) -> None:
        name, text = str(getattr(etype, "__name__", etype)), words_of(evalue)
        error = {"output_type": "error", "ename": name, "evalue": text, "traceback": [str(line) for line in stb]}
        self.outputs.add(error, sum(map(len, error["traceback"])))


def make_shell(most_bytes: int) -> tuple[Shell, Outputs]:
    """A shell that keeps no history and starts no thread, and where its outputs go."""
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.autocall = 0
    config.InteractiveShell.loop_runner = "asyncio"
    outputs = Outputs(most_bytes)
    shell: Shell = Shell.instance(config=config)
    for part in (shell, shell.display_pub, shell.displayhook):
        part.set_trait("outputs", outputs)
    return shell, outputs


class Captured:
    """stdout and stderr go to `outputs` inside the block, whatever was in their place before."""

    def __init__(self, outputs: Outputs) -> None:
        self._streams = _Stream(outputs, "stdout"), _Stream(outputs, "stderr")

    def __enter__(self) -> None:
        self._before = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = self._streams

    def __exit__(self, *_: object) -> None:
        sys.stdout, sys.stderr = self._before


def words_of(error: Any, most: int = 2000) -> str:
    """An exception's own words; it may be an answer's, and refuse to say any."""
    try:
        return str(error)[:most]
    except BaseException:
        return "(an exception that has no words)"
