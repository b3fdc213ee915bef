"""Record: an executed submission into nbgrader's gradebook and its ``autograded/`` folder, by one writer.

nbgrader's own steps do it (`SaveAutoGrades`, `AssignLatePenalties` and the others of `Autograde`), with scores from
what was seen to run. A submission is one transaction: killed at any instant, the gradebook holds the old state or the
new one. The files follow the commit, each replaced as a whole, and the gradebook notes what they must be: a run after
a crash knows what is left to do.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbgrader.api import Gradebook, SubmittedAssignment, SubmittedNotebook
from nbgrader.converters import Autograde
from nbgrader.preprocessors import AssignLatePenalties, CheckCellMetadata, Execute, NbGraderPreprocessor, SaveAutoGrades
from nbgrader.utils import find_all_files, is_solution

from autograder.course import LOCK_SECONDS, Course, CourseError
from autograder.execute import score
from autograder.gradebook import BuiltAssignment, Note, OneByOne
from autograder.handin import Unreadable, read_timestamp, refusal, shown
from autograder.inert import inert
from autograder.submission import Flag, Graded, Submission

# The metadata that a second check would find are the lesson's own, which were checked when it was first sanitised; the
# check takes longer than all other steps.
_DONE_BEFORE = (Execute, CheckCellMetadata)


class SaveScores(SaveAutoGrades):
    """nbgrader's own step, with scores from what was seen to run instead of from a cell's output.

    Stock nbgrader gives full points where a cell shows no error, and none where it shows a warning.
    """

    gradebook: Gradebook

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        names = resources["nbgrader"]
        self.notebook_id, self.assignment_id, self.student_id = names["notebook"], names["assignment"], names["student"]
        return NbGraderPreprocessor.preprocess(self, nb, resources)  # past `SaveAutoGrades`, which opens a gradebook

    def _add_score(self, cell: NotebookNode, resources: Any) -> None:
        if is_solution(cell):  # answered and graded by hand
            super()._add_score(cell, resources)
            return
        name = cell.metadata["nbgrader"]["grade_id"]
        grade = self.gradebook.find_grade(name, self.notebook_id, self.assignment_id, self.student_id)
        grade.auto_score = score(cell)
        grade.needs_manual_grade = grade.manual_score is not None


class AssignPenalties(AssignLatePenalties):
    """nbgrader's own step, on the submission at hand: `resources` holds the row and how late it is."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        row: SubmittedNotebook = resources["row"]
        if resources["seconds late"] > 0:
            student = resources["nbgrader"]["student"]
            resources["book"].db.flush()
            resources["book"].db.refresh(row, ["score"])
            penalty = self.plugin_inst.late_submission_penalty(student, row.score, resources["seconds late"])
            if penalty is not None:
                row.late_submission_penalty = self._check_late_penalty(row, penalty)
        return nb, resources


