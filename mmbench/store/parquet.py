"""Seal: tables that tell whether any of their bytes has changed, and whole writes.

A table carries the SHA-256 of its own bytes among its Parquet metadata, computed with
zeros in the place of the digest's digits. So it can be checked under any name and
wherever it was copied, and every Parquet reader reads it.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mmbench.core.errors import DamagedError, StoreError

SCHEMA = 3


FOOTER = b"mmbench"


_NAME = b"seal"


_MARK = b"mmbench:sha256:"


_DIGITS = 64  # of a SHA-256 in hexadecimal


def encode_table(frame: pd.DataFrame, footer: dict[str, Any]) -> bytes:
    """A table and its description as a sealed Parquet file.

    Args:
        frame: the table.
        footer: description and provenance, JSON values.
    """
    table = pa.Table.from_pandas(frame, preserve_index=False)
    document = json.dumps({**footer, "schema": SCHEMA}, sort_keys=True)
    metadata = dict(table.schema.metadata or {})
    metadata |= {FOOTER: document.encode()}
    metadata |= {_NAME: _MARK + b"0" * _DIGITS}  # the last, whatever the others say
    buffer = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(metadata), buffer, compression="zstd")
    return embed_digest(buffer.getvalue().to_pybytes())


def embed_digest(content: bytes) -> bytes:
    """A table with the digest of its bytes in the place that is kept for it."""
    at = content.rfind(_MARK) + len(_MARK)
    digest = _digest(content, at).encode()
    return content[:at] + digest + content[at + _DIGITS :]


class Opened(NamedTuple):
    """A table whose bytes were found to be right, to be read, and its description."""

    file: pq.ParquetFile
    footer: dict[str, Any]


def read_footer(path: Path, content: bytes) -> dict[str, Any]:
    """Description and provenance of a table, as `opened` gives them."""
    return decode_table(path, content).footer


def decode_table(path: Path, content: bytes) -> Opened:
    """A table and its description and provenance.

    Args:
        path: where it lies, for its name and for messages.
        content: of the file.

    Raises:
        DamagedError: when they are not, or are of another cell than its name says.
        StoreError: when another version of mmbench wrote the file.
    """
    whole = _intact(content)
    if whole is False:
        raise DamagedError(
            f"{path} must hold what mmbench wrote; its bytes are not those of its seal."
        )
    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        footer = json.loads((file.metadata.metadata or {})[FOOTER])
        schema = int(footer["schema"])
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise DamagedError(
            f"{path} must be a table that mmbench wrote; it is damaged or foreign."
        ) from error
    if whole is None and schema == SCHEMA:
        raise DamagedError(f"{path} must hold what mmbench wrote; its seal is missing.")
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
    if footer.get("key") != path.name.partition(".")[0]:
        raise DamagedError(
            f"{path} must hold the cell of its name; it holds {footer.get('key')}."
        )
    return Opened(file, footer)


def _intact(content: bytes) -> bool | None:
    """Whether these are the bytes of a table as it was sealed; None without a seal."""
    found = content.rfind(_MARK)
    if found < 0:
        return None
    at = found + len(_MARK)
    return content[at : at + _DIGITS] == _digest(content, at).encode()


def _digest(content: bytes, at: int) -> str:
    """SHA-256 of a table with zeros where its digest stands, in hexadecimal."""
    digest = hashlib.sha256(content[:at])
    digest.update(b"0" * _DIGITS)
    digest.update(content[at + _DIGITS :])
    return digest.hexdigest()
