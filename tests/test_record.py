"""What is in the gradebook and in ``autograded/`` after recording: the whole of a submission or nothing of it."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_output
from nbgrader.apps import NbGraderAPI
from sqlalchemy import text
from traitlets.config import Config

from autograder import course as course_module
from autograder import record as record_module
from autograder.course import Course, CourseError
from autograder.gradebook import recorded_flags
from autograder.record import Recorder
from autograder.sanitise import Sanitiser
from autograder.submission import Flag, Submission

FULL = {"double": 1.0, "triple": 1.0}
KEYS = {"small": "key"}
WHEN = "2026-01-02 12:00:00 UTC"


def handed_in(course, student="ada"):
    submission = Submission(student, "week")
    Sanitiser(course).sanitise(submission)
    return submission


def executed(course, student="ada", key="key", **credit):
    """`student`'s submission, as `execute` leaves one whose tests got `credit`."""
    submission = handed_in(course, student)
    for notebook in submission.notebooks.values():
        notebook.metadata["autograder"] = {"seed": 1, "key": key}
        for cell in notebook.cells:
            if cell.id.startswith("test-"):
                due = credit.get(cell.id.removeprefix("test-"), 0.0)
                cell.metadata["autograder"] = {"status": "passed" if due == 1 else "failed", "credit": due}
    return submission


@pytest.fixture
def recorder(course):
    with Recorder(course) as recorder:
        yield recorder


@pytest.fixture
def ada(course, hand_in):
    return hand_in("ada", double="def double(x): return 2 * x")


def grades(course, student="ada"):
    """grade id -> (auto, manual, needs a person), as nbgrader has them."""
    with course.gradebook() as gradebook:
        notebook = gradebook.find_submission_notebook("small", "week", student)
        return {g.name: (g.auto_score, g.manual_score, g.needs_manual_grade) for g in notebook.grades}


def comments(course, student="ada"):
    with course.gradebook() as gradebook:
        notebook = gradebook.find_submission_notebook("small", "week", student)
        return {c.name: c.comment for c in notebook.comments}


def penalty(course, student="ada"):
    with course.gradebook() as gradebook:
        return gradebook.find_submission_notebook("small", "week", student).late_submission_penalty


def change(course, **columns):
    """Set columns of grades, as the formgrader does: change(course, why={"manual_score": 3})."""
    with course.gradebook() as gradebook:
        for name, values in columns.items():
            grade = gradebook.find_grade(name, "small", "week", "ada")
            for column, value in values.items():
                setattr(grade, column, value)
        gradebook.db.commit()


def autograded(course, student="ada"):
    folder = course.autograded_path(student, "week")
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*")) if folder.exists() else []


def dump(course):
    """All of the gradebook but its random ids."""
    with sqlite3.connect(course.root / "gradebook.db") as db:
        return "\n".join(db.iterdump())


# ---------------------------------------------------------------- scores


def test_a_score_is_the_share_of_its_points(course, recorder, ada):
    graded = recorder.record(executed(course, double=0.25, triple=1.0))
    assert (graded.score, graded.max_score) == (1.5, 7)
    assert graded.exercises == {"double": (0.5, 2), "triple": (1, 1)}
    assert grades(course) == {
        "test_double": (0.5, None, False),
        "test_triple": (1.0, None, False),
        "why": (None, None, True),
    }
    assert comments(course) == {"double": None, "triple": "No response.", "why": None}
    with course.gradebook() as gradebook:
        entry = gradebook.find_submission("week", "ada")
        assert (entry.score, entry.max_score, entry.needs_manual_grade) == (1.5, 7, True)


@pytest.mark.parametrize("credit", [None, "1", True, float("nan"), float("inf"), -1.0])
def test_what_is_no_share_earns_nothing(course, recorder, ada, credit):
    submission = executed(course, **FULL)
    for cell in submission.notebooks["small"].cells:
        if cell.id == "test-double":
            cell.metadata.autograder["credit"] = credit
    assert recorder.record(submission).exercises["double"] == (0, 2)


