"""A Dask cluster of two worker processes grades as this process does, also when one of them is killed."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator

import pytest
from distributed import Client, LocalCluster

from autograder.cluster import connect
from autograder.course import Course, CourseError
from autograder.execute import Settings
from autograder.grade import find_submissions, grade
from tests.small_class import SEED, STUDENTS, autograded_of, gradebook_of, hand_in_all


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def handed_in(course: Course, hand_in) -> Course:
    hand_in_all(hand_in)
    return course


def test_it_leaves_what_a_local_run_leaves(handed_in, address):
    settings, submissions = Settings(SEED), find_submissions
    local = grade(handed_in, submissions(handed_in), settings=settings)
    book, files = gradebook_of(handed_in), autograded_of(handed_in)
    with connect(address) as executor:
        remote = grade(handed_in, submissions(handed_in), settings=settings, executor=executor, again=True)
    assert remote == local
    assert gradebook_of(handed_in) == book
    assert autograded_of(handed_in) == files


def test_a_killed_worker_does_not_stop_the_class(handed_in, address):
    graded = []
    with Client(address) as client, connect(address) as executor:
        victim = next(iter(client.run(os.getpid).values()))

        def kill_one(one):
            if not graded:
                os.kill(victim, signal.SIGKILL)
            graded.append(one.student)

        results = grade(
            handed_in, find_submissions(handed_in), settings=Settings(SEED), executor=executor, done=kill_one
        )
    assert sorted(graded) == sorted(STUDENTS)
    assert {g.student: g.score for g in results} == SCORES
    assert [flag for g in results for flag in g.flags if flag.kind == "problem"] == []


SCORES = {"ada": 3, "bob": 1, "cleo": 2, "dan": 0, "eve": 1, "fay": 2, "gus": 3, "hal": 1}


def test_where_no_scheduler_answers_it_says_so(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(CourseError, match=f"--cluster {nobody}: no Dask scheduler there"), connect(nobody):
        pass
