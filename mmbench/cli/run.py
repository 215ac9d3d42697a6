"""mmbench run: compute what the store lacks."""

import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from mmbench.cli import INTERRUPTED, Failed, printed, say
from mmbench.cli._rerun_cache import Outcomes, question, recall, remember
from mmbench.cli._resource_options import hands, terminable
from mmbench.cli._selection import (
    PARAMETERS,
    Selection,
    elsewhere,
    selecting,
    storing,
)
from mmbench.core.errors import MmbenchError
from mmbench.core.status import Status
from mmbench.runner.limits import Limits, Workers

if TYPE_CHECKING:
    import mmbench.cli._progress
    import mmbench.runner.plan

# "\b" keeps click from filling a paragraph.
EXAMPLES = """\b
Examples:
  mmbench run smoke
  mmbench run -t bilinear -t dirac_gan -a gda -a "cgd[step_size=0.2]" --seeds 64
  mmbench run -t bilinear -a "mine = path/mine.py:Mine[k=3]" --report page
"""

SHOWN = 5  # cells that a message names; the rest are counted


@click.command(
    "run",
    short_help="Compute what is missing of a suite or a grid.",
    epilog=EXAMPLES,
)
@selecting
@storing
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where the games are computed.",
)
@click.option(
    "--compiled",
    is_flag=True,
    help="Compile the steps where they can be: takes seconds, pays in long cells.",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="Folder of data files.  [default: MMBENCH_DATA, then a download]",
)
@hands
@click.option(
    "--same-environment",
    is_flag=True,
    help="Compute again what other versions of mmbench or torch had a part in.",
)
@click.option(
    "--strict", is_flag=True, help="Exit with 1 also when a run diverged or overflowed."
)
@click.option(
    "--report", "page", type=click.Path(path_type=Path), help="Write the report there."
)
def command(
    selection: Selection,
    store: Path,
    device: str,
    compiled: bool,
    data_dir: Path | None,
    same_environment: bool,
    strict: bool,
    page: Path | None,
    workers: Workers,
    limits: Limits,
) -> None:
    """Compute what the store lacks of SUITE, or of a grid of -t and -a.

    SUITE is the name of a built-in suite or a path to a suite.toml; --seeds, --steps
    and their like change its grids. The same command again finishes what is missing
    and computes nothing twice.
    """
    from mmbench.cli._console import console, seconds

    started = time.perf_counter()
    asked = question(selection.suite, store)
    if asked and _plain() and (outcomes := recall(asked)):
        took = seconds(time.perf_counter() - started)
        _summarise(selection, store, outcomes, f"0 computed in {took}", len(outcomes))
        _advise(selection, store)
        return
    # These take torch, which an answer does not.
    from mmbench.cli._progress import Bar, Lines
    from mmbench.core.placement import Placement, pick_device
    from mmbench.runner.execute import execute
    from mmbench.store.folder import Store

    started = time.perf_counter()  # loading is no computing
    cells = selection.cells
    placement = Placement(
        device=pick_device(device), data_dir=data_dir, compiled=compiled
    )
    kept = Store(store, same_environment=same_environment)
    if page:
        _make_folder(page)
    screen = console()
    observer = Bar(screen) if sys.stdout.isatty() else Lines(screen)
    try:
        with closing(observer), selection.blaming_outsiders(), terminable():
            execute(cells, kept, placement, observer, limits=limits, workers=workers)
    except KeyboardInterrupt:
        _interrupted(observer, store)
    except MmbenchError as error:
        if not observer.begun:
            raise
        raise Failed(str(error)) from error  # exit code 1
    computed = len(observer.waiting) - observer.again
    said = f"{computed} computed in {seconds(time.perf_counter() - started)}"
    if observer.again:
        said += f", {observer.again} measured again"
    footers = [kept.footer(cell.key) for cell in cells]
    outcomes = [(one["task"], one["outcomes"]) for one in footers]
    _summarise(selection, store, outcomes, said, len(cells) - len(observer.waiting))
    if page:
        from mmbench.cli.report import write

        write(selection, store, page)
    else:
        _advise(selection, store)
    _complain(cells, footers, strict)
    if asked:
        remember(asked, selection.suite, cells)


