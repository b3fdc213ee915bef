"""Execute: the one step that touches a student's code. A pure function from notebook to notebook.

It knows no gradebook, no course and no other submission, so it can run anywhere an executor puts it. What became of
each cell is written into the cell's metadata by this process, from the kernel's replies and never from its output:

    cell.metadata.autograder = {"status": "passed", "seconds": 0.12, "message": ""}

A status is "passed" (seen to run to its end), "failed" (an exception), "timeout", "died" (the kernel with it) or
"not run".
"""

from __future__ import annotations

import asyncio
import copy
import math
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader.utils import is_grade

# One thread each: as many kernels run at once as there are cores. No GPU: a grade must not depend on the machine.
ONE_THREAD = {
    "CUDA_VISIBLE_DEVICES": "",
    "MKL_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
KERNEL_ENVIRONMENT = ONE_THREAD | {"NBGRADER_EXECUTION": "autograde", "PYTHONHASHSEED": "0"}


MESSAGE_CHARACTERS = 2000  # an exception may say anything at any length


@dataclass(frozen=True)
class Limits:
    """Wall time in seconds: of one cell, and of a notebook from the first cell on."""

    cell_seconds: float = 30
    notebook_seconds: float = 180


def execute(notebook: NotebookNode, seed: int, limits: Limits | None = None) -> NotebookNode:
    """Run the cells of `notebook` in a fresh kernel and return a copy with outputs and what became of each cell.

    Args:
        notebook: sanitised; demonstrations (cells tagged "explore" that nbgrader does not know) are left out.
        seed: of the run; `llmsys.check` draws its inputs from it, so the same seed gives the same grade again.
        limits: how long a cell and the notebook may take.

    Returns:
        A copy, whose metadata holds the seed; `notebook` itself is not changed.
    """
    run = copy.deepcopy(notebook)
    run.metadata["autograder"] = {"seed": seed}
    asyncio.run(_Run(run, seed, limits or Limits()).cells())
    return run


def runs_when_grading(cell: NotebookNode) -> bool:
    """A code cell that is no demonstration. A tag never exempts a cell that nbgrader knows."""
    explore = "explore" in cell.metadata.get("tags", []) and "nbgrader" not in cell.metadata
    return cell.cell_type == "code" and bool(cell.source.strip()) and not explore


class _Run:
    def __init__(self, notebook: NotebookNode, seed: int, limits: Limits) -> None:
        self.notebook, self.seed, self.limits = notebook, seed, limits
        self.reply: dict[str, Any] = {}

    async def cells(self) -> None:
        with tempfile.TemporaryDirectory(prefix="autograder-", ignore_cleanup_errors=True) as scratch:
            work = Path(scratch, "work")
            work.mkdir()
            self.kernel = _kernel_manager(Path(scratch))
            self.client = self._client()
            # What a student's code writes past the kernel, straight to the terminal, is nobody's output.
            silence = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            environment = os.environ | KERNEL_ENVIRONMENT | {"LLMSYS_SEED": str(self.seed)}
            async with self.client.async_setup_kernel(cwd=str(work), env=environment, cleanup_kc=True, **silence):
                await self._all()

    def _client(self) -> NotebookClient:
        return NotebookClient(
            self.notebook,
            km=self.kernel,
            allow_errors=True,
            record_timing=False,
            interrupt_on_timeout=True,
            error_on_timeout={"ename": "CellTimeoutError", "evalue": "", "traceback": []},
            raise_on_iopub_timeout=True,
            iopub_timeout=10,
            skip_cells_with_tag="",  # this class decides, not a tag that a student may have set
            on_cell_executed=self._keep_reply,
        )

    def _keep_reply(self, cell: NotebookNode, cell_index: int, execute_reply: dict[str, Any]) -> None:
        self.reply = execute_reply["content"]

    async def _all(self) -> None:
        deadline = time.monotonic() + self.limits.notebook_seconds
        stopped = ""  # why nothing more is run, once that is so
        for index, cell in enumerate(self.notebook.cells):
            if not runs_when_grading(cell):
                continue
            left = deadline - time.monotonic()
            if not stopped and left <= 0:
                stopped = f"the notebook had used its {self.limits.notebook_seconds:g} s"
            if stopped:
                _record(cell, "not run", 0, f"not run: {stopped}")
            else:
                stopped = await self._cell(index, cell, min(self.limits.cell_seconds, left))

    async def _cell(self, index: int, cell: NotebookNode, seconds: float) -> str:
        """Run one cell; returns why the run can't go on, or ""."""
        number = index + 1
        self.client.timeout = max(1, math.ceil(seconds))
        begun = time.monotonic()
        try:
            await self.client.async_execute_cell(cell, index)
        except DeadKernelError:
            _record(cell, "died", time.monotonic() - begun, f"the kernel died in cell {number}")
            return f"the kernel died in cell {number}"
        except CellTimeoutError:
            await self.kernel.shutdown_kernel(now=True)
            _record(
                cell, "timeout", time.monotonic() - begun, f"stopped after {seconds:.0f} s, would not be interrupted"
            )
            return f"cell {number} ran over {seconds:.0f} s and would not be interrupted"
        elapsed = time.monotonic() - begun
        if self.reply.get("status") == "ok":
            _record(cell, "passed", elapsed)
        elif self.reply.get("ename") == "CellTimeoutError":
            _record(cell, "timeout", elapsed, f"stopped after {seconds:.0f} s")
        else:
            _record(cell, "failed", elapsed, f"{self.reply.get('ename')}: {self.reply.get('evalue')}")
        return ""


def _kernel_manager(scratch: Path) -> AsyncKernelManager:
    """A kernel that speaks over sockets in `scratch` where the system has them: no port is open to anybody."""
    transport = "ipc" if os.name == "posix" else "tcp"
    connection = str(scratch / "kernel.json")
    return AsyncKernelManager(kernel_name="python3", transport=transport, connection_file=connection)


def _record(cell: NotebookNode, status: str, seconds: float, message: str = "") -> None:
    outcome = {"status": status, "seconds": round(seconds, 3), "message": message[:MESSAGE_CHARACTERS]}
    cell.metadata["autograder"] = outcome
    explained = any(output.output_type == "error" for output in cell.get("outputs", []))
    if status == "passed" or (explained and status == "failed"):
        return
    cell.setdefault("outputs", []).append(new_output("error", ename=status, evalue=message, traceback=[message]))


def score(cell: NotebookNode) -> float:
    """The points of a test cell, given only for one that was seen to run to its end. Fails closed."""
    assert is_grade(cell)
    outcome = cell.metadata.get("autograder", {}).get("status")
    return float(cell.metadata["nbgrader"]["points"]) if outcome == "passed" else 0.0
