"""The Python way in: run a grid and have its table."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mmbench.analysis.results import gather, tidy
from mmbench.core.errors import DescriptionError
from mmbench.core.placement import Placement, pick_device
from mmbench.engine.cell import Cell
from mmbench.runner.execute import execute
from mmbench.runner.plan import plan
from mmbench.store.folder import Store
from mmbench.suites.base import Grid, Suite


def run(
    tasks: Sequence[Any],
    algorithms: Sequence[Any],
    metrics: Sequence[Any] = (),
    *,
    seeds: int = 32,
    steps: int = 1000,
    records: int = 40,
    store: Path | str | None = None,
    device: str = "auto",
    compiled: bool = False,
    dtype: str = "float32",
    precision: str = "exact",
    keep: str = "none",
    data_dir: Path | str | None = None,
    same_environment: bool = False,
) -> pd.DataFrame:
    """Run every algorithm on every task and return the tidy table.

    Args:
        tasks: words such as "bilinear[dim=10]", or descriptions.
        algorithms: words such as "cgd[step_size=0.2]" (after "label = " if a label is
            wanted), or descriptions.
        metrics: words or descriptions; none means each task's own.
        seeds: runs of each cell, with seeds 0, 1, ...
        steps: of each run.
        records: evenly spaced ones of each run.
        store: folder that keeps the results and answers for what it has; None writes
            nothing.
        device: "auto", "cpu" or "cuda".
        compiled: whether steps are compiled where they can be; pays in long cells.
        dtype: "float32" or "float64".
        precision: of products within a step: "exact" (the dtype's), "tf32" or "bf16".
        keep: iterates kept in the store, to measure more of them later without running
            again: "none", those of the "last" record, or of "all".
        data_dir: folder of data files; None means MMBENCH_DATA, then a download.
        same_environment: compute again what is stored where another version of mmbench
            or torch had a part in it.

    Returns:
        One row for each cell, seed and recorded step; see `load`.

    Raises:
        MmbenchError: one sentence about what is wrong, before any work starts.
    """
    for name, given in (("tasks", tasks), ("algorithms", algorithms)):
        if isinstance(given, str):
            raise DescriptionError(f"{name} must be a list; got {given!r}.")
    grid = Grid(
        tasks=tuple(tasks),
        algorithms=tuple(algorithms),
        metrics=tuple(metrics),
        seeds=seeds,
        steps=steps,
        records=records,
        dtype=dtype,  # type: ignore[arg-type]  # the description checks it
        precision=precision,  # type: ignore[arg-type]  # the same
        keep=keep,  # type: ignore[arg-type]  # the same
    )
    cells = plan(Suite(name="run", grids=(grid,)))
    placement = Placement(
        device=pick_device(device),
        data_dir=Path(data_dir) if data_dir else None,
        compiled=compiled,
    )
    if store is not None:
        kept = Store(store, same_environment=same_environment)
        execute(cells, kept, placement)
        return gather(kept, [(cell.key, cell.label) for cell in cells]).frame
    frames: dict[str, pd.DataFrame] = {}

    def take(cell: Cell, done: Any) -> None:
        frames[cell.key] = done.frame

    execute(cells, None, placement, on_result=take)
    return tidy(frames)
