"""Upkeep: what in a store's folder is damaged, and what is left over."""

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from mmbench.core.checkpoint import unpack
from mmbench.core.errors import StoreError
from mmbench.store.folder import COMPANIONS, Store
from mmbench.store.lease import STALE, alive, holder
from mmbench.store.shards import parts_folder, remove_parts

_TEMPORARY = re.compile(r".+\.[0-9a-f]{32}\.part")
_KEY = r"(?P<key>[0-9a-f]{24})"
_BESIDE = re.compile(
    rf"{_KEY}\.[0-9a-f]{{16}}\.({'|'.join(map(re.escape, COMPANIONS.values()))})"
)
_WORK = re.compile(rf"{_KEY}\.(checkpoint|lease)")


class Finding(NamedTuple):
    """Something in a store's folder that is not a cell in good order.

    Args:
        path: of the file.
        kind: "damaged" is not as it was written, "stray" is what dead work left,
            "at work" belongs to a cell that is not finished, "set aside" was found
            damaged before, "foreign" is not mmbench's and is left alone.
        sentence: what is wrong, or what it is.
    """

    path: Path
    kind: Literal["damaged", "stray", "at work", "set aside", "foreign"]
    sentence: str


def check(store: Store) -> list[Finding]:
    """Read every file of a store and tell what is not in order.

    Raises:
        StoreError: when there is no store, or one of another version.
    """
    findings, tables, beside = [], set(), set()
    for key in store:
        tables.add(store.table(key).name)
        faults = store.faults(key)
        findings += [Finding(store.table(key), "damaged", one) for one in faults]
        try:
            beside |= {path.name for path in store.companions(key).values()}
        except StoreError:  # which are its is not known
            beside |= {path.name for path in store.folder.glob(f"{key}.*safetensors")}
    rest = (path for path in sorted(store.folder.iterdir()) if path.name not in tables)
    findings += [_finding(path, store) for path in rest if path.name not in beside]
    return findings + [
        Finding(path, "stray", "parts of a cell that is stored")
        for path in sorted(parts_folder(store).glob("*"))
        if path.name in store
        and not store.faults(path.name)
        and not any(map(alive, path.glob("*.lease")))
    ]


def repair(store: Store, findings: Sequence[Finding]) -> None:
    """Set aside what is damaged and delete what dead work left.

    Raises:
        StoreError: when the folder cannot be written.
    """
    try:
        for key in dict.fromkeys(one.path.stem for one in _of(findings, "damaged")):
            store.quarantine(key)
        for finding in _of(findings, "stray"):
            if finding.path.parent == parts_folder(store):
                remove_parts(store, finding.path.name)
            else:
                finding.path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(
            f"The store {store.folder} must be writable; repairing it gave "
            f"{type(error).__name__}: {error.strerror}."
        ) from error


def _of(findings: Sequence[Finding], kind: str) -> list[Finding]:
    return [one for one in findings if one.kind == kind]


def _finding(path: Path, store: Store) -> Finding:
    """What a file is that is neither a table nor beside one."""
    name = path.name
    if path == parts_folder(store):
        return Finding(path, "at work", "parts of cells that workers compute")
    if name.endswith(".damaged"):
        return Finding(path, "set aside", "was damaged and is not read")
    if _TEMPORARY.fullmatch(name):
        return _left(path, "a write that has not ended")
    if match := _BESIDE.fullmatch(name):
        lease = path.with_name(f"{match['key']}.lease")
        if alive(lease):
            return Finding(path, "at work", "is about to get its table")
        return _left(path, "arrays of no table")
    if match := _WORK.fullmatch(name):
        return _work(path, match["key"], store)
    return Finding(path, "foreign", "is not of mmbench and is left alone")


def _left(path: Path, what: str) -> Finding:
    """Something that is left over, unless it is so young that its writer may live."""
    try:
        young = abs(time.time() - path.stat().st_mtime) < STALE
    except FileNotFoundError:
        young = True
    return Finding(path, "at work" if young else "stray", what)


def _work(path: Path, key: str, store: Store) -> Finding:
    """A checkpoint or a lease."""
    lease = path.with_name(f"{key}.lease")
    if alive(lease):
        told = holder(lease)
        who = f"process {told.get('pid')} on {told.get('host')}"
        return Finding(path, "at work", f"{who} computes the cell")
    if path == lease:
        return Finding(path, "stray", "whose process has died")
    if key in store and not store.faults(key):
        return Finding(path, "stray", "a checkpoint of a cell that is stored")
    content = store.slot(key).read()
    if content is None or unpack(content) is None:
        return Finding(path, "stray", "a checkpoint that is not whole")
    return Finding(path, "at work", "a checkpoint that a run will go on from")