def test_what_a_test_prints_is_worth_nothing(course, recorder, ada):
    """Stock nbgrader reads a score from it, and gives up on one above the maximum."""
    submission = executed(course, **FULL)
    for cell in submission.notebooks["small"].cells:
        if cell.id.startswith("test-"):
            cell.outputs = [
                new_output("execute_result", data={"text/plain": "1000"}),
                new_output("execute_result", data={}),
                new_output("stream", name="stderr", text="\ud800"),
            ]
    assert recorder.record(submission).score == 3


def test_a_test_that_the_executed_notebook_lacks_earns_nothing(course, recorder, ada):
    recorder.record(executed(course, **FULL))
    submission = executed(course, **FULL)
    del submission.notebooks["small"].cells[-3:]
    submission.notebooks["small"].cells = [c for c in submission.notebooks["small"].cells if c.id != "test-double"]
    assert recorder.record(submission).exercises["double"] == (0, 2)


def test_an_empty_folder_is_a_submission_with_nothing_in_it(course, recorder):
    course.submitted_path("ada", "week").mkdir(parents=True)
    graded = recorder.record(handed_in(course))
    assert (graded.score, graded.max_score, graded.exercises["double"]) == (0, 7, (0, 2))
    assert grades(course) == dict.fromkeys(("test_double", "test_triple", "why"), (0, None, False))
    assert autograded(course) == []
    assert recorder.recorded(handed_in(course), {}) == graded


def test_an_unreadable_one_leaves_a_note_for_its_student(course, recorder, ada):
    ada.write_text("{")
    graded = recorder.record(handed_in(course))
    assert graded.score == 0
    assert "is no notebook" in str(graded.flags[0])
    assert autograded(course) == ["small.ipynb"]
    notebook = nbformat.read(course.autograded_path("ada", "week") / "small.ipynb", 4)
    assert "Hand it in again" in notebook.cells[0].source
    assert recorder.recorded(handed_in(course), {}) == graded


@pytest.mark.parametrize("student", ["O'Hara", 'a"b', "a,b", "=cmd()", "🙂" * 30, "x" * 128, "%s{0}"])
def test_any_student_that_nbgrader_can_hold_is_recorded(course, recorder, hand_in, student):
    hand_in(student)
    assert recorder.record(executed(course, student, **FULL)).score == 3
    assert grades(course, student)["test_double"] == (2, None, False)
    assert autograded(course, student) == ["small.ipynb"]


def test_one_that_it_cannot_hold_is_left_out(course, recorder, hand_in):
    hand_in("a\nb")
    submission = handed_in(course, "a\nb")
    assert recorder.recorded(submission, {}) is None
    graded = recorder.record(submission)
    assert (graded.score, graded.max_score, graded.flags) == (0, 7, tuple(submission.flags))
    with course.gradebook() as gradebook:
        assert gradebook.students == []


# ---------------------------------------------------------------- what a person entered


def test_what_a_person_entered_survives(course, recorder, ada):
    recorder.record(executed(course, **FULL))
    change(course, why={"manual_score": 3.5, "needs_manual_grade": False}, test_double={"manual_score": 1.0})
    change(course, test_triple={"extra_credit": 0.5})
    with course.gradebook() as gradebook:
        gradebook.find_comment("double", "small", "week", "ada").manual_comment = "Nice."
        gradebook.db.commit()
    graded = recorder.record(executed(course))
    assert graded.score == 3.5 + 1 + 0.5
    assert grades(course) == {
        "test_double": (0, 1.0, True),  # graded anew: look at it again
        "test_triple": (0, None, False),
        "why": (None, 3.5, False),
    }
    assert comments(course)["double"] == "Nice."


def test_a_resubmission_without_a_lesson_leaves_no_stale_score_nor_file(course, recorder, ada):
    recorder.record(executed(course, **FULL))
    change(course, test_double={"manual_score": 1.0, "needs_manual_grade": False})
    ada.unlink()
    assert recorder.record(handed_in(course)).score == 1
    assert grades(course) == {
        "test_double": (0, 1.0, True),
        "test_triple": (0, None, False),
        "why": (0, None, False),
    }
    assert set(comments(course).values()) == {None}
    assert autograded(course) == []


