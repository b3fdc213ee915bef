"""Whatever became of a notebook: the lesson comes out as it was released, with the student's answers in it."""

from __future__ import annotations

import copy
import json
import os
import random

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell
from nbgrader.converters import Autograde

from autograder import handin
from autograder.build import build
from autograder.course import Course, CourseError
from autograder.sanitise import Sanitiser, find_submissions, sanitise
from autograder.source import read_lesson
from autograder.submission import Submission
from tests.conftest import SMALL_LESSON

DOUBLE = "def double(x):\n    return 2 * x"
TRIPLE = "def triple(x):\n    return 3 * x"


@pytest.fixture(scope="module")
def small(built_course):
    """The course with the small lesson, and its sanitiser with the lesson read."""
    course = Course(built_course)
    sanitiser = Sanitiser(course)
    sanitiser.sanitise(Submission("nobody", "week"))
    return course, sanitiser


@pytest.fixture
def clean(small, tmp_path):
    """Sanitise a notebook as handed in by ada: (sanitised notebook, flags as text)."""
    course, sanitiser = small

    def clean(content, name="small.ipynb", student="ada"):
        root = tmp_path / "course"
        folder = root / "submitted" / student / "week"
        folder.mkdir(parents=True, exist_ok=True)
        text = content if isinstance(content, bytes) else json.dumps(content).encode()
        (folder / name).write_bytes(text)
        return _sanitised(course, sanitiser, root, student)

    return clean


def _sanitised(course, sanitiser, root, student="ada"):
    """`student`'s submission below `root`, in an otherwise equal course: building one, or reading it, takes longer."""
    there = copy.copy(sanitiser)  # with the lessons that were read already
    there.course = Course(root, course.db_url)
    submission = Submission(student, "week")
    there.sanitise(submission)
    return submission, [str(flag) for flag in submission.flags]


@pytest.fixture
def answered(small):
    """The released notebook with both exercises answered, as nbformat nodes."""
    course, _ = small
    notebook = nbformat.read(course.release_path("week", "small"), as_version=4)
    cell(notebook, "exercise-double").source = DOUBLE
    cell(notebook, "exercise-triple").source = TRIPLE
    return notebook


def cell(notebook, name):
    return next(c for c in notebook.cells if c.get("id") == name)


def at(notebook, name):
    return notebook.cells.index(cell(notebook, name))


@pytest.fixture
def honest(clean, answered):
    """What an untouched structure with both answers becomes."""
    submission, flags = clean(answered, student="honest")
    assert flags == []
    return submission.notebooks["small"]


def stock(course, notebook):
    """What nbgrader itself makes of a notebook."""
    names = {"student": "ada", "assignment": "week", "notebook": "small", "db_url": course.db_url}
    notebook, resources = copy.deepcopy(notebook), {"nbgrader": names}
    for step in Autograde(coursedir=course.directory(), config=course.config()).sanitize_preprocessors:
        notebook, resources = step(config=course.config()).preprocess(notebook, resources)
    return notebook


# ---------------------------------------------------------------- honest notebooks


def test_an_honest_notebook_comes_out_as_from_nbgrader_itself(small, honest, answered):
    course, _ = small
    nbformat.validate(honest)
    assert honest.cells == stock(course, answered).cells
    assert "BEGIN HIDDEN TESTS" in cell(honest, "test-double").source


def test_the_untouched_release_and_the_instructors_own_notebook_are_honest(small, clean):
    course, _ = small
    for path in (course.release_path("week", "small"), course.source_path("week", "small")):
        submission, flags = clean(path.read_bytes())
        assert flags == []
        assert list(submission.notebooks) == ["small"]


def _saved_by_jupyterlab(notebook):
    notebook.metadata["widgets"] = {"state": {}}
    notebook.metadata.kernelspec["display_name"] = "my venv"
    notebook.metadata.language_info["version"] = "3.12.1"
    for c in notebook.cells:
        c.metadata.update(
            {"scrolled": True, "editable": True, "slideshow": {"slide_type": ""}, "tags": c.metadata.get("tags", [])}
        )
        if c.cell_type == "code":
            c.execution_count = 3
            c.metadata["execution"] = {"iopub.status.busy": "2026-01-01T00:00:00Z"}
            c.outputs = [nbformat.v4.new_output("stream", text="1\n")]


