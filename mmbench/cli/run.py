"""mmbench run: compute the cells that the store lacks."""

import shlex
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from mmbench.cli import (
    INTERRUPTED,
    WorkError,
    print_command,
    print_stderr,
    print_stdout,
)
from mmbench.cli._numbers import Folder, Whole
from mmbench.cli._rerun_cache import (
    Outcomes,
    collect_inputs,
    read_outcomes,
    write_outcomes,
)
from mmbench.cli._resource_options import (
    data_dir_option,
    resource_options,
    sigterm_as_interrupt,
)
from mmbench.cli._selection import (
    PARAMETERS,
    Selection,
    format_store_option,
    selection_options,
    store_option,
)
from mmbench.core.errors import MmbenchError
from mmbench.core.files import make_folder
from mmbench.core.run_settings import MAX_WIDTH
from mmbench.core.status import Status
from mmbench.engine.compiled.c_compiler import LibraryAhead
from mmbench.engine.compiled.c_library import library_text
from mmbench.runner.guarded_process import FORK_SERVER, may_be_forked
from mmbench.runner.limits import Limits, Workers
from mmbench.suites.base import Suite

if TYPE_CHECKING:
    import mmbench.cli._progress
    from mmbench.core.placement import Placement
    from mmbench.engine.cell import Cell
    from mmbench.store.folder import Store, StoredResult

# "\b" keeps click from filling a paragraph.
EXAMPLES = """\b
Examples:
  mmbench run smoke
  mmbench run -t bilinear -t dirac_gan -a gda -a "cgd[step_size=0.2]" --seeds 64
  mmbench run -t bilinear -a "mine = path/mine.py:Mine[k=3]" --report page
"""

RUN_STEPS_AHEAD = 300_000  # of a suite that is worth workers whatever its cells are
MAX_NAMED_CELLS = 5  # in a message; further cells are only counted


@click.command(
    "run",
    short_help="Compute the missing cells of a suite or a grid.",
    epilog=EXAMPLES,
)
@selection_options
@store_option
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Device that the games are computed on.",
)
@click.option(
    "--compiled/--no-compiled",
    default=None,
    help="Compile the steps where possible, or nowhere.  [default: where it saves more "
    "time than it takes, by rule]",
)
@click.option(
    "--width",
    type=Whole(1, MAX_WIDTH),
    help="Runs of a cell that are computed side by side, on which rounding depends.  "
    "[default: the game's rule]",
)
@data_dir_option
@resource_options
@click.option(
    "--same-environment",
    is_flag=True,
    help="Compute cells again that other versions of mmbench or torch took part in.",
)
@click.option(
    "--strict",
    is_flag=True,
    help="Exit with code 1 also when a run diverged or overflowed.",
)
@click.option(
    "--report",
    "page",
    type=Folder(),
    help="Write the report to this folder.",
)
def command(
    selection: Selection,
    store: Path,
    device: str,
    compiled: bool | None,
    width: int | None,
    data_dir: Path | None,
    same_environment: bool,
    strict: bool,
    page: Path | None,
    workers: Workers,
    limits: Limits,
) -> None:
    """Compute the cells of SUITE, or of a grid of -t and -a, that the store lacks.

    SUITE is the name of a built-in suite or a path to a suite.toml. Options such as
    --seeds and --steps change its grids. The same command again computes only what is
    still missing.
    """
    from mmbench.cli._console import format_duration

    started = time.perf_counter()
    inputs = collect_inputs(selection.suite, store)
    if inputs and _has_only_selection() and (outcomes := read_outcomes(inputs)):
        took = format_duration(time.perf_counter() - started)
        _summarise(selection, store, outcomes, f"0 computed in {took}", len(outcomes))
        _print_next_command(selection, store)
        return
    is_forkable = may_be_forked()
    is_likely = _may_have_workers(selection.suite, workers)
    may_compile = compiled is not False and device != "cuda"
    hold = _begin_fork(may_compile=may_compile) if is_likely else lambda: None
    # These import torch, which the cache does not need.
    from mmbench.cli._progress import make_progress
    from mmbench.core.placement import Placement, pick_device
    from mmbench.runner.execute import execute
    from mmbench.store.folder import Store
    from mmbench.store.table_index import FEWEST_CELLS

    hold()
    started = time.perf_counter()  # imports do not count
    cells = selection.cells
    placement = Placement(
        device=pick_device(device), data_dir=data_dir, compiled=compiled, width=width
    )
    if is_forkable and not is_likely and _have_workers(cells, placement, workers):
        _hold_fork_of_this_process()
    kept = Store(store, same_environment=same_environment)
    if page:
        make_folder(page, "--report")
    progress = make_progress()
    try:
        with (
            closing(progress),
            selection.explain_external_errors(),
            sigterm_as_interrupt(),
        ):
            execute(
                cells,
                kept,
                placement,
                progress,
                _Indexing(kept) if len(cells) >= FEWEST_CELLS else None,
                limits,
                workers,
            )
    except KeyboardInterrupt:
        _report_interrupt(progress, store)
    except MmbenchError as error:
        if not progress.begun:
            raise
        raise WorkError(str(error)) from error  # exit code 1
    done = _describe_work(progress, time.perf_counter() - started)
    footers = [kept.footer(cell.key) for cell in cells]
    outcomes = [(footer["task"], footer["outcomes"]) for footer in footers]
    _summarise(selection, store, outcomes, done, len(cells) - len(progress.waiting))
    _tell_ranking(cells)
    if page:
        from mmbench.cli.report import write_page

        write_page(selection, store, page)
    else:
        _print_next_command(selection, store)
    _check_outcomes(cells, footers, strict)
    if inputs:
        write_outcomes(inputs, selection.suite, cells)


