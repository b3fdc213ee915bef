"""An exercise is judged on its own merits, and nothing of the reference gets out on the way."""

from __future__ import annotations

from dataclasses import replace

import nbformat
import pytest

from autograder.build import build
from autograder.cells import grade_id
from autograder.course import Course
from autograder.execute import Settings, execute, score
from autograder.reference import LessonError, make_reference, run_reference
from autograder.sandbox import Limits, close_idle_workers
from autograder.source import read_lesson

CHAIN = '''\
# %% [markdown]
# # A chain

# %%
from llmsys import check

# %% exercise="first" minutes=1 difficulty=1
def first(x: int) -> int:
    """One more than `x`."""
    ### BEGIN SOLUTION
    one_more_than_that = x + 1
    return one_more_than_that
    ### END SOLUTION

# %%
def after_first(x: int) -> int:
    """Ten times what comes after `x`."""
    return 10 * first(x)

# %% test="first" points=2
check.equal(first(1), 2, "first(1)")
### BEGIN HIDDEN TESTS
check.equal(first(-1), 0, "first(-1)")
check.credit(0.5)
check.equal(after_first(4), 50, "ten times first(4)")
### END HIDDEN TESTS

# %% exercise="second" minutes=1 difficulty=1
def second(x: int) -> int:
    """Twice `after_first(x)`."""
    ### BEGIN SOLUTION
    return 2 * after_first(x)
    ### END SOLUTION

# %% test="second" points=3
check.equal(second(1), 40, "second(1)")
### BEGIN HIDDEN TESTS
check.equal(second(-1), 0, "second(-1)")
### END HIDDEN TESTS

# %% exercise="third" minutes=1 difficulty=1
def third(x: int) -> int:
    """One less than `second(x)`."""
    ### BEGIN SOLUTION
    return second(x) - 1
    ### END SOLUTION

# %% test="third" points=4
check.equal(third(1), 39, "third(1)")
### BEGIN HIDDEN TESTS
check.equal(third(-1), -1, "third(-1)")
### END HIDDEN TESTS
'''
RIGHT = {
    "first": "def first(x): return x + 1",
    "second": "def second(x): return 2 * after_first(x)",
    "third": "def third(x): return second(x) - 1",
}
SETTINGS = Settings(3, Limits(cell_seconds=2))


def built(root, text):
    """The lesson's source notebook and its reference."""
    path = root / "solutions" / "week" / "chain.py"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    course = Course(root / "course")
    build([read_lesson(path)], course, root / "notebooks")
    source = nbformat.read(course.source_path("week", "chain"), as_version=4)
    return source, make_reference(source, run_reference(source, SETTINGS), run_reference(source, SETTINGS, True))


@pytest.fixture(scope="module")
def lesson(tmp_path_factory):
    yield built(tmp_path_factory.mktemp("chain"), CHAIN)
    close_idle_workers()


def run(lesson, settings=SETTINGS, **answers):
    source, reference = lesson
    notebook = nbformat.from_dict(source)
    for cell in notebook.cells:
        cell.source = (RIGHT | answers).get(grade_id(cell), cell.source)
    return execute(notebook, settings, reference, "chain")


def marks(notebook):
    cells = {grade_id(c).removeprefix("test_"): c for c in notebook.cells if grade_id(c).startswith("test_")}
    return {name: (score(cell), cell.metadata.autograder.carried) for name, cell in cells.items()}


def test_nothing_is_carried_where_nothing_is_wrong(lesson):
    assert marks(run(lesson)) == {"first": (2, False), "second": (3, False), "third": (4, False)}


def test_what_was_built_on_a_mistake_is_judged_with_the_reference_in_its_place(lesson):
    wrong = {"first": "def first(x): return x + 2"}
    assert marks(run(lesson, **wrong)) == {"first": (0, False), "second": (3, True), "third": (4, True)}
    assert marks(run(lesson, **wrong, second="def second(x): return after_first(x)")) == {
        "first": (0, False),
        "second": (0, False),
        "third": (4, True),
    }


@pytest.mark.parametrize(("share", "points"), [(0.5, 2), (0, 0)])
def test_how_much_it_earns_is_a_setting(lesson, share, points):
    assert marks(run(lesson, replace(SETTINGS, carried=share), first="def first(x): return 0"))["third"][0] == points


def test_a_test_that_stands_in_for_other_exercises_needs_nothing_carried(tmp_path):
    alone = CHAIN
    for check in ('check.equal(third(1), 39, "third(1)")', 'check.equal(third(-1), -1, "third(-1)")'):
        alone = alone.replace(check, f"with check.using(second=lambda x: 20 * (x + 1)):\n    {check}")
    wrong = run(built(tmp_path, alone), replace(SETTINGS, carried=0), second="def second(x): return 5")
    assert marks(wrong) == {"first": (2, False), "second": (0, False), "third": (4, False)}


def test_what_passed_up_to_a_credit_earns_that_much(lesson):
    half = "def first(x): return {1: 2, -1: 0}[x]"
    assert marks(run(lesson, first=half))["first"] == (1, False)


@pytest.mark.parametrize(
    "trouble",
    [
        "import os\nos._exit(1)",
        "def second(x):\n    import os\n    os._exit(1)",
        "while True: pass",
        "def second(x",
        "",
    ],
)
def test_a_crash_or_a_loop_costs_its_own_exercise(lesson, trouble):
    assert marks(run(lesson, second=trouble)) == {"first": (2, False), "second": (0, False), "third": (4, True)}


def test_a_second_crash_costs_only_its_own_exercise_too(lesson):
    crash = "import os\nos._exit(1)"
    run_ = run(lesson, first=crash, second=crash)
    assert marks(run_) == {"first": (0, False), "second": (0, False), "third": (4, True)}
    (limit,) = (flag for flag in run_.metadata.autograder.flags if flag["kind"] == "limit")
    assert "the kernel died in cell" in limit["reason"]


def test_the_reference_stays_where_it_is(lesson):
    spy = """
import inspect
def second(x):
    try:
        print(inspect.getsource(first))
        open("/tmp/first", "w").write(inspect.getsource(first))
    except Exception:
        pass
    print(first.__code__.co_consts, first.__code__.co_varnames)
    return 2 * after_first(x)
"""
    after = "print(open('/tmp/first').read())\ndef third(x): return second(x) - 1"
    notebook = run(lesson, first="def first(x): return 7", second=spy, third=after)
    outputs = "".join(str(cell.get("outputs")) + str(cell.metadata.get("autograder")) for cell in notebook.cells)
    assert "one_more_than_that" not in outputs
    assert marks(notebook)["second"] == (3, True)


def test_a_lesson_whose_reference_fails_is_named(lesson):
    source = nbformat.from_dict(lesson[0])
    for cell in source.cells:
        if grade_id(cell) == "second":
            cell.source = "def second(x): return 0"
    with pytest.raises(LessonError, match=r"cell 7 fails with the reference: CheckFailed: second\(1\)"):
        run_reference(source, SETTINGS)