class Recorder:
    """The one writer of a course's gradebook and of ``autograded/``: a context manager that holds a session.

    Raises:
        CourseError: the gradebook can't be opened.
    """

    def __init__(self, course: Course) -> None:
        self.course = course
        self._assignments: dict[str, BuiltAssignment] = {}
        self._nbgrader = Autograde(coursedir=course.directory(), config=course.config())

    def __enter__(self) -> Recorder:
        with _told(f"{self.course.root}: the gradebook can't be opened"):
            self._book = OneByOne(self.course.db_url)
        self._steps = list(self._nbgraders_steps())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._book.close()

    def _nbgraders_steps(self) -> Iterator[Any]:
        """What `nbgrader autograde` does with a notebook that has been executed."""
        config = self.course.config()
        self._penalty_settings = ""
        for step in self._nbgrader.autograde_preprocessors:
            if step is SaveAutoGrades:
                save = SaveScores(config=config)
                save.gradebook = self._book
                yield save
            elif step is AssignLatePenalties:
                assign = AssignPenalties(config=config)
                assign.init_plugin()
                self._penalty_settings = f"{type(assign.plugin_inst)} {assign.plugin_inst.trait_values(config=True)}"
                yield assign
            elif step not in _DONE_BEFORE:
                yield step(config=config)

    def record(self, submission: Submission) -> Graded:
        """Write an executed submission into the gradebook and the autograded directory.

        What was not handed in or can't be read gets 0. Manual grades and comments stay. A student whose id nbgrader
        can't hold (`handin.refusal`) is left out; the flags say so.

        Raises:
            CourseError: it could not be written. The gradebook is then as it was, or the next run mends the files.
        """
        flags = tuple(submission.flags)
        with self._alone(), self._book.transaction():
            with _told(f"{_name(submission)}: not recorded, nothing was changed"):
                built = self._built(submission.assignment)
                if refusal(submission.student):
                    return Graded(submission.student, submission.assignment, 0.0, built.max_score, {}, flags)
                self._book.lock()
                entry = self._book.create(submission.student, submission.assignment, built)
                entry.timestamp, in_file = self._timestamps(entry, submission)
                notebooks = self._autograde(entry, built, submission)
                graded = self._graded(entry, built, submission, flags)
                inputs = self._inputs(entry, built, submission, _keys(submission))
                digests = {name: _digest(text) for name, text in notebooks.items()}
                self._book.set_note(entry, Note(inputs, digests, in_file, flags))
                staged = self._stage(submission, notebooks)
                try:
                    self._book.save()
                except BaseException:
                    _remove(staged.values())
                    raise
            with _told(f"{_name(submission)}: recorded, but not all of its files were written; grade it again"):
                self._put(submission, staged)
        return graded

    def recorded(self, submission: Submission, keys: Mapping[str, str]) -> Graded | None:
        """The result, if exactly this one is in the gradebook and in ``autograded/`` already.

        Args:
            submission: sanitised, not executed.
            keys: lesson -> what ``notebook.metadata.autograder.key`` would be, of each in `submission.notebooks`.
        """
        if refusal(submission.student):
            return None
        with _told(f"{_name(submission)}: can't be looked up"), self._book.transaction():
            built = self._built(submission.assignment)
            entry = self._book.take(submission.student, built)
            note = entry and self._book.note(entry)
            if not entry or not note or self._timestamps(entry, submission)[0] != entry.timestamp:
                return None
            if not set(submission.flags) <= set(note.flags):
                return None  # a file beside it, say, that tells a person something new
            if note.inputs != self._inputs(entry, built, submission, keys) or note.files != self._files(submission):
                return None
            return self._graded(entry, built, submission, note.flags)

    def executed(self, submission: Submission, lesson: str, key: str) -> NotebookNode | None:
        """The notebook in ``autograded/`` that was executed for the same `key`, if a Recorder wrote it.

        For when only a date, a penalty or another lesson has changed, and nothing needs to run again.
        """
        if refusal(submission.student):
            return None
        with _told(f"{_name(submission)}: can't be looked up"), self._book.transaction():
            entry = self._book.take(submission.student, self._built(submission.assignment))
            note = entry and self._book.note(entry)
            path = self._folder(submission) / f"{lesson}.ipynb"
            if not note or path.name not in note.files or not path.is_file():
                return None
            text = path.read_bytes()
        if _digest(text) != note.files[path.name]:
            return None
        notebook = nbformat.reads(text.decode("utf-8"), as_version=4)
        return notebook if notebook.metadata.get("autograder", {}).get("key") == key else None

    # -- the gradebook

    def _built(self, assignment: str) -> BuiltAssignment:
        if assignment not in self._assignments:
            self._assignments[assignment] = self._book.built(assignment)
        return self._assignments[assignment]

    def _autograde(
        self, entry: SubmittedAssignment, built: BuiltAssignment, submission: Submission
    ) -> dict[str, bytes]:
        """nbgrader's steps on every notebook; returns what belongs into ``autograded/``."""
        files, late = {}, _seconds_late(entry)
        for row in entry.notebooks:
            lesson = built.lessons[row.notebook_id]
            notebook = submission.notebooks.get(lesson)
            _reset(row, built, handed_in=notebook is not None)
            if notebook is not None:
                names = {"student": submission.student, "assignment": submission.assignment, "notebook": lesson}
                resources: Any = {"nbgrader": names, "book": self._book, "row": row, "seconds late": late}
                for step in self._steps:
                    notebook, resources = step(notebook, resources)
            if notebook := notebook or submission.unreadable.get(lesson):
                files[f"{lesson}.ipynb"] = nbformat.writes(inert(notebook)).encode("utf-8", "replace")
        return files

    def _timestamps(
        self, entry: SubmittedAssignment, submission: Submission
    ) -> tuple[datetime | None, datetime | None]:
        """When it was handed in, in UTC: for the gradebook, and as ``timestamp.txt`` has it.

        Without a file the gradebook's own time stands, because a person may have entered it, unless it is that of an
        earlier file.
        """
        try:
            in_file = read_timestamp(self.course.submitted_path(submission.student, submission.assignment))
        except Unreadable:  # flagged when it was sanitised
            in_file = None
        note = self._book.note(entry)
        outdated = note is not None and note.timestamp is not None and note.timestamp == entry.timestamp
        return in_file or (None if outdated else entry.timestamp), in_file

    def _inputs(
        self,
        entry: SubmittedAssignment,
        built: BuiltAssignment,
        submission: Submission,
        keys: Mapping[str, str],
    ) -> str:
        """A digest of all that the gradebook's entry depends on."""
        late = _seconds_late(entry)
        inputs = {
            "keys": dict(keys) or None,
            "unreadable": {lesson: nb.metadata["autograder"] for lesson, nb in submission.unreadable.items()},
            "lessons": sorted(built.lessons.values()),
            "timestamp": str(entry.timestamp),
            # a penalty depends on the score, and a person may have changed that
            "late": [late, self._penalty_settings, self._book.scores(entry)] if late else None,
        }
        return _digest(json.dumps(inputs, sort_keys=True).encode())

    def _graded(
        self, entry: SubmittedAssignment, built: BuiltAssignment, submission: Submission, flags: tuple[Flag, ...]
    ) -> Graded:
        scores = self._book.scores(entry)
        exercises = {
            cell.name.removeprefix("test_"): (scores.get(key, 0.0), cell.points or 0.0)
            for key, cell in built.cells.items()
            if cell.name.startswith("test_")
        }
        total = sum(scores.values())
        return Graded(submission.student, submission.assignment, total, built.max_score, exercises, flags)

    # -- the files

    def _folder(self, submission: Submission) -> Path:
        return self.course.autograded_path(submission.student, submission.assignment)

    def _files(self, submission: Submission) -> dict[str, str]:
        return {path.name: _digest(path.read_bytes()) for path in self._folder(submission).glob("*.ipynb")}

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other grading run writes into this course meanwhile. The lock dies with its process."""
        with _told(f"{self.course.root / 'autograded'}: can't be written"):
            folder = self.course.root / "autograded"
            folder.mkdir(parents=True, exist_ok=True)
            lock = open(folder / ".lock", "w")  # noqa: SIM115
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _stage(self, submission: Submission, notebooks: Mapping[str, bytes]) -> dict[Path, Path]:
        """Write all files beside their places, place -> file, so that a full disk shows before the gradebook changes.

        Beside the notebooks goes what lies beside them in ``source/``; of the student's own files only the timestamp.
        """
        folder = self._folder(submission)
        staged: dict[Path, Path] = {}
        try:
            for name, text in notebooks.items():
                _staged(folder / name, staged).write_bytes(text)
            for name, path in self._beside(submission).items() if notebooks else ():
                shutil.copyfile(path, _staged(folder / name, staged))
            for path in staged.values():
                path.chmod(int(str(self._nbgrader.permissions), 8))
        except BaseException:
            _remove(staged.values())
            raise
        return staged

    def _beside(self, submission: Submission) -> dict[str, Path]:
        source = self.course.root / "source" / submission.assignment
        ignored = [*self._nbgrader.coursedir.ignore, "*.ipynb"]
        found = {os.path.relpath(path, source): Path(path) for path in find_all_files(str(source), ignored)}
        timestamp = self.course.submitted_path(submission.student, submission.assignment) / "timestamp.txt"
        return found | ({timestamp.name: timestamp} if timestamp.is_file() and not timestamp.is_symlink() else {})

    def _put(self, submission: Submission, staged: Mapping[Path, Path]) -> None:
        """Move the staged files to their places and remove what an earlier submission left there."""
        folder = self._folder(submission)
        for place, path in staged.items():
            os.replace(path, place)
        for here, folders, files in os.walk(folder, topdown=False):
            for name in files:
                if Path(here, name) not in staged:
                    Path(here, name).unlink()
            for name in folders:
                _remove_if_empty(Path(here, name))
        _remove_if_empty(folder)
        if staged and self._nbgrader.coursedir.groupshared:
            self._nbgrader.set_permissions(submission.assignment, submission.student)


def _reset(row: SubmittedNotebook, built: BuiltAssignment, handed_in: bool) -> None:
    """Nothing of an earlier submission counts, but what a person entered; that is to be looked at again."""
    row.late_submission_penalty = None
    for comment in row.comments:
        comment.auto_comment = None
    for grade in row.grades:
        if handed_in and built.cells[grade.cell_id].task:
            grade.auto_score = None
            grade.needs_manual_grade = grade.needs_manual_grade or grade.manual_score is None
        else:
            grade.auto_score = 0
            grade.needs_manual_grade = grade.manual_score is not None


def _seconds_late(entry: SubmittedAssignment) -> float:
    """nbgrader's own count, which an extension without a due date would break."""
    return float(entry.total_seconds_late) if entry.assignment.duedate else 0.0


def _keys(submission: Submission) -> dict[str, str]:
    """Of each executed notebook. One without a key gets none that `recorded` could be asked for."""
    return {
        lesson: notebook.metadata.get("autograder", {}).get("key") for lesson, notebook in submission.notebooks.items()
    }


def _staged(place: Path, staged: dict[Path, Path]) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    path = place.with_name(f".{place.name}.part")
    path.unlink(missing_ok=True)  # of a run that was killed
    staged[place] = path
    return path


def _remove(paths: Any) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
        folder.rmdir()


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def _name(submission: Submission) -> str:
    return f"{shown(submission.student)}, {submission.assignment}"


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Whatever goes wrong inside becomes one line."""
    try:
        yield
    except CourseError:
        raise
    except Exception as error:  # of SQLAlchemy, a driver, nbgrader, a penalty plugin, the file system
        reason = (str(error).strip().splitlines() or [""])[0]
        if "locked" in reason:
            reason = f"another program held the gradebook for {LOCK_SECONDS:g} s; close it and run again"
        raise CourseError(f"{what} ({type(error).__name__}: {reason})") from error
