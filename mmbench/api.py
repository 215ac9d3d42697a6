"""The Python interface: run a grid and return its table."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mmbench.analysis.results import collected, gather, with_origin
from mmbench.core.description import Description
from mmbench.core.errors import DescriptionError, check_keywords
from mmbench.core.placement import Placement, pick_device
from mmbench.core.printable import shorten
from mmbench.engine.cell import Cell
from mmbench.runner.execute import execute
from mmbench.runner.limits import Workers
from mmbench.runner.plan import plan
from mmbench.store.folder import Store, StoredResult
from mmbench.suites.base import Grid, Suite


@check_keywords
def run(
    tasks: Sequence[Any],
    algorithms: Sequence[Any],
    metrics: Sequence[Any] = (),
    *,
    seeds: int = 32,
    first_seed: int = 0,
    steps: int = 1000,
    records: int = 40,
    store: Path | str | None = None,
    device: str = "auto",
    compiled: bool | None = None,
    dtype: str = "float32",
    precision: str = "exact",
    keep: str = "none",
    data_dir: Path | str | None = None,
    same_environment: bool = False,
    workers: int | None = None,
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
        records: number of evenly spaced records of each run.
        store: folder of the results, from which cells that it has are read; None writes
            nothing.
        device: "auto", "cpu" or "cuda".
        compiled: whether to compile the steps where possible; None means where that
            saves more time than it takes, by rule.
        dtype: type of all floats, "float32" or "float64".
        precision: of products within a step: "exact" (as the dtype says), "tf32" or
            "bf16".
        keep: iterates to store, to measure more of them later without running again:
            "none", those of the "last" record, or of "all".
        data_dir: folder of data files; None means MMBENCH_DATA, then a download.
        same_environment: whether to compute stored cells again that other versions of
            mmbench or torch took part in.
        workers: the most processes that compute; with 1, this process does; None means
            one for each core, or GPU, where the work is worth it.

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
        "records": records,
        "dtype": dtype,
        "precision": precision,
        "keep": keep,
    }
    grid = Grid(**fields)
    kept = None if store is None else Store(store, same_environment=same_environment)
    cells = plan(Suite(name="run", grids=(grid,)))
    placement = Placement(
        device=pick_device(device),
        data_dir=None if data_dir is None else _path("data_dir", data_dir),
        compiled=compiled,
    )
    processes = _workers(workers)
    if kept is not None:
        execute(cells, kept, placement, workers=processes)
        results = gather(kept, [(cell.key, cell.label) for cell in cells])
        return with_origin(results)
    computed: dict[str, StoredResult] = {}

    def collect(cell: Cell, result: StoredResult) -> None:
        computed[cell.key] = result

    execute(cells, None, placement, on_result=collect, workers=processes)
    return with_origin(collected(computed))


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
