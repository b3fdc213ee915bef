"""The warm interpreter: imports once what lessons import, then forks a process for each submission.

    python -m autograder.guest DESCRIPTOR

The descriptor is the grader's control socket. With the message {"do": "run", ...} comes the socket of that run; while
it lasts, "kill" ends it. The interpreter itself never runs an answer, never reads what one sends, and starts no thread.
"""

from __future__ import annotations

import array
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import threading
from typing import Any

from autograder.guest.guard import Libraries
from autograder.guest.isolate import fork_isolated, hide_from_others
from autograder.guest.run import serve
from autograder.guest.shell import make_shell

LOOK_SECONDS = 0.25  # between two looks at a run's memory
TREE_SHARE = 1.25  # of a process's own limit, so that a single one gets its MemoryError first
DYING_SECONDS = 2.0  # what a process that has hung up may take to be gone
_WARM = (
    "torch",
    "numpy",
    "matplotlib.pyplot",
    "llmsys.check",
    "llmsys.corpus",
    "llmsys.plots",
    "llmsys.train",
    "unittest.mock",
    "torch._dynamo",  # an optimizer's first step would take seconds for it, and it wraps functions
    "torch.autograd.graph",
)
_IF_THERE = ("triton", "tokenizers", "rich.progress", "numpy.random", "jaxtyping", "IPython.core.pylabtools", "sympy")


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    options = json.loads(sys.argv[2])
    isolated: bool = options["isolated"]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the grader's to handle
    if isolated:
        hide_from_others()
    shell, outputs = _warm_up(options["output_bytes"])
    libraries = Libraries()
    gc.collect()
    gc.freeze()  # or the first collection in every fork would copy all that it has from here
    _tell(control, {"ready": True})
    while True:
        message, descriptors = _hear(control)
        if not message:
            return
        if message.get("do") == "end":
            continue  # of a run that was over by itself before the grader said so
        with socket.socket(fileno=descriptors[0]) as channel:

            def body(channel: socket.socket = channel, seed: int = message["seed"]) -> None:
                _become_a_submission(control, channel, seed)
                serve(channel, shell, outputs, libraries)

            try:
                child, tree = fork_isolated(body, message["limits"], isolated=isolated)
            except (OSError, RuntimeError) as error:
                _tell(control, {"over": True, "problem": str(error)})
                continue
        _tell(control, _wait(control, child, tree, message["limits"]["memory_mib"]))


def _warm_up(output_bytes: int) -> tuple[Any, Any]:
    for name in _WARM:
        importlib.import_module(name)
    for name in _IF_THERE:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
    import torch
    from IPython.core.pylabtools import activate_matplotlib
    from matplotlib_inline.backend_inline import configure_inline_support

    torch.set_num_threads(1)
    _first_calls(torch)
    made = make_shell(output_bytes)
    activate_matplotlib(os.environ["MPLBACKEND"])  # figures become outputs of their cell
    configure_inline_support(made[0], os.environ["MPLBACKEND"])
    if threading.active_count() > 1:
        raise RuntimeError("the warm interpreter has started a thread, so it can't fork")
    return made


def _first_calls(torch: Any) -> None:
    """What torch imports and sets up with its first graph, so that not every submission has to."""
    x = torch.ones(2, 2, requires_grad=True)
    torch.autograd.grad((x @ x).exp().sum(), x, torch.ones(()), create_graph=True)
    torch.autograd.functional.jvp(lambda t: t.sin(), (x.detach(),), (torch.ones(2, 2),))


def _become_a_submission(control: socket.socket, channel: socket.socket, seed: int) -> None:
    control.close()
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    keep = channel.fileno()
    os.closerange(3, keep)
    os.closerange(keep + 1, 1024)
    os.environ["LLMSYS_SEED"] = str(seed)
    os.makedirs("/tmp/work", exist_ok=True)
    os.chdir(os.environ.get("AUTOGRADER_WORK", "/tmp/work"))
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _wait(control: socket.socket, child: int, tree: int, memory_mib: int) -> dict[str, Any]:
    """Until the run is over: by itself, because the grader says so, or because it holds too much memory."""
    why = ""
    held_before = _held_mib(os.getpid())
    process = os.pidfd_open(child)
    poll = select.poll()
    poll.register(process, select.POLLIN)
    poll.register(control, select.POLLIN)
    try:
        while True:
            ready = {descriptor for descriptor, _ in poll.poll(1000 * LOOK_SECONDS)}
            if process in ready:
                break
            if control.fileno() in ready:
                message, _ = _hear(control)
                if message.get("died") and _is_over(process):
                    break
                why = why or "stopped"
                _end(tree)
                if not message:
                    sys.exit(0)
            elif not why and _tree_mib(held_before) > TREE_SHARE * memory_mib:
                why = f"memory: more than {memory_mib} MiB"
                _end(tree)
    finally:
        os.close(process)
    _, status = os.waitpid(child, 0)
    _end(tree)  # without namespaces something may be left
    return {"over": True, "code": os.waitstatus_to_exitcode(status), "why": why}


def _is_over(process: int) -> bool:
    return bool(select.select([process], [], [], DYING_SECONDS)[0])


def _end(tree: int) -> None:
    try:
        os.kill(tree, signal.SIGKILL)
    except ProcessLookupError:
        return


def _tree_mib(shared: float) -> float:
    """Memory of all processes of the run together, less what each has from the warm interpreter."""
    me, total = os.getpid(), 0.0
    if me != 1:
        return 0.0  # without a namespace /proc shows strangers' processes too
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != me:
            total += max(0.0, _held_mib(int(name)) - shared)
    return total


def _held_mib(pid: int) -> float:
    try:
        with open(f"/proc/{pid}/status") as file:
            lines = [line for line in file if line.startswith(("RssAnon", "RssShmem"))]
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines) / 1024


def _tell(control: socket.socket, message: dict[str, Any]) -> None:
    control.send(json.dumps(message).encode())


def _hear(control: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """A control message with the descriptors that came with it; nothing when the grader is gone."""
    body, ancillary, _, _ = control.recvmsg(65536, socket.CMSG_SPACE(4))
    descriptors = array.array("i")
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
    return (json.loads(body) if body else {}), list(descriptors)


if __name__ == "__main__":
    main()
