"""Older: cells as mmbench stored them before files carried digests, schema 2."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError
from safetensors.numpy import load

from mmbench.core.errors import StoreError
from mmbench.store.parquet import FOOTER

OLD = 2
_BESIDE = {"arrays": "safetensors", "iterates": "iterates.safetensors"}
# What footers have had only later, where it was not there.
_LATER = {"kept": "none", "ideal": {}, "protocols": {}}
_FAULTS = (
    pa.ArrowException,
    SafetensorError,
    OSError,
    KeyError,
    TypeError,
    ValueError,
)


class Older(NamedTuple):
    """A cell, as `Store.put` takes it."""

    frame: pd.DataFrame
    footer: dict[str, Any]
    arrays: dict[str, Any]
    iterates: dict[str, Any]


def is_older(table: Path) -> bool:
    """Whether a file claims to be a table of schema 2."""
    try:
        return bool(_footer(table)["schema"] == OLD)
    except _FAULTS:
        return False


def cell(folder: Path, key: str) -> Older:
    """A cell of schema 2, whose files can only be checked against each other.

    Raises:
        StoreError: when they cannot be read or do not fit.
    """
    table = folder / f"{key}.parquet"
    try:
        footer = _footer(table)
        frame = pq.read_table(table, use_threads=False).to_pandas()
        beside = {
            kind: load(path.read_bytes()) if path.exists() else {}
            for kind, path in _beside(folder, key).items()
        }
        fits = footer["key"] == key and sorted(beside["arrays"]) == footer["arrays"]
    except _FAULTS as error:
        raise StoreError(
            f"{table} must be a cell that an older mmbench wrote; reading it gave "
            f"{type(error).__name__}. Delete it and import the others."
        ) from error
    if not fits:
        raise StoreError(
            f"{table} must be a cell that an older mmbench wrote; its files do not fit "
            "its name or each other. Delete them and import the others."
        )
    return Older(frame, _LATER | footer, **beside)


def clear(folder: Path, key: str) -> None:
    """Delete what lay beside a table of schema 2 that has been replaced."""
    for path in _beside(folder, key).values():
        path.unlink(missing_ok=True)


def _beside(folder: Path, key: str) -> dict[str, Path]:
    return {kind: folder / f"{key}.{ending}" for kind, ending in _BESIDE.items()}


def _footer(table: Path) -> dict[str, Any]:
    return json.loads((pq.read_schema(table).metadata or {})[FOOTER])
