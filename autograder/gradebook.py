"""nbgrader's gradebook, one submission at a time: changed as a whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from nbgrader.api import (
    Assignment,
    BaseCell,
    Comment,
    Grade,
    Gradebook,
    MissingEntry,
    SolutionCell,
    SubmittedAssignment,
    SubmittedNotebook,
    TaskCell,
)
from nbgrader.api import Course as CourseRow
from sqlalchemy import Column, DateTime, MetaData, String, Table, Text, delete, insert, inspect, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, scoped_session, selectinload, sessionmaker

from autograder.course import COURSE_ID
from autograder.submission import Flag

# No foreign key: nbgrader must stay free to remove a submission, and gives the next one another id.
_NOTES = Table(
    "autograder_submission",
    MetaData(),
    Column("submission_id", String(32), primary_key=True),  # nbgrader's submitted_assignment.id
    Column("inputs", String(64), nullable=False),
    Column("files", Text, nullable=False),  # JSON: name -> digest
    Column("timestamp", DateTime),
    Column("flags", Text, nullable=False),  # JSON: [[kind, where, reason], ...]
)


@dataclass(frozen=True)
class Note:
    """What the autograder keeps beside nbgrader's entry of a submission, written in the same transaction."""

    inputs: str  # digest of all that the result depends on
    files: Mapping[str, str]  # name in autograded/ -> digest of its bytes
    timestamp: datetime | None  # as timestamp.txt had it, in UTC
    flags: tuple[Flag, ...]


@dataclass(frozen=True)
class GradedCell:
    """A cell that nbgrader knows, in an assignment as it was built."""

    lesson: str
    name: str
    points: float | None  # None where there are none to be had
    task: bool  # answered below it, and graded by a person


@dataclass(frozen=True)
class BuiltAssignment:
    """An assignment as it was built, read once."""

    id: str
    max_score: float
    lessons: Mapping[str, str]  # id of a notebook -> its lesson
    cells: Mapping[str, GradedCell]  # id of a cell -> the cell


class _Transaction(Session):
    """nbgrader's methods commit after each step. Here only `save` does; queries see what came before, as always."""

    def commit(self) -> None:
        pass

    def save(self) -> None:
        super().commit()