def _describe_work(progress: Any, seconds: float) -> str:
    """Return how many cells were computed and measured, and in which time."""
    from mmbench.cli._console import format_duration, pluralize

    runs = progress.taken  # by cell, from stored cells of other seeds
    whole = sum(runs[cell.key] == len(cell.seeds) for cell in progress.waiting)
    computed = len(progress.waiting) - progress.again - whole
    done = f"{computed} computed in {format_duration(seconds)}"
    if progress.again:
        done += f", {progress.again} measured again"
    if runs:
        done += f", {pluralize(runs.total(), 'run')} taken from the store"
    return done


class _Indexing:
    """Adds computed cells to the index of tables, so that results are read sooner.

    Args:
        store: where they are stored.
    """

    def __init__(self, store: "Store") -> None:
        self._store = store
        self._keys: list[str] = []

    def __call__(self, cell: "Cell", _: "StoredResult") -> None:
        """Note a cell, if the index has such; add those noted once they are a block."""
        # pandas, which runs of few cells do not need
        from mmbench.analysis.results import Gathered
        from mmbench.store.parquet import SHORT_ROWS
        from mmbench.store.table_index import BLOCK_CELLS

        if len(cell.seeds) * len(cell.schedule) <= SHORT_ROWS:
            self._keys.append(cell.key)
        if len(self._keys) == BLOCK_CELLS:
            Gathered(self._store, with_footers=False).index_some(self._keys)
            self._keys.clear()


def _may_have_workers(suite: Suite, workers: Workers) -> bool:
    """Return whether workers are likely, before it is known what they compute."""
    run_steps = sum(
        len(grid.tasks) * len(grid.algorithms) * grid.seeds * grid.steps
        for grid in suite.grids
    )
    if workers.scheduler or workers.processes == 1 or run_steps < RUN_STEPS_AHEAD:
        return False
    from joblib import cpu_count  # here, because it takes a quarter of a second

    return (workers.processes or cpu_count()) > 1


def _begin_fork(*, may_compile: bool) -> Callable[[], None]:
    """Begin with what workers are forked from, before torch is loaded.

    Args:
        may_compile: whether workers may need the library of compiled steps.

    Returns:
        What is to be called when torch is loaded.
    """
    context = click.get_current_context()
    if not may_be_forked():
        context.with_resource(FORK_SERVER)
        return lambda: None
    if not may_compile:
        return _hold_fork_of_this_process
    # To compile it takes about as long as to load torch, and workers wait for both.
    library = context.with_resource(LibraryAhead(library_text(is_single=True)))

    def hold() -> None:
        library.finish()
        _hold_fork_of_this_process()

    return hold


def _hold_fork_of_this_process() -> None:
    """Have workers forked from a fork of this process, which has computed nothing yet.

    The fork is held until the command ends.
    """
    from mmbench.runner.fork_server import serve

    # What was imported since it was asked first may have started a thread.
    server = FORK_SERVER.forked(serve) if may_be_forked() else FORK_SERVER
    click.get_current_context().with_resource(server)


def _have_workers(
    cells: "Sequence[Cell]", placement: "Placement", workers: Workers
) -> bool:
    """Return whether cells would have workers, and no code of others was loaded."""
    from mmbench.core.code_files import is_of_mmbench
    from mmbench.core.description import nested
    from mmbench.runner.local_workers import count_workers

    return (
        not workers.scheduler
        and count_workers(cells, placement, workers.processes) > 1
        and all(is_of_mmbench(type(one)) for cell in cells for one in nested(cell))
    )


