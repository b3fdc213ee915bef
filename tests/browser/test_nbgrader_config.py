"""What nbgrader's extensions of JupyterLab read from the repository's root."""

from __future__ import annotations

import pytest
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from autograder.course import Course
from tests.browser.lab import REPOSITORY


def test_the_course_stands_below_the_repository() -> None:
    assert settings() == Course(REPOSITORY / "course").config()


def test_students_need_no_autograder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert settings() == {"Execute": {"timeout": 60}}


def settings() -> Config:
    return PyFileConfigLoader("nbgrader_config.py", str(REPOSITORY)).load_config()
