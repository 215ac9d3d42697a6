"""The Python interface: run a grid and return its table."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm.auto import tqdm

from mmbench.analysis.results import collected, gather, with_origin
from mmbench.core.description import Description
from mmbench.core.errors import DescriptionError, check_keywords
from mmbench.core.placement import Placement, pick_device
from mmbench.core.printable import shorten
from mmbench.core.run_settings import MAX_WIDTH
from mmbench.engine.cell import Cell
from mmbench.engine.recording import Recording
from mmbench.runner.execute import Observer, execute
from mmbench.runner.in_progress import result_so_far
from mmbench.runner.limits import Workers
from mmbench.runner.plan import plan
from mmbench.store.folder import Store, StoredResult
from mmbench.suites.base import Grid, Suite

# Called with a label, a step, and the table until then.
OnRecord = Callable[[str, int, pd.DataFrame], Any]


@check_keywords
def run(
    tasks: Sequence[Any],
    algorithms: Sequence[Any],
    metrics: Sequence[Any] = (),
    *,
    seeds: int = 32,
    first_seed: int = 0,
    steps: int = 1000,
    budget: int = 0,
    unit: str = "gradient-equivalents",
    records: int = 40,
    store: Path | str | None = None,
    device: str = "auto",
    compiled: bool | None = None,
    width: int | None = None,
    dtype: str = "float32",
    precision: str = "exact",
    keep: str = "none",
    keep_state: bool = False,
    data_dir: Path | str | None = None,
    same_environment: bool = False,
    workers: int | None = None,
    progress: bool | None = None,
    on_record: OnRecord | None = None,
) -> pd.DataFrame:
    """Run every algorithm on every task and return the tidy table.

    Args:
        tasks: specs such as "bilinear[dim=10]", or descriptions.
        algorithms: specs such as "cgd[step_size=0.2]" (after "label = " if a label is
            wanted), or descriptions.
        metrics: specs or descriptions; none means those of each task.
        seeds: number of runs of each cell.
        first_seed: the least seed; a cell has the seeds that follow it.
        steps: steps of each run.
        budget: what each run may spend, in place of steps: a run goes on until its
            counted cost is as much, and the "step" of a record is what every run has
            spent; 0 means steps.
        unit: what the budget is counted in, "gradient-equivalents" or "samples".
        records: number of evenly spaced records of each run.
        store: folder of the results, from which cells that it has are read; None writes
            nothing.
        device: "auto", "cpu" or "cuda".
        compiled: whether to compile the steps where possible; None means where that
            saves more time than it takes, by rule.
        width: number of runs of a cell that are computed side by side, on which
            rounding depends; None means the game's rule.
        dtype: type of all floats, "float32" or "float64".
        precision: of products within a step: "exact" (as the dtype says), "tf32" or
            "bf16".
        keep: iterates to store, to measure more of them later without running again:
            "none", those of the "last" record, or of "all".
        keep_state: whether to store the state of the runs at their end too, from which
            a cell with more steps goes on.
        data_dir: folder of data files; None means MMBENCH_DATA, then a download.
        same_environment: whether to compute stored cells again that other versions of
            mmbench or torch took part in.
        workers: the most processes that compute; with 1, this process does; None means
            one for each core, or GPU, where the work is worth it.
        progress: whether a bar is shown; None shows it in notebooks and on terminals.
        on_record: called at each record with the label, the step, and the table of the
            runs computed together until then, which `mmbench.plot` draws; this process
            then computes all. Making the table takes milliseconds, and longer the more
            records and runs it has. An exception that it raises ends the run.

    Returns:
        One row for each cell, seed and recorded step; see `load`.

    Raises:
        MmbenchError: one sentence about what is wrong, before any work starts.
    """
    axes = {"tasks": tasks, "algorithms": algorithms, "metrics": metrics}
    for name, given in axes.items():
        _check_list(name, given)
    fields: dict[str, Any] = {  # the description checks their values
        **{name: tuple(given) for name, given in axes.items()},
        "seeds": seeds,
        "first_seed": first_seed,
        "steps": steps,
        "budget": budget,
        "unit": unit,
        "records": records,
        "dtype": dtype,
        "precision": precision,
        "keep": keep,
        "keep_state": keep_state,
    }
    grid = Grid(**fields)
    kept = None if store is None else Store(store, same_environment=same_environment)
    cells = plan(Suite(name="run", grids=(grid,)))
    placement = Placement(
        device=pick_device(device),
        data_dir=None if data_dir is None else _path("data_dir", data_dir),
        compiled=compiled,
        width=_width(width),
    )
    processes = _workers(workers)
    if on_record is not None:
        if not callable(on_record):
            raise DescriptionError(
                f"on_record must be a function; got {shorten(on_record)}."
            )
        processes = Workers(1)
    if progress not in (None, True, False):
        raise DescriptionError(
            f"progress must be true, false or None; got {shorten(progress)}."
        )
    is_watched = "ipykernel" in sys.modules or sys.stderr.isatty()
    watcher = _Watcher(is_watched if progress is None else progress, on_record)
    if kept is not None:
        with watcher.watching():
            execute(cells, kept, placement, watcher, workers=processes)
        results = gather(kept, [(cell.key, cell.label) for cell in cells])
        return with_origin(results)
    computed: dict[str, StoredResult] = {}

    def collect(cell: Cell, result: StoredResult) -> None:
        computed[cell.key] = result

    with watcher.watching():
        execute(cells, None, placement, watcher, collect, workers=processes)
    return with_origin(collected(computed))


class _Stopped(BaseException):  # it is no error of a cell
    """An exception of the user's function, which passes through a cell like Ctrl-C."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class _Watcher(Observer):
    """A progress bar of the runs, and calls of the user's function at records.

    Args:
        is_shown: whether the bar is shown.
        on_record: the user's function.
    """

    def __init__(self, is_shown: bool, on_record: OnRecord | None) -> None:
        self._is_shown, self._on_record = is_shown, on_record
        self._bar: Any = None
        self._recorded: tuple[Any, int] = (None, 0)

    def on_plan(self, cells: Sequence[Cell], waiting: Sequence[Cell]) -> None:
        """Show the bar if there is anything to compute."""
        if self._is_shown and waiting:
            total = sum(len(cell.seeds) * cell.steps for cell in waiting)
            self._bar = tqdm(total=total, unit=" steps", unit_scale=True)

    def on_start(self, cell: Cell) -> None:
        """Show the label of the cell."""
        if self._bar is not None:
            self._bar.set_description(cell.label)

    def on_progress(
        self, cell: Cell, run_steps: int, recording: Recording | None = None
    ) -> None:
        """Move the bar, and call the function if there is a new record."""
        if self._bar is not None:
            self._bar.update(run_steps)
        if not self._on_record or not recording or not recording.steps:
            return
        recorded = recording, len(recording.steps)
        if recorded != self._recorded:
            self._recorded = recorded
            so_far = collected({cell.key: result_so_far(cell, recording)})
            try:
                self._on_record(cell.label, recording.steps[-1], with_origin(so_far))
            except Exception as error:
                raise _Stopped(error) from error

    @contextmanager
    def watching(self) -> Iterator[None]:
        """End the bar at the end, and raise what the user's function raised."""
        try:
            yield
        except _Stopped as stopped:
            raise stopped.error from None
        finally:
            if self._bar is not None:
                self._bar.close()


