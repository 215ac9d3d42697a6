"""Described: the cell that a stored file describes, and whether the file is of it."""

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

import pandas as pd

from mmbench.core.description import canonical
from mmbench.core.errors import DescriptionError, StoreError
from mmbench.core.external import load_external
from mmbench.core.oracle_state import COUNTED
from mmbench.core.serialization import from_canonical
from mmbench.engine.cell import Cell
from mmbench.metrics import METRICS
from mmbench.runner.comparison import ENDING
from mmbench.runner.footer import describe_cell
from mmbench.runner.plan import metrics_for
from mmbench.store.folder import Store

# What a footer tells beside the description, and must tell as the description does.
_TOLD = (
    "key",
    "cell",
    "task",
    "algorithm",
    "label",
    "target",
    "seeds",
    "runs",
    "steps",
    "dtype",
)


def key_of(store: Store, beginning: str) -> str:
    """The one key of a store that begins so.

    Raises:
        StoreError: when there is none or several.
    """
    keys = list(store)
    if beginning in keys:
        return beginning
    begun = [key for key in keys if beginning and key.startswith(beginning)]
    if len(begun) != 1:
        raise StoreError(
            f"KEY must be the beginning of one key in {store.folder}; {beginning!r} "
            f"begins {len(begun)} of {len(keys)}. The last column of `mmbench results` "
            "has them."
        )
    return begun[0]


def stored_cell(store: Store, key: str, external: Sequence[str] = ()) -> Cell:
    """A stored cell's description.

    No code from outside mmbench is run but what is named here.

    Args:
        store: where it is.
        key: of the cell.
        external: classes from outside mmbench, as `path/to/file.py:Class`.

    Raises:
        StoreError: when its file is damaged.
        DescriptionError: when this mmbench cannot make what it describes.
    """
    footer = store.footer(key)
    value = footer.get("description", footer.get("cell"))
    places = _places(value, external)
    try:
        if "description" not in footer:
            value = _completed(value, places, footer)
        cell = from_canonical(value, places)
    except (KeyError, TypeError, AttributeError) as error:
        raise _undescribed(key, f"{type(error).__name__}: {error}") from error
    if not isinstance(cell, Cell):
        raise _undescribed(key, type(cell).__name__)
    return cell


def _undescribed(key: str, got: str) -> DescriptionError:
    return DescriptionError(f"The file of {key} must describe a cell; got {got}.")


def _places(value: Any, external: Sequence[str]) -> dict[str, str]:
    """Where each outside class of a description lies, found by its file and name."""
    named = {}
    for one in external:
        cls = load_external(one)  # a wrong name is refused even where nothing needs it
        location = one.rpartition(":")[0]
        file = PurePath(location).name if location.endswith(".py") else None
        module = location.rpartition(".")[2]
        named[f"{file or f'{module}.py'}:{getattr(cls, '__qualname__', '')}"] = one
    places = {}
    for reference in _references(value):
        name, outsider, _ = reference.partition("@")
        if outsider and name not in named:
            raise DescriptionError(
                f"{name} computed this and is from outside mmbench; say where it lies: "
                f"--outside path/to/{name}."
            )
        if outsider:
            places[reference] = named[name]
    return places


def _references(value: Any) -> list[str]:
    """Classes that a description's JSON names, nested ones included."""
    if isinstance(value, list):
        return [name for one in value for name in _references(one)]
    if not isinstance(value, dict):
        return []
    own = value.get("class")
    return ([own] if isinstance(own, str) else []) + _references(list(value.values()))


def _completed(value: Any, places: dict[str, str], footer: dict[str, Any]) -> Any:
    """A cell's JSON with what is no part of its key: older files tell it in words."""
    metrics = [
        METRICS.build(words, external=False) for words in footer.get("metrics", ())
    ]
    chosen = metrics_for(from_canonical(value["task"], places), metrics)
    more: dict[str, Any] = {
        "metrics": [canonical(one, whole=True) for one in chosen],
        "keep": footer.get("kept", "none"),
        "label": footer.get("label", ""),
    }
    if value.get("after"):
        more["after"] = _completed(value["after"], places, {})
    return value | more


def contradictions(
    cell: Cell, key: str, footer: dict[str, Any], frame: pd.DataFrame
) -> list[str]:
    """In what a file contradicts its description or itself, in words.

    Args:
        cell: that it describes.
        key: that it is stored under.
        footer: of the file.
        frame: its table.
    """
    told = describe_cell(cell)
    faults = [
        f"its footer tells another {name} than its description"
        for name in (*_TOLD, *(["metrics"] if "description" in footer else []))
        if footer.get(name) != told[name]
    ]
    if told["key"] != key:
        faults.append(f"its description has the key {told['key']}")
    columns = [column.name for column in cell.columns]
    names = ("task", "algorithm", "label", "seed", "step", *COUNTED, *ENDING, *columns)
    if lacking := [name for name in names if name not in frame]:
        return [*faults, f"its table lacks {', '.join(lacking)}"]
    steps = list(dict.fromkeys(frame["step"]))
    rows = [(seed, step) for seed in cell.seeds for step in steps]
    if list(zip(frame["seed"], frame["step"], strict=True)) != rows:
        return [*faults, "its table has not one row for each run and record"]
    faults += [
        f"its table tells another {name} than its description"
        for name, one in (("task", told["task"]), ("label", cell.label))
        if set(frame[name]) != {one}
    ]
    ends = [str(one) for one in frame["status"].iloc[:: len(steps)]]
    if {one: ends.count(one) for one in ends} != footer.get("outcomes"):
        faults.append("its footer tells other outcomes than its table")
    return faults
