"""What the cells of a store say that they are, read quickly and not checked."""

import json
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

from mmbench.core.files import open_file
from mmbench.store.folder import Store

_TAIL_BYTES = 8  # of a Parquet file: the length of its metadata, and a mark
# In a footer's JSON. Within texts, quotes are escaped.
_CELL, _RECORDS = b'"cell": ', b'"records": '


def beginning(description: Any) -> bytes:
    """Return the JSON of a described cell, in the order of names, up to its records.

    Seeds and steps come later. In a chain, these are the records of the first cell.
    """
    document = json.dumps(description, sort_keys=True).encode()
    return document[: document.index(_RECORDS)]


def descriptions(
    store: Store, beginnings: Container[bytes]
) -> Iterator[tuple[str, Any]]:
    """Yield the key and the description of each stored cell that begins in some way.

    They lead to files that are worth reading: nothing is checked, neither bytes nor
    schema. Files without a description are left out.

    Args:
        store: the store; a folder that does not exist has no cells.
        beginnings: of the descriptions wanted.
    """
    if not store.folder.is_dir():
        return
    for key in store:
        try:
            document = _read(store.table(key))
            if document[: document.index(_RECORDS)] in beginnings:
                text = document.decode("utf-8", "replace")
                yield key, json.JSONDecoder().raw_decode(text)[0]
        except (OSError, ValueError, RecursionError):
            continue


def _read(path: Path) -> bytes:
    """Return the metadata of a table from the description on.

    Raises:
        OSError: when the file cannot be read.
        ValueError: when it is no table with a description.
    """
    with open_file(path) as file:
        file.seek(-_TAIL_BYTES, 2)
        length = int.from_bytes(file.read(_TAIL_BYTES)[:4], "little")
        file.seek(-_TAIL_BYTES - length, 2)
        metadata = file.read(length)
    return metadata[metadata.index(_CELL) + len(_CELL) :]
