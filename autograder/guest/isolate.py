"""A process tree of its own for every submission, inside the sandbox.

bubblewrap has made the sandbox (no network, read-only system, nothing of the course). Within it each submission gets
namespaces of its own, nested in the first: it can't see, signal or trace the warm interpreter that it was forked from,
and when the first process of its namespace ends, the kernel ends every other one. Its files lie in a memory file
system that goes with them.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from collections.abc import Callable
from typing import Any, NoReturn

NOBODY = 65534  # what a submission runs as where the grader is root: for root the kernel counts no processes

_libc = ctypes.CDLL(None, use_errno=True)
_NEW_NAMESPACES = 0x20000 | 0x8000000 | 0x10000000 | 0x20000000 | 0x40000000  # mount, ipc, user, pid, network
_PRIVATE, _RECURSIVE = 0x40000, 0x4000
_DEATH_SIGNAL, _SET_DUMPABLE, _BOUNDING_DROP, _NO_NEW_PRIVILEGES = 1, 4, 24, 38
_MIB = 2**20


def hide_from_others() -> None:
    """No process without privileges may read or trace this one, nor what /proc shows of it."""
    _must(_libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0), "prctl")


def fork_isolated(body: Callable[[], None], limits: dict[str, Any], *, isolated: bool) -> tuple[int, int]:
    """Run `body` in a forked process tree.

    Args:
        body: what the innermost process does.
        limits: "memory_mib", "processes", "disk_mib" and "notebook_seconds" of the run.
        isolated: with namespaces of its own; otherwise only with limits.

    Returns:
        (a child to wait for, a process whose end ends the whole tree). The child's exit status is that of `body`'s
        process: its exit code, or 128 and the signal that ended it.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        _guarded(_supervise, body, limits, isolated, writer)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        first = pipe.read()
    if not first:
        os.waitpid(child, 0)
        raise RuntimeError("the kernel refuses namespaces within the sandbox")
    return child, int(first)


def _guarded(work: Callable[..., None], *args: Any) -> NoReturn:
    """Never return into the code that forked."""
    try:
        work(*args)
    except BaseException:
        os._exit(70)
    os._exit(0)


def _supervise(body: Callable[[], None], limits: dict[str, Any], isolated: bool, tell: int) -> None:
    """Outside of the new process namespace: starts its first process and waits until all of it is gone."""
    if isolated:
        _enter_namespaces()
    else:
        os.setsid()
    first = os.fork()
    if not first:
        os.close(tell)
        _guarded(_first_process, body, limits, isolated)
    os.write(tell, str(first if isolated else -os.getpid()).encode())
    os.close(tell)
    os.closerange(3, 1024)  # the run's socket, too: its end tells the grader that the run is over
    _, status = os.waitpid(first, 0)
    os._exit(_code(status))


def _enter_namespaces() -> None:
    if os.getuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    _must(_libc.prctl(_SET_DUMPABLE, 1, 0, 0, 0), "prctl")  # or the maps below belong to root
    user, group = os.getuid(), os.getgid()
    _must(_libc.unshare(_NEW_NAMESPACES), "unshare")
    for name, content in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(content)


def _first_process(body: Callable[[], None], limits: dict[str, Any], isolated: bool) -> None:
    """The first process of the namespace: when it ends, the kernel ends all others."""
    if isolated:
        _must(_libc.prctl(_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0), "prctl")
        _mount_scratch(limits["disk_mib"])
        _drop_privileges()
    only = os.fork()
    if not only:
        _limit(limits, isolated)
        _guarded(body)
    os.closerange(0, 1024)
    if isolated:
        hide_from_others()
    while True:
        pid, status = os.wait()  # orphans, too
        if pid == only:
            os._exit(_code(status))


def _mount_scratch(disk_mib: int) -> None:
    _must(_libc.mount(b"none", b"/", None, _RECURSIVE | _PRIVATE, None), "mount /")
    for place in (b"/tmp", b"/dev/shm"):
        options = f"size={disk_mib}m,nr_inodes=20000,mode=1777".encode()
        _must(_libc.mount(b"tmpfs", place, b"tmpfs", 0, options), f"mount {place.decode()}")


def _drop_privileges() -> None:
    _must(_libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0), "prctl")
    for capability in range(64):
        _libc.prctl(_BOUNDING_DROP, capability, 0, 0, 0)  # fails past the last one that this kernel knows
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    _must(_libc.capset(header, (ctypes.c_uint32 * 6)()), "capset")


def _limit(limits: dict[str, Any], isolated: bool) -> None:
    """Resource limits of the submission's process; its children inherit them."""
    with open("/proc/self/statm") as file:
        held = int(file.read().split()[0]) * resource.getpagesize()
    values = {
        resource.RLIMIT_AS: held + limits["memory_mib"] * _MIB,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: int(limits["notebook_seconds"]) + 30,
        resource.RLIMIT_FSIZE: limits["disk_mib"] * _MIB,
        resource.RLIMIT_NOFILE: 256,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    if isolated:  # counted per user: outside of a namespace that would be the whole machine's
        values[resource.RLIMIT_NPROC] = limits["processes"]
    for what, value in values.items():
        _, hard = resource.getrlimit(what)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(what, (value, value))


def _code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


def _must(result: int, what: str) -> None:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")
