"""What the cells of a store say that they are, read quickly and not checked."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmbench.core.files import open_file
from mmbench.store.folder import Store

_TAIL_BYTES = 8  # of a Parquet file: the length of its metadata, and a mark
_BEGINNING = b'"cell": '  # in a footer; within texts, quotes are escaped


def descriptions(store: Store) -> Iterator[tuple[str, Any]]:
    """Yield the key and the JSON values of each stored cell.

    They lead to files that are worth reading: nothing is checked, neither bytes nor
    schema. Files without a description are left out.

    Args:
        store: the store; a folder that does not exist has no cells.
    """
    if not store.folder.is_dir():
        return
    for key in store:
        try:
            description = _read(store.table(key))
        except (OSError, ValueError, RecursionError):
            continue
        yield key, description


def _read(path: Path) -> Any:
    """Return the description in a table's metadata, of which the rest is not parsed.

    Raises:
        OSError: when the file cannot be read.
        ValueError: when it is no table with a description.
    """
    with open_file(path) as file:
        file.seek(-_TAIL_BYTES, 2)
        length = int.from_bytes(file.read(_TAIL_BYTES)[:4], "little")
        file.seek(-_TAIL_BYTES - length, 2)
        metadata = file.read(length)
    at = metadata.index(_BEGINNING) + len(_BEGINNING)
    return json.JSONDecoder().raw_decode(metadata[at:].decode("utf-8", "replace"))[0]
