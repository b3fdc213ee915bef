"""JupyterLab in a real browser: what a student, a grader and an author do there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import BrowserContext, FrameLocator, Locator, Page, expect, sync_playwright

from tests.browser.lab import ANSWER, LESSON, SECONDS, Lab, grade_a_class, serving

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# --no-sandbox: Chromium can't set its own up as root or in most containers. The others keep it off the network.
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync"
)
HARMLESS = (
    # nbgrader's form for grading by hand gets MathJax from a content network; without it formulas stay as typed.
    "cdnjs.cloudflare.com/ajax/libs/mathjax",
    "MathJax is not defined",
)


@pytest.fixture(scope="module", autouse=True)
def chromium() -> str:
    """Where a browser is; looked for before anything is built for it."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        give_up = pytest.fail if "CI" in os.environ else pytest.skip
        give_up(f"no browser on PATH (looked for {', '.join(BROWSERS)})")
    return path


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    root = tmp_path_factory.mktemp("repository")
    grade_a_class(root)
    with serving(root, tmp_path_factory.mktemp("home")) as lab:
        yield lab


# Of the module, not of the session: while Playwright is up its event loop runs in this thread, where other tests
# want to start their own.
@pytest.fixture(scope="module")
def context(chromium: str, lab: Lab) -> Iterator[BrowserContext]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS.split())
        context = browser.new_context(viewport={"width": 1280, "height": 1000})
        context.set_default_timeout(SECONDS * 1000)
        expect.set_options(timeout=SECONDS * 1000)
        context.route(lambda url: not url.startswith(lab.address), lambda route: route.abort())
        yield context
        browser.close()


@pytest.fixture
def page(context: BrowserContext, tmp_path: Path) -> Iterator[Page]:
    """A tab of its own for each test, that must stay free of errors on its console."""
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda m: errors.append(f"{m.text} ({m.location['url']})") if m.type == "error" else None)
    yield page
    page.screenshot(path=tmp_path / "page.png")  # pytest keeps it, to be looked at after a failure
    page.close()
    assert [error for error in errors if not any(known in error for known in HARMLESS)] == []


# ---------------------------------------------------------------- a student


def test_a_cell_is_run_by_keyboard(lab: Lab, page: Page) -> None:
    open_notebook(page, lab, lab.hand_out("by_keyboard"))
    cell = code_cell(page, "print(")
    cell.locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")
    expect(cell.locator(".jp-OutputArea-output")).to_have_text("0 < 1 < 2 < 3 < 4")


def test_validate_names_the_failing_test(lab: Lab, page: Page) -> None:
    open_notebook(page, lab, lab.hand_out("unanswered"))
    dialog = validate(page)
    expect(dialog).to_contain_text("The following cell failed")
    expect(dialog).to_contain_text('check.equal(double(2), 4, "double(2)")')
    expect(dialog).to_contain_text("NotImplementedError: write your answer above")


def test_an_answer_typed_by_hand_passes_validate(lab: Lab, page: Page) -> None:
    path = lab.hand_out("answered")
    handed_out = nbformat.read(lab.root / path, as_version=4)
    open_notebook(page, lab, path)
    code_cell(page, "def double").locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(ANSWER)
    expect(validate(page)).to_contain_text("Success! Your notebook passes all the tests.")
    saved = nbformat.read(lab.root / path, as_version=4)
    assert ANSWER in [cell.source for cell in saved.cells]
    assert nbgrader_metadata(saved) == nbgrader_metadata(handed_out)


# ---------------------------------------------------------------- a grader


def test_formgrader_shows_the_class_and_takes_a_grade_by_hand(lab: Lab, page: Page) -> None:
    page.goto(lab.url())
    page.locator(".lm-MenuBar-itemLabel", has_text="Nbgrader").click()
    menu_item(page, "Formgrader").click()
    formgrader = page.frame_locator(".jp-IFrame iframe")
    open_submissions(formgrader)
    expect(row(formgrader, "ada")).to_contain_text("2 / 3")
    expect(row(formgrader, "bob")).to_contain_text("0 / 3")

    row(formgrader, "ada").get_by_role("link").first.click()
    formgrader.get_by_role("link", name="double").click()
    expect(formgrader.locator(".score.needs_manual_grade")).to_be_visible()  # from here on the form listens
    with page.expect_response(lambda response: "/api/grade/" in response.url and response.request.method == "PUT"):
        formgrader.get_by_role("button", name="Full credit").last.click()
    page.goto(f"{lab.address}/formgrader/manage_submissions/week")
    expect(row(page, "ada")).to_contain_text("3 / 3")


# ---------------------------------------------------------------- an author


def test_a_lesson_is_edited_as_a_notebook_and_keeps_its_marks(lab: Lab, page: Page) -> None:
    page.goto(lab.url("solutions/week"))
    page.locator(".jp-DirListing-item", has_text="double.py").click(button="right")
    menu_item(page, "Open With").hover()
    menu_item(page, "Notebook").click()
    choose_a_kernel_if_asked(page)
    code_cell(page, "def double").locator(".cm-line", has_text="return x + x").click()
    page.keyboard.press("End")
    page.keyboard.insert_text("  # twice")
    page.keyboard.press("Shift+Enter")
    with page.expect_response(lambda response: "/api/contents/" in response.url and response.request.method == "PUT"):
        page.keyboard.press("Control+s")
    saved = (lab.root / "solutions" / "week" / "double.py").read_text()
    assert saved == LESSON.replace("return x + x", "return x + x  # twice")


# ---------------------------------------------------------------- how it is done


def open_notebook(page: Page, lab: Lab, path: str) -> None:
    page.goto(lab.url(path))
    wait_for_kernel(page)


def wait_for_kernel(page: Page) -> None:
    expect(page.locator(".jp-StatusBar-TextItem", has_text="Python 3 (ipykernel) | Idle")).to_be_visible()


def choose_a_kernel_if_asked(page: Page) -> None:
    """It asks where jupytext can't tell which kernel is this Python: where its specification says just "python"."""
    question = page.locator(".jp-Dialog", has_text="Select Kernel")
    page.add_locator_handler(question, lambda dialog: dialog.locator(".jp-mod-accept").click())
    wait_for_kernel(page)


def code_cell(page: Page, text: str) -> Locator:
    return page.locator(".jp-CodeCell", has_text=text)


def menu_item(page: Page, label: str) -> Locator:
    return page.locator(".lm-Menu-itemLabel").get_by_text(label, exact=True)


def validate(page: Page) -> Locator:
    page.locator(".validate-button").click()
    return page.locator(".jp-Dialog-content")


def nbgrader_metadata(notebook: nbformat.NotebookNode) -> list[object]:
    return [cell.metadata.get("nbgrader") for cell in notebook.cells]


def open_submissions(formgrader: FrameLocator) -> None:
    row(formgrader, "week").get_by_role("link", name="2", exact=True).click()


def row(formgrader: FrameLocator | Page, text: str) -> Locator:
    return formgrader.locator("tbody tr", has_text=text)