class OneByOne(Gradebook):
    """nbgrader's gradebook for one writer that takes submissions one by one.

    Everything happens in ``with book.transaction():``, and what was not saved at its end never was.
    """

    def __init__(self, db_url: str) -> None:
        super().__init__(db_url, COURSE_ID)
        self.db.remove()
        maker = sessionmaker(bind=self.engine, class_=_Transaction, expire_on_commit=False)
        self.db: Any = scoped_session(maker)
        try:
            _NOTES.metadata.create_all(self.engine)
        except DBAPIError:
            if not inspect(self.engine).has_table(_NOTES.name):  # nobody else made it at the same moment
                raise
        self._grades: dict[tuple[str, str], Grade] = {}
        self._comments: dict[tuple[str, str], Comment] = {}

    @contextmanager
    def transaction(self) -> Iterator[None]:
        try:
            yield
        finally:
            self.db.remove()  # rolls back what was not saved, and forgets what was read

    def lock(self) -> None:
        """Wait until no other program writes; from now on none does. Before anything is read that will be changed."""
        self.db.execute(update(CourseRow).where(CourseRow.id == COURSE_ID).values(id=COURSE_ID))

    def save(self) -> None:
        cast(_Transaction, self.db()).save()

    def built(self, name: str) -> BuiltAssignment:
        """
        Raises:
            MissingEntry: there is no such assignment.
        """
        assignment = self.find_assignment(name)
        cells = {
            cell.id: GradedCell(notebook.name, cell.name, getattr(cell, "max_score", None), isinstance(cell, TaskCell))
            for notebook in assignment.notebooks
            for cell in self.db.scalars(select(BaseCell).where(BaseCell.notebook_id == notebook.id))
        }
        lessons = {notebook.id: notebook.name for notebook in assignment.notebooks}
        return BuiltAssignment(assignment.id, float(assignment.max_score), lessons, cells)

    def take(self, student: str, assignment: BuiltAssignment) -> SubmittedAssignment | None:
        """A student's submission, with its grades and comments at hand; None when there is none."""
        query = (
            select(SubmittedAssignment)
            .where(SubmittedAssignment.assignment_id == assignment.id, SubmittedAssignment.student_id == student)
            .options(
                selectinload(SubmittedAssignment.notebooks).options(
                    selectinload(SubmittedNotebook.grades), selectinload(SubmittedNotebook.comments)
                )
            )
        )
        entry = self.db.scalars(query).one_or_none()
        rows = entry.notebooks if entry else []
        place = {key: (cell.lesson, cell.name) for key, cell in assignment.cells.items()}
        self._grades = {place[g.cell_id]: g for row in rows for g in row.grades if g.cell_id in place}
        self._comments = {place[c.cell_id]: c for row in rows for c in row.comments if c.cell_id in place}
        return entry

    def create(self, student: str, name: str, assignment: BuiltAssignment) -> SubmittedAssignment:
        """The same, made where it is missing, with a row for every lesson, grade and comment."""
        entry = self.take(student, assignment)
        if entry is None:
            self.update_or_create_student(student)
            self.add_submission(name, student)
        elif not self._add_lessons(entry, assignment):
            return entry
        self.db.expire_all()
        entry = self.take(student, assignment)
        assert entry is not None
        return entry

    def _add_lessons(self, entry: SubmittedAssignment, assignment: BuiltAssignment) -> bool:
        """Lessons that were built after the submission came in; nbgrader itself gives up on those."""
        new = set(assignment.lessons) - {row.notebook_id for row in entry.notebooks}
        for notebook_id in new:
            row = SubmittedNotebook(notebook_id=notebook_id, assignment_id=entry.id)
            self.db.add(row)
            self.db.flush()
            for cell in self.db.scalars(select(BaseCell).where(BaseCell.notebook_id == notebook_id)):
                if not isinstance(cell, SolutionCell):
                    self.db.add(Grade(cell_id=cell.id, notebook_id=row.id))
                if isinstance(cell, SolutionCell | TaskCell):
                    self.db.add(Comment(cell_id=cell.id, notebook_id=row.id))
        self.db.flush()
        return bool(new)

    def find_grade(self, grade_cell: str, notebook: str, assignment: str, student: str) -> Grade:
        """nbgrader's method, for the submission at hand."""
        if (notebook, grade_cell) not in self._grades:
            raise MissingEntry(f"No such grade: {assignment}/{notebook}/{grade_cell} for {student}")
        return self._grades[notebook, grade_cell]

    def find_comment(self, solution_cell: str, notebook: str, assignment: str, student: str) -> Comment:
        """nbgrader's method, for the submission at hand."""
        if (notebook, solution_cell) not in self._comments:
            raise MissingEntry(f"No such comment: {assignment}/{notebook}/{solution_cell} for {student}")
        return self._comments[notebook, solution_cell]

    def scores(self, entry: SubmittedAssignment) -> dict[str, float]:
        """Id of a cell -> the score that counts: by hand where there is one, with extra credit."""
        self.db.flush()
        query = select(Grade.cell_id, Grade.score).where(Grade.notebook_id.in_([row.id for row in entry.notebooks]))
        return {cell: float(score) for cell, score in self.db.execute(query)}

    def note(self, entry: SubmittedAssignment) -> Note | None:
        """What was noted when `entry` was recorded; None when anybody else did that."""
        row = self.db.execute(select(_NOTES).where(_NOTES.c.submission_id == entry.id)).one_or_none()
        return row and Note(row.inputs, json.loads(row.files), row.timestamp, _flags(row.flags))

    def set_note(self, entry: SubmittedAssignment, note: Note) -> None:
        flags = json.dumps([[flag.kind, flag.where, flag.reason] for flag in note.flags])
        values = {"inputs": note.inputs, "files": json.dumps(dict(note.files)), "timestamp": note.timestamp}
        self.db.execute(delete(_NOTES).where(_NOTES.c.submission_id == entry.id))
        self.db.execute(insert(_NOTES).values(submission_id=entry.id, flags=flags, **values))


def recorded_flags(gradebook: Gradebook) -> dict[tuple[str, str], tuple[Flag, ...]]:
    """(assignment, student) -> the flags of what was recorded, of every submission in any gradebook of nbgrader's."""
    if not inspect(gradebook.engine).has_table(_NOTES.name):
        return {}
    query = (
        select(Assignment.name, SubmittedAssignment.student_id, _NOTES.c.flags)
        .join(SubmittedAssignment, SubmittedAssignment.assignment_id == Assignment.id)
        .join(_NOTES, _NOTES.c.submission_id == SubmittedAssignment.id)
    )
    return {(assignment, student): _flags(flags) for assignment, student, flags in gradebook.db.execute(query)}


def _flags(text: str) -> tuple[Flag, ...]:
    return tuple(Flag(*flag) for flag in json.loads(text))
