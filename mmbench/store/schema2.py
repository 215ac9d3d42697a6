"""Cells as mmbench stored them before files carried digests, in schema 2."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError
from safetensors.numpy import load

from mmbench.core.errors import StoreError
from mmbench.core.files import read_file
from mmbench.core.json_schema import parse_json
from mmbench.store.folder import StoredResult
from mmbench.store.parquet import FOOTER
from mmbench.store.schema import (
    decode,
    misfit_of_columns,
    misfit_of_footer,
    misfit_of_rows,
    open_table,
    to_frame,
)

OLD_SCHEMA = 2
_SUFFIXES = {"arrays": "safetensors", "iterates": "iterates.safetensors"}
# Entries that footers have had only since schema 3.
_DEFAULTS = {"kept": "none", "ideal": {}, "protocols": {}}
_READ_ERRORS = (
    *(pa.ArrowException, SafetensorError, OSError),
    *(KeyError, TypeError, ValueError, OverflowError),
)


def is_schema2(table: Path) -> bool:
    """Return whether a file claims to be a table of schema 2."""
    try:
        return bool(_open(read_file(table))[1]["schema"] == OLD_SCHEMA)
    except _READ_ERRORS:
        return False


def read_cell(folder: Path, key: str) -> StoredResult:
    """Read a cell of schema 2, whose files can only be checked against each other.

    Raises:
        StoreError: when they cannot be read or do not fit.
    """
    table = folder / f"{key}.parquet"
    try:
        content = read_file(table)
        file, footer = _open(content)
        footer = _DEFAULTS | footer | {"files": {}}
        found = misfit_of_footer(footer) or misfit_of_columns(file, footer)
        decoded = decode(file) if not found else None
        companions = {
            kind: load(read_file(path)) if path.exists() else {}
            for kind, path in _companions(folder, key).items()
        }
        fits = not found and not misfit_of_rows(decoded, footer)
        fits &= (
            footer["key"] == key and sorted(companions["arrays"]) == footer["arrays"]
        )
    except _READ_ERRORS as error:
        raise StoreError(
            f"{table} must be a cell that an older mmbench wrote; reading it gave "
            f"{type(error).__name__}. Delete it and import the others."
        ) from error
    if not fits or decoded is None:
        raise StoreError(
            f"{table} must be a cell that an older mmbench wrote; its files do not fit "
            "its name or each other. Delete them and import the others."
        )
    return StoredResult(to_frame(decoded), footer, **companions)


def remove_companions(folder: Path, key: str) -> None:
    """Delete the arrays and iterates of a cell of schema 2 that has been replaced."""
    for path in _companions(folder, key).values():
        path.unlink(missing_ok=True)


def _companions(folder: Path, key: str) -> dict[str, Path]:
    return {kind: folder / f"{key}.{suffix}" for kind, suffix in _SUFFIXES.items()}


def _open(content: bytes) -> tuple[pq.ParquetFile, dict[str, Any]]:
    """Return a table to be read, and its footer."""
    file = open_table(content)
    return file, parse_json((file.metadata.metadata or {})[FOOTER])
