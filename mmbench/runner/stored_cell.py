"""The cell that a stored file describes, and contradictions between the two."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any

import numpy as np
import pandas as pd

from mmbench.algorithms.base import Algorithm
from mmbench.core.columns import LEADING
from mmbench.core.description import canonical, name_of, reference_of
from mmbench.core.errors import DescriptionError, StoreError
from mmbench.core.external import load_external
from mmbench.core.run_settings import MAX_WIDTH
from mmbench.core.serialization import from_canonical
from mmbench.core.status import Status
from mmbench.engine.cell import Cell
from mmbench.engine.recording import Recording
from mmbench.engine.trajectory import COMPILED, Trajectory
from mmbench.metrics import METRICS
from mmbench.metrics.base import TrajectoryMetric
from mmbench.runner.comparison import ENDING
from mmbench.runner.footer import describe_cell
from mmbench.runner.plan import metrics_for
from mmbench.runner.published_cell import PublishedCell
from mmbench.store.difference import CLOCK
from mmbench.store.folder import Store
from mmbench.store.stored_files import StoredFiles

# Entries of a footer that follow from its description in any version of mmbench, and
# those in which the words, though not the meaning, may change from one to another.
_DESCRIBED = (
    *("key", "cell", "task", "algorithm", "label", "target", "seeds", "runs", "steps"),
    "dtype",
)
_MEASURED = ("metrics", "columns", "kept")  # which older files do not have alike
_WORDED = ("columns", "protocols", "method", "game")
_OUTCOME = ("width", "backend", "arrays", "outcomes", "reason", "ideal")
_CIRCUMSTANCES = ("provenance", "environments", "limits")
_FILE = ("schema", "files", "description")

_BREAKS = (Status.DIVERGED, Status.NONFINITE, Status.STOPPED)  # the iterate stays then
_STILL = 0.01  # relative; a device may round a number otherwise at every record

# What no computation can confirm: who computed, and how long it took.
UNCHECKED = (CLOCK, *_CIRCUMSTANCES)


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
    locations = locations_of(value, external)
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


def locations_of(value: Any, external: Sequence[str]) -> dict[str, str]:
    """Return the location of each external class that a description names.

    Args:
        value: the description, JSON values.
        external: the locations given, matched by the class's file and name and, of
            several, by the digest of its code.

    Returns:
        Location of each class, by its reference in the description.

    Raises:
        DescriptionError: when the location of a class is not given.
    """
    given: dict[str, dict[str, str]] = {}  # name, reference, spec
    for spec in external:
        named = load_external(spec)  # a wrong name is refused even if it is not needed
        location = spec.rpartition(":")[0]
        file = PurePath(location).name if location.endswith(".py") else None
        module = location.rpartition(".")[2]
        own = {spec: named}
        for part in getattr(named, "parts", ()) if isinstance(named, type) else ():
            own[f"{location}:{type(part).__qualname__}"] = type(part)
        for place, cls in own.items():
            name = f"{file or f'{module}.py'}:{getattr(cls, '__qualname__', '')}"
            reference = reference_of(cls) if isinstance(cls, type) else name
            given.setdefault(name, {})[reference] = place
    locations = {}
    for reference in references_in(value):
        name, is_external, _ = reference.partition("@")
        if is_external and name not in given:
            raise DescriptionError(
                f"{name} computed this and is external to mmbench; say where it lies: "
                f"--outside path/to/{name}."
            )
        if is_external:
            last = list(given[name].values())[-1]
            locations[reference] = given[name].get(reference, last)
    return locations


def references_in(value: Any) -> list[str]:
    """Return the classes that a description names, nested ones included."""
    if isinstance(value, list):
        return [name for element in value for name in references_in(element)]
    if not isinstance(value, dict):
        return []
    own = value.get("class")
    return ([own] if isinstance(own, str) else []) + references_in(list(value.values()))


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

    Whatever follows from the description is made again: titles and directions of
    columns, the method's cost, which runs converged and when, and the columns that are
    made of others.

    Args:
        cell: the cell that the file describes.
        stored: the cell's files.
    """
    footer, frame = stored.footer, stored.frame
    description = describe_cell(cell)
    faults = [
        f"its footer has another {name} than its description"
        for name in (*_DESCRIBED, *(_MEASURED if "description" in footer else ()))
        if _unworded(name, footer.get(name)) != _unworded(name, description[name])
    ]
    if description["key"] != stored.key:
        faults.append(f"its description has the key {description['key']}")
    if isinstance(stored, PublishedCell):
        return faults + stored.contradictions(cell.seeds)
    columns = [column.name for column in cell.columns]
    if lacking := [name for name in (*LEADING, *columns) if name not in frame]:
        return [*faults, f"its table lacks {', '.join(lacking)}"]
    texts = ("task", "algorithm", "label", "status", "reason")
    for name in (*LEADING, *columns):
        is_number = pd.api.types.is_numeric_dtype(frame[name].dtype)
        if is_number is (name in texts):
            return [*faults, f"its column {name} holds other values than it should"]
    steps = list(dict.fromkeys(frame["step"]))
    rows = [(seed, step) for seed in cell.seeds for step in steps]
    if list(zip(frame["seed"], frame["step"], strict=True)) != rows:
        return [*faults, "its table has not one row for each run and record"]
    faults += [
        f"its table has another {name} than its description"
        for name, value in (
            ("task", description["task"]),
            ("algorithm", name_of(type(cell.algorithm))),
            ("label", cell.label),
        )
        if set(frame[name]) != {value}
    ]
    return [*faults, *_of_outcome(cell, stored, len(steps))]