def _saved_by_vscode(notebook):
    for c in notebook.cells:
        c.metadata["vscode"] = {"languageId": "python"}
        c.source = c.source.replace("\n", "\r\n")


def _saved_by_colab(notebook):
    notebook.nbformat_minor = 0
    notebook.metadata["colab"] = {"provenance": []}
    for c in notebook.cells:
        c.metadata["id"] = c.pop("id")
        c.metadata["colab"] = {"base_uri": "https://localhost:8080/"}


def _saved_by_old_software(notebook):
    notebook.nbformat_minor = 4
    for c in notebook.cells:
        del c["id"]


@pytest.mark.parametrize("save", [_saved_by_jupyterlab, _saved_by_vscode, _saved_by_colab, _saved_by_old_software])
def test_what_editors_change_on_saving_is_nobodys_business(clean, answered, honest, save):
    save(answered)
    submission, flags = clean(answered)
    assert flags == []
    assert submission.notebooks["small"] == honest


def test_a_students_own_cells_stay_where_they_are(clean, answered):
    answered.cells.insert(at(answered, "test-double"), new_code_cell("double(4)", metadata={"tags": ["mine"], "x": 1}))
    image = {"a.png": {"image/png": "AAAA"}}
    answered.cells.insert(1, new_markdown_cell("My notes ![a](attachment:a.png)", attachments=image))
    submission, flags = clean(answered)
    notebook = submission.notebooks["small"]
    assert flags == []
    nbformat.validate(notebook)
    assert notebook.cells[1].source.startswith("My notes")
    assert notebook.cells[1].attachments == image
    own = notebook.cells[at(notebook, "test-double") - 1]
    assert (own.source, own.metadata, own.outputs) == ("double(4)", {"tags": ["mine"]}, [])


def test_prose_may_be_edited_and_deleted(clean, answered):
    answered.cells[0].source = "# My numbers"
    question = cell(answered, "answer-why")
    question.source = "Because of the successor function."
    submission, flags = clean(answered)
    assert flags == []
    assert submission.notebooks["small"].cells[0].source == "# My numbers"
    assert cell(submission.notebooks["small"], "answer-why").source == question.source
    del answered.cells[0]
    submission, flags = clean(answered)
    assert flags == []
    assert len(submission.notebooks["small"].cells) == len(answered.cells)


def test_a_demonstration_that_lost_its_tags_still_does_not_run(clean, answered):
    explore = next(c for c in answered.cells if c.id.startswith("explore-"))
    explore.metadata = {}
    submission, _ = clean(answered)
    assert "explore" in cell(submission.notebooks["small"], explore.id).metadata.tags


# ---------------------------------------------------------------- surgery


def _edit(name):
    def surgery(notebook):
        cell(notebook, name).source = "pass"

    return surgery


def _delete(name):
    def surgery(notebook):
        notebook.cells.remove(cell(notebook, name))

    return surgery


def _metadata(name, **changes):
    def surgery(notebook):
        cell(notebook, name).metadata.nbgrader.update(changes)

    return surgery


def _copy(name, place, **changes):
    def surgery(notebook):
        again = copy.deepcopy(cell(notebook, name))
        again.update(changes)
        notebook.cells.insert(place, again)

    return surgery


def _move(name, place):
    def surgery(notebook):
        moved = notebook.cells.pop(at(notebook, name))
        notebook.cells.insert(place, moved)

    return surgery


def _retype(name, kind):
    def surgery(notebook):
        retyped = cell(notebook, name)
        retyped.cell_type = kind
        retyped.pop("outputs", None)

    return surgery


def _tag(*tags):
    def surgery(notebook):
        cell(notebook, "test-double").metadata["tags"] = list(tags)

    return surgery


def _swap(key):
    def surgery(notebook):
        one, other = cell(notebook, "exercise-double"), cell(notebook, "exercise-triple")
        if key == "id":
            one["id"], other["id"] = other["id"], one["id"]
        else:
            one.metadata, other.metadata = other.metadata, one.metadata

    return surgery


def _strip(*keys):
    def surgery(notebook):
        for c in notebook.cells:
            if "metadata" in keys:
                c.metadata = NotebookNode()
            if "id" in keys:
                del c["id"]

    return surgery