def _has_only_selection() -> bool:
    """Return whether only options of the selection and --store were given."""
    context = click.get_current_context()
    return all(
        context.get_parameter_source(name) is ParameterSource.DEFAULT
        for name in context.params
        if name not in (*PARAMETERS, "store")
    )


def _report_interrupt(
    progress: "mmbench.cli._progress.RunProgress", store: Path
) -> None:
    if not progress.begun:
        raise KeyboardInterrupt
    print_stderr(
        f"Interrupted: {progress.done} of {len(progress.waiting)} cells are finished "
        f"and kept in {store}. The unfinished cell loses what it computed after its "
        "last checkpoint, about a minute.\n"
        "The same command goes on from there."
    )
    raise click.exceptions.Exit(INTERRUPTED)


def _summarise(
    selection: Selection, store: Path, outcomes: Outcomes, done: str, stored: int
) -> None:
    """Print how the cells of the selection ended, whenever they were computed.

    Args:
        selection: the selection of the cells.
        store: folder of the results.
        outcomes: task and outcomes of each cell.
        done: what this command did, as text.
        stored: number of cells that were stored before.
    """
    from mmbench.cli._console import pluralize, print_table

    by_task: dict[str, list[Counter]] = {}
    for task, counts in outcomes:
        by_task.setdefault(task, []).append(Counter(counts))
    every = [counter for counters in by_task.values() for counter in counters]
    total = sum(every, Counter())
    shown = [status for status in Status if total[status]]
    rows = []
    for task, counters in by_task.items():
        runs = sum(counters, Counter())
        numbers = [len(counters), runs.total(), *(runs[status] for status in shown)]
        rows.append([task, *(f"{number:,}" if number else "-" for number in numbers)])
    columns = ("cells", "runs", *shown)
    print_table(("task", *columns), rows, right=columns)
    print_stdout(f"\n{'; '.join(map(_explain, shown))}.")
    print_stdout(
        f"{pluralize(len(outcomes), 'cell')} of {selection.suite.name}: {done}, "
        f"{stored} already there. Store: {store}"
    )


def _explain(status: Status) -> str:
    """Return the first part of what a status means, after its name."""
    meaning = status.meaning.partition(";")[0].removesuffix(".")
    return f"{status}: {meaning[0].lower()}{meaning[1:]}"


def _tell_ranking(cells: "Sequence[Cell]") -> None:
    """Say what orders the algorithms on each task that declares no target."""
    for cell in {
        str(cell.task): cell for cell in cells if not cell.task.target
    }.values():
        ranks = [one.name for one in cell.columns if one.better != "neither"]
        by = f"the last {ranks[0]}" if ranks else "nothing"
        print_stdout(
            f"{cell.task} declares no target: a report orders the algorithms on it by "
            f"{by}."
        )


def _print_next_command(selection: Selection, store: Path) -> None:
    chosen = shlex.split(f"{selection}{format_store_option(store)}")
    words = ["mmbench", "report", *chosen, "--out", "mmbench-report"]
    print_command(words, "Next: ")


def _check_outcomes(
    cells: "Sequence[Cell]",
    footers: Sequence[Mapping[str, Any]],
    strict: bool,
) -> None:
    """Check that no cell ended with an error and, if strict, that no run broke down.

    Raises:
        WorkError: with the names of such cells.
    """
    from mmbench.cli._console import format_outcomes, pluralize
    from mmbench.cli._progress import cell_title, shorten_reason

    failed, broken = [], []
    for cell, footer in zip(cells, footers, strict=True):
        outcomes = footer["outcomes"].items()
        dead = {
            status: count for status, count in outcomes if Status(status).is_failure
        }
        if Status.ERROR in dead:
            failed.append(f"{cell_title(cell)}: {shorten_reason(footer['reason'])}")
        elif dead:
            broken.append(f"{cell_title(cell)}: {format_outcomes(dead)}")
    if failed:
        raise WorkError(
            f"{pluralize(len(failed), 'cell')} ended with an error; the others are "
            f"stored, and the same command tries again.{_lines(failed)}"
        )
    if strict and broken:
        raise WorkError(
            f"--strict: runs of {pluralize(len(broken), 'cell')} broke down."
            f"{_lines(broken)}"
        )


def _lines(cells: list[str]) -> str:
    """Return an indented line for each cell, up to `MAX_NAMED_CELLS`."""
    named, further = cells[:MAX_NAMED_CELLS], len(cells) - MAX_NAMED_CELLS
    more = [f"and {further} more"] if further > 0 else []
    return "".join(f"\n  {line}" for line in [*named, *more])
