"""Suites from files: a suite.toml is read into a `Suite`.

    name = "mine"
    title = "My method against GDA and CGD"

    [[grid]]
    tasks = ["bilinear", "quadratic"]
    algorithms = [
        "gda",
        "cgd[step_size=0.2]",
        {label = "mine", algorithm = "mine.py:Mine[k=3]"},
    ]
    seeds = 16

The keys of a grid are the fields of `Grid`. The path in "file.py:Class" is relative to
the folder of the suite.toml, and so is that of `tuned`, a record of tuning.
"""

import os
import tomllib
from dataclasses import MISSING
from pathlib import Path
from typing import Any

from mmbench.core.errors import DescriptionError, unknown_name
from mmbench.core.spec import replace_files
from mmbench.suites.base import Grid, Suite, grid_fields, split_label

_KEYS = ("name", "title", "tuned", "grid")
_LABELLED = ("label", "algorithm")


def load_suite(path: Path) -> Suite:
    """Read a suite from a file.

    Args:
        path: path of the suite.toml; its stem is the name of a suite without one.

    Raises:
        DescriptionError: one sentence that names the file and what is wrong in it.
    """
    document = _read(path)
    for key in document:
        if key not in _KEYS:
            raise unknown_name(f"key of {path}", key, _KEYS)
    tables = document.get("grid")
    if not isinstance(tables, list) or not tables:
        raise DescriptionError(
            f"{path} must have at least one table with the heading [[grid]]; got "
            f"{'none' if tables is None else repr(tables)}."
        )
    try:
        return Suite(
            name=document.get("name", path.stem),
            title=document.get("title", ""),
            tuned=_record(document.get("tuned", ""), path.parent),
            grids=tuple(
                _grid(table, number, path) for number, table in enumerate(tables, 1)
            ),
        )
    except DescriptionError as error:
        raise type(error)(f"{path}: {error}") from None


def _record(tuned: Any, folder: Path) -> Any:
    """Return the path of a record, which a suite.toml gives relative to its folder."""
    is_path = isinstance(tuned, str) and tuned
    return _relative_to_here(tuned, folder) if is_path else tuned


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise DescriptionError(
            f"{path} must be a file that can be read; got {error.strerror or error}."
        ) from error
    except UnicodeDecodeError as error:
        raise DescriptionError(
            f"{path} must be text in UTF-8; its byte {error.start} is not."
        ) from error
    except (ValueError, RecursionError) as error:  # ValueError of too many digits, too
        raise DescriptionError(f"{path} must be TOML; got {error}.") from error


def _grid(table: Any, number: int, path: Path) -> Grid:
    if not isinstance(table, dict):
        raise DescriptionError(f"[[grid]] {number} must be a table; got {table!r}.")
    known = [field.name for field in grid_fields()]
    for key in table:
        if key not in known:
            raise unknown_name(f"key of [[grid]] {number}", key, known)
    needed = [field.name for field in grid_fields() if field.default is MISSING]
    if missing := [name for name in needed if name not in table]:
        raise DescriptionError(
            f"[[grid]] {number} must have {' and '.join(needed)}; "
            f"{' and '.join(missing)} is missing."
        )
    if table.get("budget") and "steps" in table:
        raise DescriptionError(
            f"[[grid]] {number} must have steps or a budget, not both; got "
            f"{table['steps']!r} and {table['budget']!r}."
        )
    return Grid(**{key: _value(value, path.parent) for key, value in table.items()})


def _value(value: Any, folder: Path) -> Any:
    """Return the value of a field, with paths resolved and labels put before specs."""
    if isinstance(value, list):
        return [_value(entry, folder) for entry in value]
    if isinstance(value, dict):
        return _value(_with_label(value), folder)
    if isinstance(value, str):
        label, spec = split_label(value)
        found = replace_files(spec, lambda file: _relative_to_here(file, folder))
        return f"{label} = {found}" if label else found
    return value


def _with_label(table: dict[str, Any]) -> str:
    """Return `{label = "L", algorithm = "A"}` as "L = A"."""
    for key in table:
        if key not in _LABELLED:
            raise unknown_name("key of an algorithm", key, _LABELLED)
    for key in _LABELLED:
        if not isinstance(table.get(key), str):
            raise DescriptionError(
                f"{key} of an algorithm must be text; got {table.get(key)!r}."
            )
    label, algorithm = table["label"], table["algorithm"]
    if " = " in label or " = " in algorithm:
        raise DescriptionError(
            f"Label and algorithm must not hold ' = '; got {label!r} and {algorithm!r}."
        )
    return f"{label} = {algorithm}"


def _relative_to_here(file: str, folder: Path) -> str:
    """Return a path in a suite.toml as seen from the working directory."""
    return file if Path(file).is_absolute() else os.path.relpath(folder / file)
