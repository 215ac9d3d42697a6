"""Listings of large stores: what footers say in short is kept in a file, the index.

An entry of the index stands for a table whose device, inode, size and times of change
are still the same; any other table is read and checked. The time of an inode's change
is set by the system alone, so no edit of a file passes unseen, though its size and its
time of modification be restored. What a disk itself has damaged is found by
`mmbench.store.integrity`, which reads every byte and no index.

The index is a cache: where it is lacking, damaged or of another version, it is written
anew. Nothing else reads it, and it belongs to no cell.
"""

import contextlib
import hashlib
import json
import os
import time
from typing import Annotated, Any, NamedTuple, TypedDict

from mmbench.core.errors import StoreError
from mmbench.core.files import read_file, write_atomically
from mmbench.core.json_schema import Range, find_misfit, parse_json
from mmbench.store.folder import KEY, Store
from mmbench.store.table_index import TABLES

INDEX = "index.json"  # its name in the folder of the store
INDEXES = (INDEX, TABLES)
_FORMAT = 1  # raised when entries come to mean something else
_LEAST_CELLS = 1000  # fewer are read at once, and their folder stays as it is
# A file that was changed just now may change again within the clock's resolution.
_SETTLED_SECONDS = 2.0

Stamp = tuple[int, int, int, int, int]  # device, inode, bytes, modified, changed
Positive = Annotated[int, Range(1)]
# Stamp, task, label, runs, steps and outcomes.
Entry = tuple[Stamp, str, str, Positive, Positive, dict[str, Positive]]


class Index(TypedDict):
    """The content of an index."""

    format: Annotated[int, Range(_FORMAT, _FORMAT)]
    cells: dict[str, Entry]


class Listed(NamedTuple):
    """A stored cell in short.

    Args:
        key: its key.
        bytes: of all files of the cell.
        footer: entries task, label, runs, steps and outcomes of its footer; None where
            its table is damaged or of another version of mmbench.
    """

    key: str
    bytes: int
    footer: dict[str, Any] | None


def list_cells(store: Store) -> tuple[list[Listed], int]:
    """Return all cells of a store, sorted by key, and the bytes of all its files.

    Raises:
        StoreError: when there is no such folder.
    """
    keys = list(store)  # raises where there is none
    sizes, stamps = _scan(store)
    known, begun = _read(store) if len(keys) >= _LEAST_CELLS else {}, time.time()
    listed, kept = [], {}
    for key in keys:
        stamp, entry = stamps.get(key), known.get(key)
        if entry is None or stamp is None or entry[0] != stamp:
            entry = _summary(store, key, stamp)
        if entry and stamp and begun - max(stamp[3:]) / 1e9 > _SETTLED_SECONDS:
            kept[key] = entry
        listed.append(Listed(key, sizes.get(key, 0), _footer(entry)))
    if kept != known and len(keys) >= _LEAST_CELLS:
        _write(store, kept)
    return listed, sum(sizes.values())


def remove_indexes(store: Store) -> None:
    """Delete the indexes of a store, if there are any.

    Raises:
        StoreError: when it cannot be deleted.
    """
    try:
        for name in INDEXES:
            (store.folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(
            f"The store {store.folder} must be writable; removing {name} gave "
            f"{type(error).__name__}: {error.strerror}."
        ) from error


def _scan(store: Store) -> tuple[dict[str, int], dict[str, list[int]]]:
    """Return the bytes of all files by key, and the stamps of the tables."""
    sizes: dict[str, int] = {}
    stamps: dict[str, list[int]] = {}
    with os.scandir(store.folder) as files:
        for file in files:
            if file.name.startswith(INDEXES):  # or one that is being written
                continue
            key, _, suffix = file.name.partition(".")
            with contextlib.suppress(OSError):  # it has gone, or leads nowhere
                # What counts is what the store itself takes.
                status = file.stat(follow_symlinks=False)
                sizes[key] = sizes.get(key, 0) + status.st_size
                if suffix == "parquet" and KEY.fullmatch(key):
                    stamps[key] = _stamp(file.stat())
    return sizes, stamps


def _stamp(status: os.stat_result) -> list[int]:
    return [
        *(status.st_dev, status.st_ino, status.st_size),
        *(status.st_mtime_ns, status.st_ctime_ns),
    ]


def _summary(store: Store, key: str, stamp: list[int] | None) -> list[Any] | None:
    """Return the entry of a table that is read; None where it is damaged."""
    try:
        footer = store.footer(key)
    except StoreError:  # a link that leads nowhere included
        return None
    shown = (footer[name] for name in ("task", "label", "runs", "steps", "outcomes"))
    return [stamp, *shown]


def _footer(entry: list[Any] | None) -> dict[str, Any] | None:
    if entry is None:
        return None
    _, task, label, runs, steps, outcomes = entry
    return {
        "task": task,
        "label": label,
        "runs": runs,
        "steps": steps,
        "outcomes": outcomes,
    }


# ---- the file ----


def _read(store: Store) -> dict[str, list[Any]]:
    """Return the entries of the index by key; none where it is not as written."""
    try:
        digest, _, document = read_file(store.folder / INDEX).partition(b"\n")
        if digest != _digest(document):
            return {}
        index = parse_json(document)
    except (OSError, ValueError):
        return {}
    return {} if find_misfit(index, Index) else index["cells"]


def _write(store: Store, cells: dict[str, list[Any]]) -> None:
    """Write the index, if the folder can be written; another process may do so, too."""
    document = json.dumps({"format": _FORMAT, "cells": cells}).encode()
    with contextlib.suppress(OSError):
        write_atomically(store.folder / INDEX, [_digest(document), b"\n", document])


def _digest(document: bytes) -> bytes:
    return hashlib.sha256(document).hexdigest().encode()
