"""Where a class outgrows one machine: the workers of a Dask cluster execute, this process sanitises and records."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import Executor

from autograder.course import CourseError


@contextlib.contextmanager
def connect(address: str) -> Iterator[Executor]:
    """The cluster's workers as an executor.

    Each worker needs this package and bubblewrap; it keeps one warm sandbox for every task that it runs at once.

    Raises:
        CourseError: the extra `cluster` is missing, or no scheduler answers at `address`.
    """
    try:
        from distributed import Client
    except ImportError:
        raise CourseError("--cluster needs Dask: pip install 'llm-systems-in-notebooks[cluster]'") from None
    try:
        client = Client(address, timeout=10)
    except (OSError, ValueError) as error:
        raise CourseError(f"--cluster {address}: no Dask scheduler there ({error})") from None
    with client, client.get_executor(pure=False) as executor:
        yield executor