def _reverse(notebook):
    notebook.cells.reverse()


SAME = {  # surgery after which everything is as if it had not been -> what the flag says
    "edited test": (_edit("test-double"), "cell 4 (test_double): was edited; restored"),
    "edited given": (_edit("imports"), "cell 2 (given_imports): was edited; restored"),
    "deleted test": (_delete("test-double"), "(test_double): was missing; put back"),
    "deleted last test": (_delete("test-triple"), "(test_triple): was missing; put back"),
    "deleted given": (_delete("imports"), "(given_imports): was missing; put back"),
    "points": (_metadata("test-double", points=99), "(points); restored"),
    "points that are no number": (_metadata("test-double", points=float("nan")), "(points); restored"),
    "checksum": (_metadata("test-double", checksum="0"), "(checksum); restored"),
    "unlocked": (_metadata("test-double", locked=False, grade=False), "(grade, locked); restored"),
    "solution": (_metadata("test-double", solution=True), "(solution); restored"),
    "grade id": (_metadata("test-double", grade_id="nothing"), "(grade_id); restored"),
    "grade id of another": (_metadata("test-double", grade_id="test_triple"), "(grade_id); restored"),
    "grade id no string": (_metadata("test-double", grade_id=["test_double"]), "(grade_id); restored"),
    "schema": (_metadata("test-double", schema_version=77), "(schema_version); restored"),
    "more keys": (_metadata("test-double", bonus=1), "(bonus); restored"),
    "test moved to the top": (_move("test-double", 0), "cell 1 (test_double): was in another place; moved back"),
    "exercise moved to the end": (_move("exercise-double", 99), "(double): was in another place; moved back"),
    "test turned into prose": (_retype("test-double", "markdown"), "was turned into markdown; turned back"),
    "answer turned into prose": (_retype("exercise-double", "markdown"), "was turned into markdown; turned back"),
    "answer turned into raw": (_retype("exercise-double", "raw"), "was turned into raw; turned back"),
    "tagged to be skipped": (_tag("skip-execution", "explore"), "was tagged explore, skip-execution; untagged"),
    "ids swapped": (_swap("id"), ""),
    "metadata swapped": (_swap("metadata"), "cells 3, 7 (double, triple): had other metadata of nbgrader"),
    "metadata stripped": (_strip("metadata"), "had lost nbgrader's metadata; restored"),
    "metadata and ids stripped": (_strip("metadata", "id"), "had lost nbgrader's metadata; restored"),
}


@pytest.mark.parametrize("kind", SAME)
def test_surgery_is_undone_and_told(clean, answered, honest, kind):
    surgery, told = SAME[kind]
    surgery(answered)
    submission, flags = clean(answered)
    assert submission.notebooks["small"] == honest
    assert all(flag.kind == "repaired" for flag in submission.flags)
    assert (len(flags) == 1 and flags[0].startswith("small.ipynb ") and told in flags[0]) if told else not flags


def test_every_order_of_the_cells_becomes_the_released_one(clean, answered, honest):
    known = [c.id for c in honest.cells if "nbgrader" in c.metadata]
    for seed in range(10):
        random.Random(seed).shuffle(answered.cells)
        notebook = clean(answered)[0].notebooks["small"]
        assert [c.id for c in notebook.cells if "nbgrader" in c.metadata] == known
        assert sorted(c.source for c in notebook.cells) == sorted(c.source for c in honest.cells)


def test_a_copied_answer_leaves_the_original_in_force_and_runs_as_the_students_own(clean, answered, honest):
    place = at(answered, "exercise-double") + 1
    _copy("exercise-double", place, id="abc", source="def double(x): return x + x")(answered)
    submission, flags = clean(answered)
    notebook = submission.notebooks["small"]
    assert flags == ["small.ipynb cell 4 (double): is a copy; kept as the student's own cell"]
    assert cell(notebook, "exercise-double").source == DOUBLE
    assert notebook.cells[place].source == "def double(x): return x + x"
    assert notebook.cells.pop(place).metadata == {}
    assert notebook == honest


def test_of_copies_with_the_same_id_the_one_in_its_place_counts(clean, answered):
    _copy("exercise-double", 99, source="def double(x): return 'an older try'")(answered)
    notebook = clean(answered)[0].notebooks["small"]
    assert cell(notebook, "exercise-double").source == DOUBLE