def _plain() -> bool:
    """Whether no option was given but those of the selection and --store."""
    context = click.get_current_context()
    return all(
        context.get_parameter_source(name) is ParameterSource.DEFAULT
        for name in context.params
        if name not in (*PARAMETERS, "store")
    )


def _make_folder(page: Path) -> None:
    try:
        page.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MmbenchError(
            f"--report must be a folder that can be made; {page} gave "
            f"{type(error).__name__}: {error.strerror}."
        ) from error


def _interrupted(observer: "mmbench.cli._progress.Counting", store: Path) -> None:
    if not observer.begun:
        raise KeyboardInterrupt
    say(
        f"Interrupted: {observer.done} of {len(observer.waiting)} cells are finished "
        f"and kept in {store}; of the cell in work, what is younger than its last "
        "checkpoint is lost, about a minute.\n"
        "The same command goes on from there."
    )
    raise click.exceptions.Exit(INTERRUPTED)


def _summarise(
    selection: Selection, store: Path, outcomes: Outcomes, said: str, there: int
) -> None:
    """How all cells of the selection ended, computed now or before.

    Args:
        selection: the cells.
        store: where they are.
        outcomes: of each.
        said: what was done now.
        there: cells that were there before.
    """
    from mmbench.cli._console import console, counted, show, table

    by_task: dict[str, list[Counter]] = {}
    for task, counts in outcomes:
        by_task.setdefault(task, []).append(Counter(counts))
    total = sum((one for counters in by_task.values() for one in counters), Counter())
    shown = [str(status) for status in Status if total[status]]
    rows = table("task", "cells", "runs", *shown, right=("cells", "runs", *shown))
    for task, counters in by_task.items():
        together = sum(counters, Counter())
        numbers = [len(counters), together.total(), *(together[one] for one in shown)]
        rows.add_row(task, *(f"{number:,}" if number else "-" for number in numbers))
    show(console(), rows)
    printed(
        f"\n{counted(len(outcomes), 'cell')} of {selection.suite.name}: {said}, "
        f"{there} already there. Store: {store}"
    )


def _advise(selection: Selection, store: Path) -> None:
    chosen = f"{selection}{elsewhere(store)}"
    printed(f"Next: mmbench report {chosen} --out mmbench-report")


def _complain(
    cells: "Sequence[mmbench.engine.cell.Cell]",
    footers: Sequence[Mapping[str, Any]],
    strict: bool,
) -> None:
    """Exit with 1 when a cell ended with an error, or, if strict, when runs died.

    Raises:
        Failed: naming the cells.
    """
    from mmbench.cli._console import counted, listed
    from mmbench.cli._progress import brief, named

    failed, broken = [], []
    for cell, footer in zip(cells, footers, strict=True):
        dead = {
            one: n for one, n in footer["outcomes"].items() if Status(one).is_failure
        }
        if Status.ERROR in dead:
            failed.append(f"{named(cell)}: {brief(footer['reason'])}")
        elif dead:
            broken.append(f"{named(cell)}: {listed(dead)}")
    if failed:
        raise Failed(
            f"{counted(len(failed), 'cell')} ended with an error; the others are "
            f"stored, and the same command tries again.{_lines(failed)}"
        )
    if strict and broken:
        raise Failed(
            f"--strict: runs of {counted(len(broken), 'cell')} broke down."
            f"{_lines(broken)}"
        )


def _lines(told: list[str]) -> str:
    more = [f"and {len(told) - SHOWN} more"] if len(told) > SHOWN else []
    return "".join(f"\n  {one}" for one in [*told[:SHOWN], *more])