def _of_outcome(cell: Cell, stored: StoredFiles, records: int) -> Iterator[str]:
    """Yield where a table contradicts itself or its footer, in words."""
    footer, frame = stored.footer, stored.frame
    runs = [frame.iloc[at : at + records] for at in range(0, len(frame), records)]
    yield from (
        f"its table has several values of {name} in one run"
        for name in ENDING
        if any(len(set(run[name])) > 1 for run in runs)
    )
    yield from _of_reasons(footer, frame)
    backend = str(footer.get("backend") or "eager")
    if backend not in COMPILED and not backend.startswith("eager"):
        yield f"its footer has the backend {backend}, which there is not"
    outcomes = [str(run["status"].iloc[0]) for run in runs]
    if {one: outcomes.count(one) for one in outcomes} != footer.get("outcomes"):
        yield "its footer has other outcomes than its table"
    if sorted(stored.arrays()) != footer.get("arrays"):
        yield "its footer names other arrays than are stored"
    trajectory = Trajectory.from_frame(frame)
    for metric in cell.metrics:
        if isinstance(metric, TrajectoryMetric):
            of = np.asarray(trajectory.columns[metric.of], dtype=float)
            made = replace(trajectory, columns={metric.of: of})
            made.summarise(metric)
            yield from (
                f"its {column.name} is not that of its {metric.of}"
                for column in metric.columns
                if not np.allclose(
                    made.columns[column.name],
                    trajectory.columns[column.name],
                    rtol=1e-9,
                    atol=0,
                    equal_nan=True,
                )
            )
    yield from _of_endings(cell, trajectory)


def _of_reasons(footer: dict[str, Any], frame: pd.DataFrame) -> Iterator[str]:
    """Yield where reasons are not those of the runs' statuses, in words."""
    failed = frame["status"].isin(Status.cell_failures())
    if (frame["reason"][~failed] != "").any() or (frame["reason"][failed] == "").any():
        yield "its table has not a reason for just the runs that a failure ended"
    # An exception may come when all runs of a chunk have ended otherwise.
    is_free = not failed.any() and not (frame["status"] == Status.FINISHED).all()
    reasons = set(frame["reason"][failed]) or {""}
    if "reason" in footer and not is_free and {footer["reason"]} != reasons:
        yield "its footer has another reason than its table"


