"""Check of a store's folder: what is damaged in it, and what is left over."""

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from mmbench.core.checkpoint import unpack
from mmbench.core.errors import StoreError
from mmbench.store.folder import Store
from mmbench.store.index import INDEXES
from mmbench.store.lease import STALE_SECONDS, holder, is_held
from mmbench.store.shards import remove_shards, shards_folder
from mmbench.store.stored_files import COMPANIONS

_TEMPORARY = re.compile(r".+\.[0-9a-f]{32}\.part")
_KEY = r"(?P<key>[0-9a-f]{24})"
_COMPANION = re.compile(
    rf"{_KEY}\.[0-9a-f]{{16}}\.({'|'.join(map(re.escape, COMPANIONS.values()))})"
)
_UNFINISHED = re.compile(rf"{_KEY}\.(checkpoint|lease)")


class Finding(NamedTuple):
    """A file or folder in a store that does not belong to a whole cell.

    Args:
        path: the file.
        kind: "damaged" is not as it was written, "stray" is left of a process that has
            died, "in progress" belongs to an unfinished cell, "quarantined" was found
            damaged before, "foreign" is not mmbench's and is left alone.
        sentence: what is wrong, or what it is.
    """

    path: Path
    kind: Literal["damaged", "stray", "in progress", "quarantined", "foreign"]
    sentence: str


def check(store: Store) -> list[Finding]:
    """Read every file of a store and return what is not in order.

    Raises:
        StoreError: when there is no store, or one of another version.
    """
    findings = []
    whole: set[str] = set()  # keys of the cells without fault
    known: set[str] = set()  # names of their files and of the damaged cells' files
    for key in store:
        stored = store.read(key)
        if stored is None:  # removed since the folder was listed
            continue
        table = store.table(key)
        findings += [Finding(table, "damaged", fault) for fault in stored.faults]
        if not stored.faults:
            whole.add(key)
        known.add(table.name)
        if stored.is_readable:
            known |= {path.name for path in stored.companions.values()}
        else:  # its companions are not known
            known |= {path.name for path in store.folder.glob(f"{key}.*safetensors")}
    findings += [
        _classify(path, store, whole)
        for path in sorted(store.folder.iterdir())
        if path.name not in known and path.name not in INDEXES
    ]
    return findings + [
        Finding(path, "stray", "shards of a cell that is stored")
        for path in sorted(shards_folder(store).glob("*"))
        if path.name in whole and not any(map(is_held, path.glob("*.lease")))
    ]


def repair(store: Store, findings: Sequence[Finding]) -> None:
    """Quarantine what is damaged and delete what processes that died have left.

    Raises:
        StoreError: when the folder cannot be written.
    """
    damaged = [finding.path.stem for finding in findings if finding.kind == "damaged"]
    try:
        for key in dict.fromkeys(damaged):
            if stored := store.read(key):
                store.quarantine(stored)
        for path in [finding.path for finding in findings if finding.kind == "stray"]:
            if path.parent == shards_folder(store):
                remove_shards(store, path.name)
            else:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(
            f"The store {store.folder} must be writable; repairing it gave "
            f"{type(error).__name__}: {error.strerror}."
        ) from error


def _classify(path: Path, store: Store, whole: set[str]) -> Finding:
    """Return what a file is that is neither a table nor a companion of one.

    Args:
        path: the file.
        store: where it lies.
        whole: keys of the cells without fault.
    """
    name = path.name
    if path == shards_folder(store):
        return Finding(path, "in progress", "shards of cells that workers compute")
    if name.endswith(".damaged"):
        return Finding(path, "quarantined", "was damaged and is not read")
    if _TEMPORARY.fullmatch(name):
        return _classify_by_age(path, "a write that has not ended")
    if match := _COMPANION.fullmatch(name):
        if is_held(path.with_name(f"{match['key']}.lease")):
            return Finding(path, "in progress", "is about to get its table")
        return _classify_by_age(path, "arrays of no table")
    if match := _UNFINISHED.fullmatch(name):
        return _classify_unfinished(path, match["key"], store, whole)
    return Finding(path, "foreign", "is not of mmbench and is left alone")


def _classify_by_age(path: Path, sentence: str) -> Finding:
    """Return that a file is left over, unless its writer may still be working."""
    try:
        status = path.stat(follow_symlinks=False)
        is_young = abs(time.time() - status.st_mtime) < STALE_SECONDS
    except FileNotFoundError:
        is_young = True
    return Finding(path, "in progress" if is_young else "stray", sentence)


def _classify_unfinished(
    path: Path, key: str, store: Store, whole: set[str]
) -> Finding:
    """Return what a checkpoint or a lease is; arguments as `_classify` takes them."""
    lease = path.with_name(f"{key}.lease")
    if is_held(lease):
        owner = holder(lease)
        process = f"process {owner.get('pid')} on {owner.get('host')}"
        return Finding(path, "in progress", f"{process} computes the cell")
    if path == lease:
        return Finding(path, "stray", "a lease of a process that has died")
    if key in whole:
        return Finding(path, "stray", "a checkpoint of a cell that is stored")
    content = store.slot(key).read()
    if content is None or unpack(content) is None:
        return Finding(path, "stray", "a checkpoint that is not whole")
    return Finding(path, "in progress", "a checkpoint that a run will go on from")
