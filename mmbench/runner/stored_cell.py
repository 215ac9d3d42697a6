"""The cell that a stored file describes, and contradictions between the two."""

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

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
from mmbench.store.stored_files import StoredFiles

# Entries of a footer that must agree with its description.
_DESCRIBED = (
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
    """Return the one key of a store that begins with a text.

    Raises:
        StoreError: when there is none or several.
    """
    keys = list(store)
    if beginning in keys:
        return beginning
    matches = [key for key in keys if beginning and key.startswith(beginning)]
    if len(matches) != 1:
        raise StoreError(
            f"KEY must be the beginning of one key in {store.folder}; {beginning!r} "
            f"begins {len(matches)} of {len(keys)}. The last column of "
            "`mmbench results` has them."
        )
    return matches[0]


def stored_cell(stored: StoredFiles, external: Sequence[str] = ()) -> Cell:
    """Return the cell that a stored file describes.

    No external code is run but the classes named here.

    Args:
        stored: the cell's files.
        external: external classes, as `path/to/file.py:Class`.

    Raises:
        StoreError: when its file is damaged.
        DescriptionError: when this mmbench cannot make what it describes.
    """
    key, footer = stored.key, stored.footer
    value = footer.get("description", footer.get("cell"))
    locations = _locations(value, external)
    try:
        if "description" not in footer:
            value = _completed(value, locations, footer)
        cell = from_canonical(value, locations)
    except (KeyError, TypeError, AttributeError) as error:
        raise _undescribed(key, f"{type(error).__name__}: {error}") from error
    if not isinstance(cell, Cell):
        raise _undescribed(key, type(cell).__name__)
    return cell


def _undescribed(key: str, got: str) -> DescriptionError:
    return DescriptionError(f"The file of {key} must describe a cell; got {got}.")


def _locations(value: Any, external: Sequence[str]) -> dict[str, str]:
    """Return the location of each external class that a description names.

    Args:
        value: the description, JSON values.
        external: the locations given, matched by the class's file and name.

    Raises:
        DescriptionError: when the location of a class is not given.
    """
    given = {}
    for spec in external:
        cls = load_external(spec)  # a wrong name is refused even where it is not needed
        location = spec.rpartition(":")[0]
        file = PurePath(location).name if location.endswith(".py") else None
        module = location.rpartition(".")[2]
        given[f"{file or f'{module}.py'}:{getattr(cls, '__qualname__', '')}"] = spec
    locations = {}
    for reference in _references(value):
        name, is_external, _ = reference.partition("@")
        if is_external and name not in given:
            raise DescriptionError(
                f"{name} computed this and is external to mmbench; say where it lies: "
                f"--outside path/to/{name}."
            )
        if is_external:
            locations[reference] = given[name]
    return locations


def _references(value: Any) -> list[str]:
    """Return the classes that a description names, nested ones included."""
    if isinstance(value, list):
        return [name for element in value for name in _references(element)]
    if not isinstance(value, dict):
        return []
    own = value.get("class")
    return ([own] if isinstance(own, str) else []) + _references(list(value.values()))


def _completed(value: Any, locations: dict[str, str], footer: dict[str, Any]) -> Any:
    """Add what is no part of a cell's key to its JSON values.

    The files of older versions describe only the key; the footer has the rest.
    """
    metrics = [
        METRICS.build(spec, external=False) for spec in footer.get("metrics", ())
    ]
    chosen = metrics_for(from_canonical(value["task"], locations), metrics)
    more: dict[str, Any] = {
        "metrics": [canonical(metric, whole=True) for metric in chosen],
        "keep": footer.get("kept", "none"),
        "label": footer.get("label", ""),
    }
    if value.get("after"):
        more["after"] = _completed(value["after"], locations, {})
    return value | more


def contradictions(cell: Cell, stored: StoredFiles) -> list[str]:
    """Return where a file contradicts its description or itself, in words.

    Args:
        cell: the cell that the file describes.
        stored: the cell's files.
    """
    footer, frame = stored.footer, stored.frame
    description = describe_cell(cell)
    faults = [
        f"its footer has another {name} than its description"
        for name in (*_DESCRIBED, *(["metrics"] if "description" in footer else []))
        if footer.get(name) != description[name]
    ]
    if description["key"] != stored.key:
        faults.append(f"its description has the key {description['key']}")
    columns = [column.name for column in cell.columns]
    names = ("task", "algorithm", "label", "seed", "step", *COUNTED, *ENDING, *columns)
    if lacking := [name for name in names if name not in frame]:
        return [*faults, f"its table lacks {', '.join(lacking)}"]
    steps = list(dict.fromkeys(frame["step"]))
    rows = [(seed, step) for seed in cell.seeds for step in steps]
    if list(zip(frame["seed"], frame["step"], strict=True)) != rows:
        return [*faults, "its table has not one row for each run and record"]
    faults += [
        f"its table has another {name} than its description"
        for name, value in (("task", description["task"]), ("label", cell.label))
        if set(frame[name]) != {value}
    ]
    outcomes = [str(status) for status in frame["status"].iloc[:: len(steps)]]
    counts = {outcome: outcomes.count(outcome) for outcome in outcomes}
    if counts != footer.get("outcomes"):
        faults.append("its footer has other outcomes than its table")
    return faults
