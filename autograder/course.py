"""A course directory: an ordinary nbgrader course, and the one place where its settings are made."""

from __future__ import annotations

import os
import sysconfig
import warnings
from dataclasses import dataclass
from pathlib import Path

from nbgrader.api import Gradebook
from nbgrader.apps import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from traitlets.config import Config

# nbgrader 0.9.6 adds objects in an order that SQLAlchemy 2 remarks on; nothing is lost by it.
warnings.filterwarnings("ignore", message="Object of type <Submitted.*not in session", module="nbgrader")

STUB = '# YOUR CODE HERE\nraise NotImplementedError("write your answer above and delete this line")'
COURSE_ID = "llm-systems"
LOCK_SECONDS = 60.0  # for how long another program that writes into an SQLite gradebook is waited for


class CourseError(RuntimeError):
    """nbgrader would not do as asked; the text says why."""


def configure(c: Config) -> Config:
    """The course's settings of nbgrader, for `nbgrader_config.py` and for every command of the autograder alike."""
    c.CourseDirectory.course_id = COURSE_ID
    c.ClearSolutions.code_stub = {"python": STUB}
    c.Execute.timeout = 60
    c.OverwriteCells.add_missing_cells = True  # a test cell that was deleted is put back, and runs
    c.GenerateFeedback.preprocessors = []
    c.GenerateFeedback.exporter_class = "autograder.feedback.FeedbackExporter"
    c.HTMLExporter.preprocessors = ["autograder.inert.Inert"]  # what the formgrader shows was a stranger's
    return c


@dataclass(frozen=True)
class Course:
    """A course directory at `root`, with its gradebook in SQLite or at any SQLAlchemy URL."""

    root: Path
    db: str | None = None

    @property
    def db_url(self) -> str:
        url = self.db or f"sqlite:///{self.root.resolve() / 'gradebook.db'}"
        return f"{url}?timeout={LOCK_SECONDS:g}" if url.startswith("sqlite:") and "?" not in url else url

    def config(self) -> Config:
        c = configure(Config())
        c.CourseDirectory.root = str(self.root.resolve())
        c.CourseDirectory.db_url = self.db_url
        return c

    def directory(self) -> CourseDirectory:
        _put_scripts_on_path()
        return CourseDirectory(config=self.config())

    def api(self) -> NbGraderAPI:
        return NbGraderAPI(coursedir=self.directory(), config=self.config())

    def gradebook(self) -> Gradebook:
        """nbgrader's gradebook, to be used as a context manager."""
        _put_scripts_on_path()
        return Gradebook(self.db_url, COURSE_ID)

    def source_path(self, assignment: str, lesson: str) -> Path:
        return self.root / "source" / assignment / f"{lesson}.ipynb"

    def release_path(self, assignment: str, lesson: str) -> Path:
        return self.root / "release" / assignment / f"{lesson}.ipynb"

    def submitted_path(self, student: str, assignment: str) -> Path:
        return self.root / "submitted" / student / assignment

    def autograded_path(self, student: str, assignment: str) -> Path:
        return self.root / "autograded" / student / assignment

    def generate_release(self, assignment: str) -> None:
        """nbgrader's own `generate_assignment`.

        Raises:
            CourseError: with nbgrader's own words.
        """
        result = self.api().generate_assignment(assignment, force=True, create=True)
        if not result["success"]:
            raise CourseError(f"{assignment}: nbgrader did not generate the release:\n{_words(result)}")


def _put_scripts_on_path() -> None:
    """nbgrader calls `alembic` by name, which an environment that is used without being activated does not offer."""
    scripts = sysconfig.get_path("scripts")
    path = os.environ.get("PATH", "")
    if scripts not in path.split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join(filter(None, (scripts, path)))


def _words(result: dict[str, str]) -> str:
    return "\n".join(filter(None, (result.get("log"), result.get("error")))).strip()
