"""mmbench run: compute what the store lacks."""

import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmbench.cli import INTERRUPTED, Failed, printed, say
from mmbench.cli._hands import hands, terminable
from mmbench.cli._selection import Selection, elsewhere, selecting, storing
from mmbench.core.errors import MmbenchError
from mmbench.limits import Crew, Limits

if TYPE_CHECKING:
    import mmbench.cli._progress
    import mmbench.store

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
    "--data-dir",
    type=click.Path(path_type=Path),
    help="Folder of data files.  [default: MMBENCH_DATA, then a download]",
)
@hands
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
    data_dir: Path | None,
    strict: bool,
    page: Path | None,
    crew: Crew,
    limits: Limits,
) -> None:
    """Compute what the store lacks of SUITE, or of a grid of -t and -a.

    SUITE is the name of a built-in suite or a path to a suite.toml; --seeds, --steps
    and their like change its grids. The same command again finishes what is missing
    and computes nothing twice.
    """
    from mmbench.cli._progress import Bar, Lines
    from mmbench.cli._terminal import console
    from mmbench.core.place import Place, pick_device
    from mmbench.execute import execute
    from mmbench.store import Store

    started = time.perf_counter()
    cells = selection.cells
    place = Place(device=pick_device(device), data_dir=data_dir)
    kept = Store(store)
    if page:
        _make_folder(page)
    screen = console()
    watcher = Bar(screen) if sys.stdout.isatty() else Lines(screen)
    try:
        with closing(watcher), selection.blaming_outsiders(), terminable():
            execute(cells, kept, place, watcher, limits=limits, crew=crew)
    except KeyboardInterrupt:
        _interrupted(watcher, store)
    except MmbenchError as error:
        if not watcher.begun:
            raise
        raise Failed(str(error)) from error  # exit code 1
    _summarise(selection, kept, watcher, time.perf_counter() - started, page)
    if page:
        from mmbench.cli.report import write

        write(selection, store, page)
    _complain(selection, kept, strict)


def _make_folder(page: Path) -> None:
    try:
        page.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MmbenchError(
            f"--report must be a folder that can be made; {page} gave "
            f"{type(error).__name__}: {error.strerror}."
        ) from error


def _interrupted(watcher: "mmbench.cli._progress.Counting", store: Path) -> None:
    if not watcher.begun:
        raise KeyboardInterrupt
    say(
        f"Interrupted: {watcher.done} of {len(watcher.waiting)} cells are finished and "
        f"kept in {store}; of the cell in work, what is younger than its last "
        "checkpoint is lost, about a minute.\n"
        "The same command goes on from there."
    )
    raise click.exceptions.Exit(INTERRUPTED)


def _summarise(
    selection: Selection,
    kept: "mmbench.store.Store",
    watcher: "mmbench.cli._progress.Counting",
    took: float,
    page: Path | None,
) -> None:
    """How all cells of the selection ended, computed now or before."""
    from mmbench.cli._terminal import counted, seconds, show, table
    from mmbench.core.description import text
    from mmbench.core.status import Status

    cells = selection.cells
    by_task: dict[str, list[Counter]] = {}
    for cell in cells:
        outcomes = Counter(kept.footer(cell.key)["outcomes"])
        by_task.setdefault(text(cell.task), []).append(outcomes)
    total = sum((one for counters in by_task.values() for one in counters), Counter())
    shown = [str(status) for status in Status if total[status]]
    rows = table("task", "cells", "runs", *shown, right=("cells", "runs", *shown))
    for task, counters in by_task.items():
        together = sum(counters, Counter())
        numbers = [len(counters), together.total(), *(together[one] for one in shown)]
        rows.add_row(task, *(f"{number:,}" if number else "-" for number in numbers))
    computed = len(watcher.waiting) - watcher.again
    again = f"{watcher.again} measured again, " if watcher.again else ""
    show(watcher.screen, rows)
    printed(
        f"\n{counted(len(cells), 'cell')} of {selection.suite.name}: {computed} "
        f"computed in {seconds(took)}, {again}"
        f"{len(cells) - len(watcher.waiting)} already there. "
        f"Store: {kept.folder}"
    )
    if not page:
        chosen = f"{selection}{elsewhere(kept.folder)}"
        printed(f"Next: mmbench report {chosen} --out mmbench-report")


def _complain(selection: Selection, kept: "mmbench.store.Store", strict: bool) -> None:
    """Exit with 1 when a cell ended with an error, or, if strict, when runs died.

    Raises:
        Failed: naming the cells.
    """
    from mmbench.cli._progress import brief, named
    from mmbench.cli._terminal import counted, listed
    from mmbench.core.status import Status

    failed, broken = [], []
    for cell in selection.cells:
        footer = kept.footer(cell.key)
        dead = {one: n for one, n in footer["outcomes"].items() if Status(one).dead}
        if Status.ERROR in dead:
            failed.append(f"{named(cell)}: {brief(footer['reason'])}")
        elif dead:
            broken.append(f"{named(cell)}: {listed(dead)}")
    if failed:
        raise Failed(
            f"{counted(len(failed), 'cell')} ended with an error; the others are "
            f"finished, and the same command tries again.{_lines(failed)}"
        )
    if strict and broken:
        raise Failed(
            f"--strict: runs of {counted(len(broken), 'cell')} broke down."
            f"{_lines(broken)}"
        )


def _lines(told: list[str]) -> str:
    more = [f"and {len(told) - SHOWN} more"] if len(told) > SHOWN else []
    return "".join(f"\n  {one}" for one in [*told[:SHOWN], *more])
