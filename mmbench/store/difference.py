"""The first difference between two stored results of one cell, in words."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

# What two computations of one cell do not share: times, machines and file names.
CIRCUMSTANCES = (
    *("schema", "provenance", "environments", "limits", "files", "width", "backend"),
)
CLOCK = "cell_seconds"

Tensors = Mapping[str, np.ndarray]


class Numbers(NamedTuple):
    """What is stored of a cell.

    Args:
        frame: its table.
        footer: its description and provenance.
        tensors: its arrays and kept iterates, by name.
    """

    frame: pd.DataFrame
    footer: Mapping[str, Any]
    tensors: Tensors


def first_difference(a: Numbers, b: Numbers) -> str:
    """Return where two results of one cell differ first; empty where they do not.

    Training times and the circumstances of the computation are not compared.

    Args:
        a: what one store has.
        b: what the other store has.
    """
    return (
        _of_tables(a.frame, b.frame)
        or _of_footers(a.footer, b.footer)
        or _of_tensors(a.tensors, b.tensors)
    )


def _of_tables(a: pd.DataFrame, b: pd.DataFrame) -> str:
    """Return where tables differ first: the earliest step, then the first column."""
    names = [[str(name) for name in frame if name != CLOCK] for frame in (a, b)]
    if only := sorted(set(names[0]) ^ set(names[1])):
        return f"only one of them has the column {only[0]}"
    if len(a) != len(b):
        return f"{len(a):,} rows and {len(b):,} rows"
    first: tuple[int, int, str] | None = None
    for name in names[0]:
        unequal = np.flatnonzero(~_equal(a[name], b[name]))
        if unequal.size:
            steps = a["step"].to_numpy()[unequal] if "step" in a else unequal
            at = int(np.argmin(steps))
            found = int(steps[at]), int(unequal[at]), name
            first = min(first or found, found, key=lambda one: one[0])
    if first is None:
        return ""
    step, row, name = first
    run = f" of seed {a['seed'].iloc[row]}" if "seed" in a else ""
    place = f"step {step}{run}" if "step" in a else f"row {row}{run}"
    values = a[name].iloc[row], b[name].iloc[row]
    return f"{place}, {name}: {_pair(*values)}"


def _equal(a: pd.Series, b: pd.Series) -> np.ndarray:
    """Return which entries are equal; NaN equals NaN."""
    return np.asarray((a == b) | (a.isna() & b.isna()))


def _pair(a: Any, b: Any) -> str:
    """Return two values, and for numbers how far apart they are."""
    if not all(isinstance(value, (int, float, np.number)) for value in (a, b)):
        return f"{a} and {b}"
    size, apart = float(max(abs(a), abs(b))), float(abs(a - b))
    relative = f", {apart / size:.2g} apart" if np.isfinite(size) and size else ""
    return f"{a:.9g} and {b:.9g}{relative}"


def _of_footers(a: Mapping[str, Any], b: Mapping[str, Any]) -> str:
    for name in sorted({*a, *b} - set(CIRCUMSTANCES)):
        if a.get(name) != b.get(name):
            return f"another {name} in the footer"
    return ""


def _of_tensors(a: Tensors, b: Tensors) -> str:
    for name in sorted({*a, *b}):
        if name not in a or name not in b:
            return f"only one of them has the array {name}"
        if a[name].shape != b[name].shape:
            return f"array {name}: shapes {a[name].shape} and {b[name].shape}"
        if not np.array_equal(a[name], b[name], equal_nan=True):
            apart = np.abs(a[name].astype(float) - b[name].astype(float))
            return f"array {name}: up to {np.nanmax(apart, initial=0):.2g} apart"
    return ""
