"""A gradebook in PostgreSQL instead of SQLite: the same grades, from build to report, on a real server."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from autograder import exports, feedback
from autograder.build import build
from autograder.course import Course, CourseError
from autograder.execute import Settings
from autograder.grade import find_submissions, grade
from autograder.report import collect
from autograder.sandbox import close_idle_workers
from tests.small_class import RIGHT, SEED, STUDENTS, gradebook_of, hand_in_all

USER = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
SECONDS = 60  # that the server may take to start on a machine with other things to do


def program(name: str) -> str:
    """Debian keeps them off the PATH, a folder for each version."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    path = shutil.which(name) or (str(found[-1]) if found else None)
    if path is None:
        give_up = pytest.fail if "CI" in os.environ else pytest.skip
        give_up("PostgreSQL is not installed: apt install postgresql")
    return path


@pytest.fixture(scope="module")
def server() -> Iterator[Path]:
    """The folder of a server's socket; it listens nowhere else."""
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        if USER:  # it refuses to run as root
            shutil.chown(folder, USER["user"], USER["group"])
        options = ["--auth=trust", "--username=teacher", "--encoding=UTF8", "--locale=C", "--no-sync"]
        made = [program("initdb"), *options, "--pgdata", f"{folder}/data"]
        subprocess.run(made, check=True, cwd=folder, capture_output=True, **USER)
        options = ["-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"]
        with open(f"{folder}/log", "w") as log:
            started = [program("postgres"), "-D", f"{folder}/data", *options]
            process = subprocess.Popen(started, cwd=folder, stdout=log, stderr=log, **USER)
        try:
            _wait_for(process, Path(folder))
            yield Path(folder)
        finally:
            process.terminate()
            try:
                process.wait(SECONDS)
            finally:
                process.kill()


def _wait_for(process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            psycopg.connect(f"host={folder} user=teacher dbname=postgres").close()
            return
        except psycopg.OperationalError:
            time.sleep(0.1)
    raise AssertionError(f"PostgreSQL did not start:\n{(folder / 'log').read_text()}")


@pytest.fixture
def course(server: Path, tmp_path: Path, lesson) -> Course:
    """A course with the small lesson built into it, with a gradebook in a database of its own."""
    name = f"course_{time.monotonic_ns()}"
    with psycopg.connect(f"host={server} user=teacher dbname=postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    course = Course(tmp_path / "course", db=f"postgresql+psycopg://teacher@/{name}?host={server}")
    build([lesson], course, tmp_path / "notebooks")
    return course


@pytest.fixture(scope="module")
def run() -> Iterator:
    """Grade the class, one notebook after the other, in one warm sandbox for all tests."""
    with ThreadPoolExecutor(1) as executor:
        yield lambda course, **options: grade(
            course, find_submissions(course), settings=Settings(SEED), executor=executor, **options
        )
    close_idle_workers()


def test_it_holds_what_sqlite_holds(course, hand_in, built_course, tmp_path, run):
    hand_in_all(hand_in)
    sqlite = Course(shutil.copytree(built_course, tmp_path / "sqlite"))
    shutil.copytree(course.root / "submitted", sqlite.root / "submitted")
    assert run(course) == run(sqlite)
    assert gradebook_of(course) == gradebook_of(sqlite)
    assert not (course.root / "gradebook.db").exists()

    (week,), (same,) = collect(course).assignments, collect(sqlite).assignments
    assert [(s.student, s.score, s.flags) for s in week.submissions] == [
        (s.student, s.score, s.flags) for s in same.submissions
    ]
    feedback.generate(course, [("ada", "week")])
    assert "double" in (course.root / "feedback" / "ada" / "week" / "small.html").read_text()
    people = exports.read(course).people
    assert [person.id for person in people] == sorted(STUDENTS)


def test_a_manual_grade_survives_and_a_second_run_does_nothing(course, hand_in, run):
    hand_in("ada", **RIGHT)
    hand_in("bob", **STUDENTS["bob"])
    ada, bob = run(course)
    with course.gradebook() as book:
        book.find_grade("why", "small", "week", "ada").manual_score = 3.5
        book.db.commit()
    before = gradebook_of(course)
    assert run(course) == [replace(ada, score=ada.score + 3.5), bob]
    assert gradebook_of(course) == before
    shutil.rmtree(course.submitted_path("bob", "week"))
    hand_in("bob", **RIGHT)
    ada, bob = run(course, again=True)
    assert (ada.score, bob.score) == (6.5, 3)


def test_where_no_server_answers_it_says_so(tmp_path, hand_in, course, run):
    hand_in("ada", **RIGHT)
    with pytest.raises(CourseError, match="the gradebook can't be opened"):
        run(replace(course, db=f"postgresql+psycopg://teacher@/course?host={tmp_path}"))