def test_a_question_is_to_be_graded_again_once_it_is_handed_in_again(course, recorder, hand_in, ada):
    content = ada.read_text()
    ada.unlink()
    recorder.record(handed_in(course))
    ada.write_text(content)
    recorder.record(executed(course))
    assert grades(course)["why"] == (None, None, True)


# ---------------------------------------------------------------- late


@pytest.fixture
def strict(monkeypatch):
    """A course that takes all points from whoever is late."""
    configure = course_module.configure

    def strict(c: Config) -> Config:
        c.LateSubmissionPlugin.penalty_method = "zero"
        return configure(c)

    monkeypatch.setattr(course_module, "configure", strict)


def set_due(course, when):
    with course.gradebook() as gradebook:
        gradebook.update_or_create_assignment("week", duedate=when)


def test_a_late_penalty_follows_the_dates_either_way(course, ada, strict):
    ada.with_name("timestamp.txt").write_text(WHEN)
    submission = executed(course, **FULL)
    with Recorder(course) as recorder:
        for due, expected in [(None, None), ("2026-01-01", 3), ("2026-01-03", None), ("2026-01-01", 3)]:
            set_due(course, due)
            assert recorder.recorded(submission, KEYS) is None
            graded = recorder.record(submission)
            assert (graded.score, penalty(course)) == (3, expected)
            assert recorder.recorded(submission, KEYS) == graded
        ada.with_name("timestamp.txt").write_text("2025-12-31 00:00:00 UTC")
        assert recorder.recorded(submission, KEYS) is None
        recorder.record(submission)
        assert penalty(course) is None
        ada.with_name("timestamp.txt").write_text(WHEN)
        recorder.record(submission)
        with course.gradebook() as gradebook:
            gradebook.grant_extension("week", "ada", days=7)
        assert recorder.recorded(submission, KEYS) is None
        recorder.record(submission)
        assert penalty(course) is None


def test_a_late_penalty_follows_its_method_and_what_a_person_entered(course, ada, monkeypatch):
    ada.with_name("timestamp.txt").write_text(WHEN)
    set_due(course, "2026-01-01")
    submission = executed(course, **FULL)
    with Recorder(course) as recorder:
        recorder.record(submission)
        assert penalty(course) is None
    configure = course_module.configure
    monkeypatch.setattr(
        course_module,
        "configure",
        lambda c: configure(c.LateSubmissionPlugin.update({"penalty_method": "zero"}) or c),
    )
    with Recorder(course) as recorder:
        assert recorder.recorded(submission, KEYS) is None
        recorder.record(submission)
        assert penalty(course) == 3
        change(course, why={"manual_score": 4.0, "needs_manual_grade": False})
        assert recorder.recorded(submission, KEYS) is None
        assert recorder.record(submission).score == 7
        assert penalty(course) == 7
        assert recorder.recorded(submission, KEYS)
        ada.unlink()
        recorder.record(handed_in(course))
        assert penalty(course) is None


def test_a_time_that_no_file_says_any_more_is_forgotten_but_a_persons_own_is_kept(course, recorder, ada):
    said = ada.with_name("timestamp.txt")

    def in_gradebook():
        recorder.record(executed(course))
        with course.gradebook() as gradebook:
            return gradebook.find_submission("week", "ada").timestamp

    said.write_text(WHEN)
    assert in_gradebook() == datetime(2026, 1, 2, 12)
    assert "timestamp.txt" in autograded(course)
    said.unlink()
    assert in_gradebook() is None
    assert "timestamp.txt" not in autograded(course)
    with course.gradebook() as gradebook:
        gradebook.update_or_create_submission("week", "ada", timestamp="2026-03-04")
    assert in_gradebook() == in_gradebook() == datetime(2026, 3, 4)
    said.symlink_to(__file__)
    assert in_gradebook() == datetime(2026, 3, 4)
    assert "timestamp.txt" not in autograded(course)