def _of_endings(cell: Cell, trajectory: Trajectory) -> Iterator[str]:
    """Yield the runs whose end is not that of their numbers, in words."""
    recording = Recording(cell, cell.seeds)
    for at, step in enumerate(trajectory.steps):
        counts = {name: values[at] for name, values in trajectory.counts.items()}
        columns = {name: values[at] for name, values in trajectory.columns.items()}
        recording.add(step, 0.0, counts, columns)
    recording.conclude()
    for run, status in enumerate(trajectory.status):
        end, made = int(trajectory.stopped_at[run]), recording.status[run]
        made_end = int(recording.stopped_at[run])
        if status in Status.cell_failures():
            is_right = end in {0, *trajectory.steps}
        elif status in _BREAKS:
            is_right = 0 < end <= cell.steps and _is_still(trajectory, run)
            if status is Status.STOPPED:
                stops = type(cell.algorithm).done is not Algorithm.done
                is_right = is_right and stops and made is Status.FINISHED
        else:
            is_right = (status, end) == (made, made_end)
        if not is_right:
            yield (
                f"seed {cell.seeds[run]} is {status} at step {end} in its table; by "
                f"its numbers it is {made} at step {made_end}"
            )


def _is_still(trajectory: Trajectory, run: int) -> bool:
    """Return whether a run's charges and numbers stay after the step that ended it."""
    end = int(trajectory.stopped_at[run])
    after = [at for at, step in enumerate(trajectory.steps) if step >= end]
    charges = all(
        len(set(counted[after, run])) <= 1 for counted in trajectory.counts.values()
    )
    numbers = [values[after, run] for values in trajectory.columns.values()]
    return charges and all(
        np.allclose(one, one[-1:], rtol=_STILL, atol=0, equal_nan=True)
        for one in numbers
        if np.issubdtype(one.dtype, np.number) and np.isfinite(one).all()
    )


def _unworded(name: str, value: Any) -> Any:
    """Return an entry of a footer without what a version may word otherwise."""
    if name != "columns" or not isinstance(value, list):
        return value
    return [
        {key: entry for key, entry in one.items() if key != "title"}
        if isinstance(one, dict)
        else one
        for one in value
    ]


def other_words(cell: Cell, stored: StoredFiles) -> list[str]:
    """Return the entries of a footer whose words are not those of this code.

    They may be those of another version of mmbench.

    Args:
        cell: the cell that the file describes.
        stored: the cell's files.
    """
    description = describe_cell(cell)
    return [
        f"its footer has another {name} than this code"
        for name in _WORDED
        if stored.footer.get(name) != description[name]
    ]


def wrong_width(cell: Cell, stored: StoredFiles) -> str:
    """Return in words that a file has a width that nobody can choose; else "".

    Args:
        cell: the cell that the file describes.
        stored: the cell's files, computed by this code.
    """
    width = stored.footer.get("width", 1)
    most = max(MAX_WIDTH, cell.task.width, cell.task.gpu_width)
    if width <= most:
        return ""
    return f"its footer has the width {width}; this code takes at most {most}"


def surplus(cell: Cell, stored: StoredFiles) -> list[str]:
    """Return what a file has beyond what mmbench writes for its description, in words.

    Seeds that do not follow each other were picked, from results that were known or
    not; no suite has them. A column that no metric of the description gives may be that
    of an external metric, which a later command has not asked for.

    Args:
        cell: the cell that the file describes.
        stored: the cell's files.
    """
    footer, description = stored.footer, describe_cell(cell)
    known = {*description, *_OUTCOME, *_CIRCUMSTANCES, *_FILE}
    columns = [*LEADING, *(column.name for column in cell.columns)]
    first = cell.seeds[0]
    is_chosen = cell.seeds != tuple(range(first, first + len(cell.seeds)))
    seeds = f"its seeds are chosen: {', '.join(map(str, cell.seeds))}"
    return [
        *([seeds] if is_chosen else []),
        *(f"its footer has an entry {name}" for name in sorted({*footer} - known)),
        *(
            f"no metric of its description gives the column {name}"
            for name in stored.frame
            if name not in columns
        ),
    ]
