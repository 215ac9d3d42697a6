"""Tables with a footer, as Parquet files that contain a digest of their own bytes.

The SHA-256 is kept in the Parquet metadata and is computed with zeros in the place of
its digits. So a table can be checked under any name and wherever it was copied, and
every Parquet reader reads it.
"""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from mmbench.core.errors import DamagedError, StoreError
from mmbench.core.json_schema import parse_json
from mmbench.store.arrow_table import Columns, to_arrow
from mmbench.store.schema import (
    TEXTS,
    misfit_of_columns,
    misfit_of_footer,
    open_table,
)

if TYPE_CHECKING:  # it takes long to import
    import pandas as pd

SCHEMA = 3
FOOTER = b"mmbench"  # Parquet metadata key of the footer
_DIGEST_KEY = b"seal"  # Parquet metadata key of the digest
_MARK = b"mmbench:sha256:"  # stands before the digest's digits
_DIGITS = 64  # of a SHA-256 in hexadecimal
SHORT_ROWS = 100  # of a table, of whose columns compression saves few bytes


def encode_table(frame: "pd.DataFrame | Columns", footer: dict[str, Any]) -> bytes:
    """Return a table and its footer as a Parquet file with a digest of its bytes.

    Args:
        frame: the table, which may be given as columns.
        footer: description and provenance, JSON values.
    """
    table = to_arrow(frame)
    document = json.dumps({**footer, "schema": SCHEMA}, sort_keys=True)
    # The digest comes last: the mark may also occur in the footer or in a label.
    metadata = {FOOTER: document, _DIGEST_KEY: _MARK + b"0" * _DIGITS}
    buffer = pa.BufferOutputStream()
    # To decompress a column takes longer than to read a short one.
    is_short = table.num_rows <= SHORT_ROWS
    with pq.ParquetWriter(
        buffer,
        table.schema,
        compression="none" if is_short else "zstd",
        use_dictionary=list(TEXTS) if is_short else True,
        write_statistics=False,
    ) as writer:
        writer.write_table(table)
        # Metadata of the table itself would be written twice.
        writer.add_key_value_metadata(metadata)
    return embed_digest(buffer.getvalue().to_pybytes())


def embed_digest(content: bytes) -> bytes:
    """Return a Parquet file with the digest of its bytes in the place kept for it."""
    at = content.rfind(_MARK) + len(_MARK)
    digest = _digest(content, at).encode()
    return content[:at] + digest + content[at + _DIGITS :]


def checked_footer(path: Path, content: bytes) -> tuple[pq.ParquetFile, dict[str, Any]]:
    """Check the bytes of a table, of which none is decoded.

    Args:
        path: the file's path, for its name and for messages.
        content: the file's bytes.

    Returns:
        The table to be read, and its footer.

    Raises:
        DamagedError: when the bytes are not as written, do not fit their schema, or are
            of another cell.
        StoreError: when another version of mmbench wrote the file.
    """
    intact = _is_intact(content)
    if intact is False:
        raise DamagedError(
            f"{path} must hold what mmbench wrote; its bytes have another digest."
        )
    try:
        file = open_table(content)
        footer = parse_json((file.metadata.metadata or {})[FOOTER])
        schema = int(footer["schema"])
    except (
        *(pa.ArrowException, OSError, KeyError, TypeError, ValueError, OverflowError),
    ) as error:
        raise DamagedError(
            f"{path} must be a table that mmbench wrote; it is damaged or foreign."
        ) from error
    if intact is None and schema == SCHEMA:
        raise DamagedError(
            f"{path} must hold what mmbench wrote; its digest is missing."
        )
    if schema != SCHEMA:
        remedy = (
            f"mmbench store import {path.parent} --store {path.parent}"
            if schema < SCHEMA
            else "update mmbench"
        )
        raise StoreError(
            f"{path} must have schema {SCHEMA}; got {schema}, of another mmbench "
            f"version. Bring one up to date: {remedy}"
        )
    if found := misfit_of_footer(footer):
        raise DamagedError(f"{path} must fit the schema of a footer: {found}.")
    if footer["key"] != path.name.partition(".")[0]:
        raise DamagedError(
            f"{path} must hold the cell of its name; it holds {footer['key']}."
        )
    if found := misfit_of_columns(file, footer):
        raise DamagedError(f"{path} must fit the schema of a table: {found}.")
    return file, dict(footer)


def intact_digest(content: bytes) -> str:
    """Return the digest in a table's bytes if they have it; empty where they do not.

    Tables of the same digest have the same bytes.
    """
    if not _is_intact(content):
        return ""
    at = content.rfind(_MARK) + len(_MARK)
    return content[at : at + _DIGITS].decode()


def _is_intact(content: bytes) -> bool | None:
    """Return whether a table's bytes have their digest; None where it has none."""
    found = content.rfind(_MARK)
    if found < 0:
        return None
    at = found + len(_MARK)
    return content[at : at + _DIGITS] == _digest(content, at).encode()


def _digest(content: bytes, at: int) -> str:
    """Return the SHA-256 of a table with zeros where its digest stands."""
    digest = hashlib.sha256(content[:at])
    digest.update(b"0" * _DIGITS)
    digest.update(content[at + _DIGITS :])
    return digest.hexdigest()