def test_a_copied_test_gives_no_second_chance(clean, answered, honest):
    for _ in range(3):
        _copy("test-double", 0, source="pass")(answered)
    submission, flags = clean(answered)
    graded = [c for c in submission.notebooks["small"].cells if c.metadata.get("nbgrader", {}).get("grade")]
    assert [c.id for c in graded] == ["test-double", "test-triple"]
    assert graded == [c for c in honest.cells if c.metadata.get("nbgrader", {}).get("grade")]
    assert "is a copy" in " ".join(flags)


def test_a_split_answer_stays_together_with_its_definition(clean, answered):
    first, second = copy.deepcopy(cell(answered, "exercise-double")), cell(answered, "exercise-double")
    first.source, first.id = "FACTOR = 2", "other"
    second.source = "def double(x): return FACTOR * x"
    answered.cells.insert(at(answered, "exercise-double"), first)
    notebook = clean(answered)[0].notebooks["small"]
    here = at(notebook, "exercise-double")
    assert [c.source for c in notebook.cells[here - 1 : here + 1]] == ["FACTOR = 2", second.source]


def test_an_answer_in_a_cell_of_the_students_own_is_found(clean, answered, honest):
    place = at(answered, "exercise-double")
    answered.cells[place] = new_code_cell(DOUBLE)
    submission, flags = clean(answered)
    assert submission.notebooks["small"] == honest
    assert flags == ["small.ipynb cell 3 (double): had lost nbgrader's metadata; restored"]


def test_a_deleted_answer_does_not_come_back_over_what_the_student_wrote_instead(clean, answered):
    """All answers in one cell: ambiguous, so it stays the student's own, and nothing may undo it."""
    first = at(answered, "exercise-double")
    answered.cells[first] = new_code_cell(f"{DOUBLE}\n{TRIPLE}")
    _delete("exercise-triple")(answered)
    submission, flags = clean(answered)
    code = [c.source for c in submission.notebooks["small"].cells if c.cell_type == "code"]
    assert "NotImplementedError" not in "".join(code)
    assert flags == ["small.ipynb (double, triple): was missing; put back"]
    names = [c.id for c in submission.notebooks["small"].cells]
    assert names.index(f"own-{first + 1}") < names.index("exercise-double") < names.index("test-double")


def test_a_test_that_is_put_back_runs_after_what_the_student_put_before_it(clean, answered):
    place = at(answered, "test-double")
    answered.cells[place] = new_code_cell("double = lambda x: 2 * x")
    names = [c.id for c in clean(answered)[0].notebooks["small"].cells]
    assert names[place - 1 : place + 2] == ["exercise-double", f"own-{place + 1}", "test-double"]


def test_an_unknown_cell_that_poses_as_nbgraders_is_the_students_own(clean, answered, honest):
    posing = {"nbgrader": {"grade": True, "grade_id": "bonus", "points": 100, "locked": True, "solution": False}}
    answered.cells.append(new_code_cell("1", metadata=posing))
    submission, flags = clean(answered)
    assert submission.notebooks["small"].cells.pop().metadata == {}
    assert submission.notebooks["small"] == honest
    assert "(bonus): has nbgrader's metadata" in flags[0]


def test_nobody_but_execute_says_what_became_of_a_cell(clean, answered, honest):
    answered.metadata["autograder"] = {"key": "forged"}
    for c in answered.cells:
        c.metadata["autograder"] = {"status": "passed", "credit": 1.0}
    assert clean(answered)[0].notebooks["small"] == honest


def test_a_notebook_begun_from_an_earlier_release_is_brought_up_to_date_with_one_flag(clean, answered, honest):
    answered.metadata.llmsys.digest = "0123"
    for name in ("test-double", "test-triple"):
        cell(answered, name).source += "\ncheck.equal(1, 1)"
        cell(answered, name).metadata.nbgrader.checksum = "old"
    submission, flags = clean(answered)
    assert submission.notebooks["small"] == honest
    assert flags == [
        "small.ipynb cells 4, 8 (test_double, test_triple): differs: begun from another release of the lesson; "
        "brought up to date"
    ]


# ---------------------------------------------------------------- files