def test_an_extension_without_a_due_date_is_no_lateness(course, recorder, ada):
    ada.with_name("timestamp.txt").write_text(WHEN)
    recorder.record(executed(course))
    with course.gradebook() as gradebook:
        gradebook.find_submission("week", "ada").extension = timedelta(days=1)
        gradebook.db.commit()
    recorder.record(executed(course))
    assert penalty(course) is None


# ---------------------------------------------------------------- done already


def test_a_second_run_has_nothing_to_do(course, recorder, ada):
    submission = executed(course, **FULL)
    submission.flags.append(Flag("suspicious", "small.ipynb cell 3", "reaches into the shell"))
    assert recorder.recorded(submission, KEYS) is None
    graded = recorder.record(submission)
    before = dump(course)
    assert recorder.recorded(handed_in(course), KEYS) == graded
    with Recorder(course) as again:
        assert again.recorded(handed_in(course), KEYS) == graded
        assert again.recorded(handed_in(course), {"small": "another"}) is None
        assert again.recorded(handed_in(course), {}) is None
    assert dump(course) == before
    with course.gradebook() as gradebook:
        assert recorded_flags(gradebook) == {("week", "ada"): tuple(submission.flags)}


def test_news_for_a_person_is_recorded_too(course, recorder, ada):
    recorder.record(executed(course, **FULL))
    ada.with_name("small (1).ipynb").write_text("{}")
    assert recorder.recorded(handed_in(course), KEYS) is None
    graded = recorder.record(executed(course, **FULL))
    assert "small (1).ipynb" in str(graded.flags[0])
    assert recorder.recorded(handed_in(course), KEYS) == graded


def _no_files(course):
    shutil.rmtree(course.root / "autograded")


def _another_file(course):
    path = course.autograded_path("ada", "week") / "small.ipynb"
    path.unlink()
    path.write_text("{}")


def _one_file_more(course):
    (course.autograded_path("ada", "week") / "old.ipynb").write_text("{}")


def _no_entry(course):
    with course.gradebook() as gradebook:
        gradebook.remove_submission("week", "ada")


@pytest.mark.parametrize("lose", [_no_files, _another_file, _one_file_more, _no_entry])
def test_what_is_lost_is_recorded_again(course, recorder, ada, lose):
    graded = recorder.record(executed(course, **FULL))
    lose(course)
    assert recorder.recorded(handed_in(course), KEYS) is None
    assert recorder.record(executed(course, **FULL)) == graded
    assert recorder.recorded(handed_in(course), KEYS) == graded
    assert autograded(course) == ["small.ipynb"]


def test_an_executed_notebook_need_not_run_again_when_only_a_date_has_moved(course, recorder, ada):
    assert recorder.executed(handed_in(course), "small", "key") is None
    ada.with_name("timestamp.txt").write_text(WHEN)
    recorder.record(executed(course, **FULL))
    set_due(course, "2026-01-01")
    assert recorder.recorded(handed_in(course), KEYS) is None
    assert recorder.executed(handed_in(course), "small", "another") is None
    again = handed_in(course)
    again.notebooks["small"] = recorder.executed(again, "small", "key")
    assert recorder.record(again).score == 3
    assert recorder.recorded(handed_in(course), KEYS)


def test_what_anybody_else_wrote_into_autograded_was_not_executed(course, recorder, ada):
    """Stock nbgrader copies a student's metadata there, and that may say anything."""
    recorder.record(executed(course))
    path = course.autograded_path("ada", "week") / "small.ipynb"
    forged = executed(course, **FULL).notebooks["small"]
    path.chmod(0o644)
    nbformat.write(forged, path)
    assert recorder.executed(handed_in(course), "small", "key") is None


def test_a_result_without_a_key_is_never_taken_for_done(course, recorder, ada):
    submission = executed(course)
    del submission.notebooks["small"].metadata.autograder["key"]
    recorder.record(submission)
    assert recorder.recorded(handed_in(course), {}) is None
    assert recorder.recorded(handed_in(course), KEYS) is None


