"""Frame: stored cells to one tidy table, and what is in it."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from mmbench.algorithms import ALGORITHMS
from mmbench.core.errors import StoreError
from mmbench.plan import LEADING
from mmbench.store import Store
from mmbench.tasks import TASKS


class Results(NamedTuple):
    """Cells as they are stored, for tables and reports.

    Args:
        frame: one row for each cell, run and record, cells in the order asked for.
        footers: key to description and provenance.
        store: where the arrays are.
    """

    frame: pd.DataFrame
    footers: dict[str, dict[str, Any]]
    store: Store


def tidy(frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """One table of all cells; columns a cell lacks hold NaN.

    Args:
        frames: key to table; the keys become the last column.
    """
    keyed = [frame.assign(key=key) for key, frame in frames.items()]
    if not keyed:
        return pd.DataFrame(columns=[*LEADING, "key"])
    together = pd.concat(keyed, ignore_index=True)
    metrics = [name for name in together if name not in (*LEADING, "key")]
    return together[[*LEADING, *metrics, "key"]]


def gather(store: Store, cells: Iterable[tuple[str, str]] | None = None) -> Results:
    """Stored cells.

    Args:
        store: where they are.
        cells: (key, label) of those wanted, in order; the label replaces the stored
            one. None means all that are there, in the order of the registries.

    Raises:
        StoreError: when a wanted cell is missing or a file is damaged.
    """
    if cells is None:
        footers = {key: store.footer(key) for key in store}
        order = sorted(footers, key=lambda key: (*_place(footers[key]), key))
        cells = [(key, footers[key]["label"]) for key in order]
    frames, told = {}, {}
    for key, label in cells:
        if key not in store:
            raise StoreError(
                f"The store {store.folder} must hold cell {key} ({label}); it does "
                "not. Run the suite into this store first."
            )
        frames[key] = store.frame(key).assign(label=label)
        told[key] = store.footer(key) | {"label": label}
    return Results(tidy(frames), told, store)


def _place(footer: dict[str, Any]) -> tuple[int, str, int, str]:
    """Where a cell stands among others: outsiders last, then by its words."""
    place: list[Any] = []
    for registry, words in ((TASKS, footer["task"]), (ALGORITHMS, footer["algorithm"])):
        names, name = list(registry), words.partition("[")[0]
        place += [names.index(name) if name in names else len(names), words]
    return tuple(place)


def load(store: Path | str) -> pd.DataFrame:
    """The tidy table of everything in a store.

    Args:
        store: the folder.

    Returns:
        One row for each cell, seed and recorded step: task, algorithm, label, seed,
        step, grad_x, grad_y, hvps, values, samples, cell_seconds, status, stopped_at,
        reason, the metric columns, and key.

    Raises:
        StoreError: when there is no such store or a file in it is damaged.
    """
    return gather(Store(store)).frame


# ---- what is in results ----


def tasks_of(results: Results) -> list[str]:
    """Tasks in order of first appearance."""
    return list(dict.fromkeys(results.frame["task"]))


def labels_of(results: Results) -> list[str]:
    """Labels in order of first appearance."""
    return list(dict.fromkeys(results.frame["label"]))


def columns_of(results: Results, task: str) -> list[dict[str, Any]]:
    """Metric columns of a task that hold at least one number, in order."""
    frame = results.frame[results.frame["task"] == task]
    told = {}
    for footer in results.footers.values():
        if footer["task"] == task:
            for column in footer["columns"]:
                name = column["name"]
                if name in frame and frame[name].notna().any():
                    told.setdefault(name, column)
    return list(told.values())


def primary(results: Results, task: str) -> dict[str, Any] | None:
    """The column that says how good an iterate is: the first one with a direction.

    The columns of a target come first, so where there is one it is among them.
    """
    return next(
        (one for one in columns_of(results, task) if one["better"] != "neither"), None
    )


def target_of(results: Results, task: str) -> str:
    """What counts as reached on a task, in words; empty where nothing is declared."""
    targets = [one["target"] for one in results.footers.values() if one["task"] == task]
    return next((one for one in targets if one), "")