def _check_list(name: str, given: Any) -> None:
    """Check that an axis of a grid is a list of specs and descriptions.

    Raises:
        DescriptionError: naming the argument and what was given.
    """
    if isinstance(given, str | Description) or not isinstance(given, Iterable):
        raise DescriptionError(
            f"{name} must be a list of specs or descriptions; got {shorten(given)}."
        )
    for one in given:
        if isinstance(one, type):
            raise DescriptionError(
                f"{name} must hold descriptions, not classes; got {one.__name__}. "
                f"Write {one.__name__}()."
            )


def _width(given: Any) -> int | None:
    """Return a number of runs, if it is one.

    Raises:
        DescriptionError: when it is not.
    """
    if given is None or (type(given) is int and 0 < given <= MAX_WIDTH):
        return given
    raise DescriptionError(
        f"width must be a whole number from 1 to {MAX_WIDTH}, or None; got "
        f"{shorten(given)}."
    )


def _workers(given: Any) -> Workers:
    """Return the workers of a number of them, or of None.

    Raises:
        DescriptionError: when it is neither.
    """
    is_whole = isinstance(given, int) and not isinstance(given, bool)
    if given is not None and not (is_whole and given >= 1):
        raise DescriptionError(
            f"workers must be a whole number of at least 1, or None; got "
            f"{shorten(given)}."
        )
    return Workers(given or 0)


def _path(name: str, given: Any) -> Path:
    """Return a path.

    Raises:
        DescriptionError: when it is empty or no path.
    """
    if not isinstance(given, str | os.PathLike) or not str(given).strip():
        raise DescriptionError(f"{name} must be a path; got {shorten(given)}.")
    return Path(given)