# ---------------------------------------------------------------- files


def test_beside_a_notebook_lies_what_the_instructor_put_there(course, recorder, ada):
    ada.with_name("torch.py").write_text("evil")
    (ada.parent / "llmsys").mkdir()
    (ada.parent / "llmsys" / "check.py").write_text("evil")
    source = course.root / "source" / "week"
    (source / "data" / "__pycache__").mkdir(parents=True)
    (source / "data" / "numbers.csv").write_text("1,2")
    (source / "data" / "__pycache__" / "x.pyc").write_text("")
    recorder.record(executed(course))
    assert autograded(course) == ["data", "data/numbers.csv", "small.ipynb"]
    for path in course.autograded_path("ada", "week").rglob("*.*"):
        assert path.stat().st_mode & 0o777 == 0o444
    shutil.rmtree(source / "data")
    recorder.record(executed(course))
    assert autograded(course) == ["small.ipynb"]


# ---------------------------------------------------------------- when it goes wrong


def test_a_locked_gradebook_is_waited_for_and_then_named(course, hand_in, monkeypatch):
    hand_in("ada")
    assert "timeout=60" in course.db_url
    monkeypatch.setattr(course_module, "LOCK_SECONDS", 0.1)
    submission = executed(course, **FULL)
    with Recorder(course) as recorder:
        other = sqlite3.connect(course.root / "gradebook.db", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(CourseError, match=r"^ada, week: not recorded, .*another program held the gradebook"):
            recorder.record(submission)
        with pytest.raises(CourseError, match="another program held the gradebook"):
            recorder.recorded(submission, KEYS)
        with pytest.raises(CourseError, match="the gradebook can't be opened"):
            Recorder(course).__enter__()
        other.execute("ROLLBACK")
        assert recorder.record(submission).score == 3
    other.close()


def _full(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    "break_it",
    [
        lambda patch: patch.setattr(Path, "write_bytes", _full),
        lambda patch: patch.setattr(Path, "chmod", _full),
        lambda patch: patch.setattr("autograder.gradebook.OneByOne.save", _full),
        lambda patch: patch.setattr("autograder.gradebook.OneByOne.set_note", _full),
        lambda patch: patch.setattr(record_module, "score", _full),
    ],
)
def test_a_full_disk_leaves_everything_as_it_was(course, recorder, hand_in, ada, monkeypatch, break_it):
    before = recorder.record(executed(course))
    state, files = dump(course), autograded(course)
    with monkeypatch.context() as patch:
        break_it(patch)
        with pytest.raises(CourseError, match=r"^ada, week: not recorded, nothing was changed \(.*No space left"):
            recorder.record(executed(course, **FULL))
    assert (dump(course), autograded(course)) == (state, files)
    assert recorder.recorded(handed_in(course), KEYS) == before
    assert recorder.record(executed(course, **FULL)).score == 3


def test_what_fails_after_the_commit_is_mended_by_the_next_run(course, recorder, ada, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", _full)
        with pytest.raises(CourseError, match="recorded, but not all of its files were written; grade it again"):
            recorder.record(executed(course, **FULL))
    assert grades(course)["test_double"] == (2, None, False)
    assert recorder.recorded(handed_in(course), KEYS) is None
    assert recorder.record(executed(course, **FULL)).score == 3
    assert autograded(course) == ["small.ipynb"]


def test_an_unwritable_course_is_named(course, recorder, ada):
    (course.root / "autograded").write_text("in the way")
    with pytest.raises(CourseError, match="autograded: can't be written"):
        recorder.record(executed(course))


def _record_in_a_child(course, instant=None):
    """Record with full marks in a process that kills itself at its call number `instant`; returns how many it made,
    0 if it was killed."""
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            calls = 0

            def count(frame, event, argument):
                nonlocal calls
                calls += event in ("call", "c_call")
                if calls == instant:
                    os.kill(os.getpid(), signal.SIGKILL)

            with Recorder(course) as recorder:
                submission = executed(course, **FULL)
                sys.setprofile(count)
                recorder.record(submission)
                sys.setprofile(None)
            os.write(writes, str(calls).encode())
        finally:
            os._exit(0)
    os.close(writes)
    os.waitpid(child, 0)
    with os.fdopen(reads) as pipe:
        return int(pipe.read() or 0)


def test_killed_at_any_instant_nothing_is_half_recorded(course, ada):
    with Recorder(course) as recorder:
        recorder.record(executed(course))
    whole = Course(shutil.copytree(course.root, course.root.parent / "whole"))
    calls = _record_in_a_child(whole)
    old, new = grades(course), grades(whole)
    seen, ended_early = set(), 0
    for before_the_end in (calls // 2, 1000, 300, 150, 75, 50, 25):
        killed = Course(shutil.copytree(course.root, course.root.parent / str(before_the_end)))
        finished = _record_in_a_child(killed, calls - before_the_end)  # caches make it a few calls more or fewer
        state = grades(killed)
        assert state == new if finished else state in (old, new)
        ended_early += not finished
        seen.add(state == new)
        with Recorder(killed) as recorder:
            assert recorder.record(executed(killed, **FULL)).score == 3
            assert recorder.recorded(handed_in(killed), KEYS)
        assert grades(killed) == new
        assert autograded(killed) == ["small.ipynb"]
    assert seen == {False, True}
    assert ended_early >= 4


def test_two_that_record_at_once_take_turns(course, ada):
    def record():
        with Recorder(course) as recorder:
            return recorder.record(executed(course, **FULL)).score

    with ThreadPoolExecutor(4) as pool:
        assert [score.result() for score in [pool.submit(record) for _ in range(8)]] == [3] * 8
    assert autograded(course) == ["small.ipynb"]


# ---------------------------------------------------------------- beside nbgrader


def test_a_lesson_that_was_added_later_gets_its_rows(course, recorder, ada):
    recorder.record(executed(course))
    with course.gradebook() as gradebook:
        gradebook.add_notebook("later", "week")
        gradebook.add_grade_cell("test_later", "later", "week", max_score=5, cell_type="code")
        gradebook.add_solution_cell("later", "later", "week")
        gradebook.add_task_cell("essay", "later", "week", max_score=1, cell_type="markdown")
    with Recorder(course) as again:
        assert again.recorded(handed_in(course), KEYS) is None
        graded = again.record(executed(course, **FULL))
    assert (graded.score, graded.max_score, graded.exercises["later"]) == (3, 13, (0, 5))
    with course.gradebook() as gradebook:
        assert len(gradebook.find_submission_notebook("later", "week", "ada").grades) == 2
        assert len(gradebook.find_submission_notebook("later", "week", "ada").comments) == 2


def test_stock_nbgrader_works_on_the_same_course_afterwards(course, recorder, hand_in, ada):
    hand_in("bob")
    recorder.record(executed(course, **FULL))
    recorder.record(executed(course, "bob"))
    config = Config()
    config.CourseDirectory.root, config.CourseDirectory.course_id = str(course.root), course_module.COURSE_ID
    config.CourseDirectory.db_url = course.db_url
    api = NbGraderAPI(config=config)
    for result in (
        api.generate_feedback("week", "ada"),
        api.autograde("week", "ada", force=True),
        api.generate_feedback("week", "ada", force=True),
    ):
        assert result["success"], result["error"]
    assert (course.root / "feedback" / "ada" / "week" / "small.html").exists()
    assert grades(course)["test_triple"] == (0, None, False)  # nothing was answered there, and nbgrader ran it
    assert {s["student"]: s["score"] for s in api.get_submissions("week")} == {"ada": 2, "bob": 0}
    assert api.get_notebook_submissions("week", "small")[0]["max_score"] == 7
    assert recorder.recorded(handed_in(course), KEYS) is None  # because nbgrader has graded it since
    assert recorder.record(executed(course, **FULL)).score == 3
    with course.gradebook() as gradebook:
        gradebook.remove_submission("week", "bob")
        assert gradebook.db.execute(text("SELECT count(*) FROM alembic_version")).scalar() == 1