UNREADABLE = {
    "truncated": (b'{"cells": [', "is no notebook (Expecting value"),
    "empty": (b"", "is empty"),
    "blank": (b" \n", "is empty"),
    "nul bytes": (b"\0" * 100, "is no notebook"),
    "no text": (b"\xff\xfe\xfd\x00\x81", "is no notebook"),
    "a list": (b"[]", "no object"),
    "deep": (b"[" * 200_000, "is nested too deeply"),
    "deep objects": (b'{"a":' * 200_000, "is nested too deeply"),
    "bomb": (b"[" + b"[]," * 2_000_001 + b"1]", "holds more than 2,000,000 lists"),
    "no cells": (b'{"nbformat": 4}', "has no list of cells"),
    "cells no list": (b'{"nbformat": 4, "cells": {"a": 1}}', "has no list of cells"),
    "many cells": (b'{"cells": [' + b"{}," * 5000 + b"{}]}", "has more than 5000 cells"),
    "newer": (b'{"nbformat": 5, "cells": []}', "is in notebook format 5"),
    "format no number": (b'{"nbformat": NaN, "cells": []}', "is in notebook format nan"),
    "old and broken": (b'{"nbformat": 3, "worksheets": [1]}', "old notebook format"),
    "huge number": (b'{"nbformat": ' + b"4" * 10_000 + b"}", "is no notebook"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_cannot_be_read_is_named_and_the_release_stands_in(clean, kind):
    content, reason = UNREADABLE[kind]
    submission, flags = clean(content)
    assert len(flags) == 1
    assert reason in flags[0]
    assert "\n" not in flags[0]
    assert submission.notebooks == {}
    stand_in = submission.unreadable["small"]
    nbformat.validate(stand_in)
    assert "small.ipynb was not graded" in stand_in.cells[0].source
    assert "small.ipynb was not graded" in stand_in.metadata.autograder.problem
    assert "return x + x" not in "".join(c.source for c in stand_in.cells)


def test_a_file_that_is_too_large_is_not_read(clean, monkeypatch):
    monkeypatch.setattr(handin.read_bytes, "__defaults__", (1000,))
    assert "is larger than 0.000954 MB" in clean(b" " * 1001)[1][0]


ODD = {
    "nothing but odd cells": {"cells": [None, 1, "x", [], {}, {"cell_type": 7}]},
    "odd parts": {
        "cells": [
            {"cell_type": "code", "source": 5, "metadata": [], "id": 3, "outputs": 4},
            {"cell_type": "markdown", "source": ["a", 1, "b"], "metadata": {"tags": 5}, "attachments": [1]},
            {
                "cell_type": "markdown",
                "source": "",
                "metadata": {"tags": [1, None]},
                "attachments": {"a": {"b": 1}, "c": 2},
            },
            {"cell_type": "code", "source": "x", "metadata": {"nbgrader": "yes"}},
            {"cell_type": "code", "source": "x", "metadata": {"nbgrader": {"grade_id": {}}}, "id": "test-double"},
        ],
        "metadata": "none",
    },
    "not a number": {"cells": [], "metadata": {"a": float("nan")}, "nbformat": 4, "nbformat_minor": float("inf")},
    "nothing": {"cells": []},
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_content_is_taken_for_what_it_can_be(clean, honest, kind):
    submission, flags = clean(ODD[kind])
    notebook = submission.notebooks["small"]
    nbformat.validate(notebook)
    assert [c for c in notebook.cells if c.id.startswith("test-")] == [
        c for c in honest.cells if c.id.startswith("test-")
    ]
    assert flags


def test_text_that_no_file_can_hold_is_replaced(clean, answered):
    cell(answered, "exercise-double").source = "x = '\ud83d' # \udcff"
    answered.cells.append(new_code_cell("a\0b", metadata={"tags": ["\ud800"]}))
    answered.cells[-1]["id"] = "\ud800"
    submission, _ = clean(answered)
    nbformat.writes(submission.notebooks["small"]).encode("utf-8")
    assert cell(submission.notebooks["small"], "exercise-double").source == "x = '?' # ?"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_any_encoding_of_json_is_read(clean, answered, honest, encoding):
    submission, flags = clean(json.dumps(answered).encode(encoding))
    assert flags == []
    assert submission.notebooks["small"] == honest


@pytest.mark.filterwarnings("ignore:Cell is missing an id")
def test_an_old_notebook_format_is_converted(clean, answered, honest):
    for c in answered.cells:
        del c["id"]
    old = nbformat.convert(copy.deepcopy(answered), 3)
    submission, flags = clean(old)
    assert "small.ipynb: was in notebook format 3; converted" in flags
    assert submission.notebooks["small"] == honest


def test_only_a_real_file_in_the_students_own_folder_is_read(small, tmp_path, answered):
    course, sanitiser = small
    secret = tmp_path / "secret.ipynb"
    nbformat.write(answered, secret)
    for student, make in {
        "link": lambda path: path.symlink_to(secret),
        "dangling": lambda path: path.symlink_to("nowhere"),
        "loop": lambda path: path.symlink_to(path),
        "folder": lambda path: path.mkdir(),
        "pipe": os.mkfifo,
        "zero": lambda path: path.symlink_to("/dev/zero"),
    }.items():
        path = tmp_path / "course" / "submitted" / student / "week" / "small.ipynb"
        path.parent.mkdir(parents=True)
        make(path)
        submission, flags = _sanitised(course, sanitiser, tmp_path / "course", student)
        assert submission.notebooks == {}, student
        assert "is a link" in flags[0] or "is a folder or device" in flags[0]
    real = tmp_path / "elsewhere" / "week"
    real.mkdir(parents=True)
    nbformat.write(answered, real / "small.ipynb")
    for student, link, target in (("outside", "outside", real.parent), ("inside", "inside/week", real)):
        place = tmp_path / "course" / "submitted" / link
        place.parent.mkdir(exist_ok=True)
        place.symlink_to(target)
        submission, flags = _sanitised(course, sanitiser, tmp_path / "course", student)
        assert not submission.notebooks
        assert flags == ["week: the folder is a link, which is not followed", "small.ipynb: not handed in"]


def test_a_folder_without_notebooks_and_a_file_in_its_place(small, tmp_path):
    course, sanitiser = small
    (tmp_path / "course" / "submitted" / "ada" / "week").mkdir(parents=True)
    assert _sanitised(course, sanitiser, tmp_path / "course")[1] == ["small.ipynb: not handed in"]
    (tmp_path / "course" / "submitted" / "bob").mkdir()
    (tmp_path / "course" / "submitted" / "bob" / "week").write_text("sorry")
    flags = _sanitised(course, sanitiser, tmp_path / "course", "bob")[1]
    assert flags[0] == "week: the folder can't be listed (Not a directory)"


@pytest.mark.parametrize("text", ["yesterday", "\0", "99999999999999999999", "é" * 2000])
def test_a_timestamp_that_is_none_is_told(clean, answered, tmp_path, text):
    folder = tmp_path / "course" / "submitted" / "ada" / "week"
    folder.mkdir(parents=True)
    (folder / "timestamp.txt").write_text(text)
    submission, flags = clean(answered)
    assert flags[0].startswith("timestamp.txt: left out of account")
    assert "small" in submission.notebooks


# ---------------------------------------------------------------- names of files


@pytest.mark.parametrize(
    "name", ["small (1).ipynb", "Copy of small.ipynb", "final.ipynb", "Small.ipynb", "🙂, 'a'.ipynb"]
)
def test_a_renamed_notebook_is_matched(clean, answered, honest, name):
    submission, flags = clean(answered, name)
    assert submission.notebooks["small"] == honest
    assert flags == [f"small.ipynb: was handed in as {name}"]


def test_a_renamed_notebook_is_known_by_its_cells_alone(clean, answered, honest):
    answered.metadata = NotebookNode()
    _strip("metadata", "id")(answered)
    submission, flags = clean(answered, "x.ipynb")
    assert submission.notebooks["small"] == honest
    assert flags[0] == "small.ipynb: was handed in as x.ipynb"


def test_a_notebook_of_something_else_is_none_of_the_lesson(clean):
    assert clean({"cells": [{"cell_type": "code", "source": "1"}]}, "other.ipynb")[1] == ["small.ipynb: not handed in"]


def test_the_exactly_named_one_wins_and_the_other_is_told(clean, answered, honest):
    clean(b"{}", "small (1).ipynb")
    submission, flags = clean(answered)
    assert submission.notebooks["small"] == honest
    assert flags == ["small.ipynb: graded, and not small (1).ipynb, which could be it, too"]


def test_two_that_both_could_be_it_are_not_chosen_from(clean, answered):
    clean(answered, "small (1).ipynb")
    submission, flags = clean(answered, "small (2).ipynb")
    assert flags == ["small.ipynb: could be any of small (1).ipynb, small (2).ipynb; hand in one, as small.ipynb"]
    assert list(submission.unreadable) == ["small"]


def test_a_newer_release_beside_the_notebook_is_not_the_students(clean, answered, honest):
    clean(answered, "small.new.ipynb")
    submission, flags = clean(answered)
    assert (submission.notebooks["small"], flags) == (honest, [])


def test_names_with_control_characters_are_told_in_one_line(clean, answered):
    _, flags = clean(answered, "a\nb\x1b[31m.ipynb")
    assert len(flags) == 1
    assert flags[0].isprintable()


def test_each_of_two_renamed_lessons_is_found(tmp_path):
    lessons = []
    for name in ("small", "other"):
        path = tmp_path / "solutions" / "week" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(SMALL_LESSON if name == "small" else SMALL_LESSON.replace("double", "half"))
        lessons.append(read_lesson(path))
    course = Course(tmp_path / "course")
    build(lessons, course, tmp_path / "notebooks")
    folder = course.submitted_path("ada", "week")
    folder.mkdir(parents=True)
    for number, name in enumerate(("other", "small")):
        notebook = nbformat.read(course.release_path("week", name), as_version=4)
        del notebook.metadata["llmsys"]
        nbformat.write(notebook, folder / f"{number}.ipynb")
    submission = Submission("ada", "week")
    sanitise(course, submission)
    said = [str(flag) for flag in submission.flags]
    assert said == ["other.ipynb: was handed in as 0.ipynb", "small.ipynb: was handed in as 1.ipynb"]
    assert cell(submission.notebooks["other"], "test-half")


# ---------------------------------------------------------------- names of students


@pytest.mark.parametrize("student", ["O'Hara", 'a"b', "a,b", "=cmd()", "🙂", "x" * 128, "Ünal", "a b", "{0}", "%s"])
def test_any_name_that_nbgrader_can_hold_is_graded(course, hand_in, student):
    hand_in(student)
    (submission,) = find_submissions(course)
    sanitise(course, submission)
    assert (submission.student, submission.flags, list(submission.notebooks)) == (student, [], ["small"])


@pytest.mark.parametrize("student", ["a\nb", "\x1b[2J", "x" * 129, " ada", ".ada", os.fsdecode(b"\xff")])
def test_any_other_is_refused_in_one_line(course, hand_in, student):
    hand_in(student)
    hand_in("bob")
    submissions = find_submissions(course)
    for submission in submissions:
        sanitise(course, submission)
    flags = {s.student: [str(flag) for flag in s.flags] for s in submissions}
    assert flags["bob"] == []
    (line,) = flags[student]
    assert "not graded: the folder's name" in line
    assert line.isprintable()


# ---------------------------------------------------------------- the rest


def test_a_release_that_the_gradebook_does_not_know_is_refused(course, hand_in):
    hand_in("ada")
    release = course.release_path("week", "small")
    release.rename(release.with_name("unknown.ipynb"))
    with pytest.raises(CourseError, match="not what the gradebook knows"):
        sanitise(course, find_submissions(course)[0])


def test_folders_of_editors_are_no_students(course, hand_in):
    hand_in("ada")
    (course.root / "submitted" / ".ipynb_checkpoints" / "week").mkdir(parents=True)
    assert [s.student for s in find_submissions(course)] == ["ada"]


def test_a_hostile_notebook_takes_no_time_that_grows_with_its_square(clean, answered):
    """It would take hours."""
    again = [copy.deepcopy(cell(answered, "exercise-double")) for _ in range(4900)]
    answered.cells.extend(again)
    cell(answered, "exercise-triple").source = "a" * 5_000_000 + "\n" + "\n".join("b:c" for _ in range(500_000))
    submission, flags = clean(answered)
    assert "small" in submission.notebooks
    assert "…" in flags[0]
