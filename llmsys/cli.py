"""The `llmsys` command: what a reader types."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from llmsys import doctor as machine
from llmsys import release

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)


@app.command()
def doctor() -> None:
    """Say what this machine has and what that means for the lessons."""
    raise typer.Exit(0 if machine.show(machine.examine()) else 1)


@app.command()
def fetch(
    source: Annotated[Path, typer.Argument(help="the notebooks as released")] = Path("notebooks"),
    into: Annotated[Path, typer.Argument(help="where you work")] = Path("work"),
) -> None:
    """Bring new and updated notebooks to where you work; one that you edited stays, the new one goes beside it."""
    if not source.is_dir():
        raise FileNotFoundError(f"{source}: no such folder; run this where the course was unpacked")
    placed = release.fetch(source, into)
    for one in placed:
        if one.outcome != "unchanged":
            print(one)
    if not any(one.outcome != "unchanged" for one in placed):
        print(f"{into}: up to date ({len(placed)} notebooks)")


@app.command()
def fetch_data(
    names: Annotated[list[str] | None, typer.Argument(help="shakespeare, austen, smollm2, ...")] = None,
) -> None:
    """Download texts and models that lessons read, once; without a name the text that most lessons use."""
    from llmsys import corpus  # imports torch, which the other commands do without

    failed = False
    for name in names or ["shakespeare"]:
        try:
            print(f"{name}: {corpus.fetch(name)}")
        except (OSError, ValueError) as error:  # the other names are fetched all the same
            print(f"llmsys: {error}", file=sys.stderr)
            failed = True
    if failed:
        raise typer.Exit(2)


def main() -> None:
    """Run the command; an error that the user can mend is one clear line."""
    try:
        app()
    except (OSError, ValueError) as error:
        print(f"llmsys: {error}", file=sys.stderr)
        sys.exit(2)
