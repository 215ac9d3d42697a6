"""Cache of the outcomes of whole suites, so that a rerun need not import torch.

Building a cell imports the classes of its task, algorithm and metrics, and their
modules import torch for the base classes and signatures that name its tensors, which
takes longer than all else that a rerun does. Planning without torch would mean to take
it out of the signatures of every member of every family, external ones included, so
`mmbench run` caches the outcomes of a suite once the store has all its cells.

An entry is used while everything that it depends on is unchanged: the suite, mmbench's
source and version, its environment variables, and every byte of the stored files.
Suites with external classes are not cached, and a run with any option besides
those of the suite and --store ignores the cache.

Entries are in the user's cache folder and may be deleted at any time. A store that was
copied from another machine brings none with it.
"""

import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import mmbench
from mmbench.core.description import canonical, digest
from mmbench.core.errors import StoreError
from mmbench.core.files import read_file, sha256_of, write_atomically
from mmbench.core.json_schema import Count, find_misfit, parse_json
from mmbench.suites.base import Suite

if TYPE_CHECKING:  # it imports torch
    import mmbench.engine.cell

MAX_ENTRIES = 100  # the oldest are deleted first

# For each cell, the spec of its task and the number of its runs by status.
Outcomes = Sequence[tuple[str, Mapping[str, int]]]
Inputs = Mapping[str, Any]  # JSON values

_MAX_BYTES = 2**28  # of an entry


class Entry(TypedDict):
    """An entry of the cache."""

    inputs: dict[str, Any]
    files: dict[str, str]
    outcomes: list[tuple[str, dict[str, Count]]]


def collect_inputs(suite: Suite, store: Path) -> Inputs | None:
    """Return what the outcomes depend on besides the stored files.

    Args:
        suite: the suite to be run.
        store: folder of the results.

    Returns:
        JSON values; None where the cache cannot be used.
    """
    # Modules that are imported already may come from source that has changed since.
    if "mmbench.runner.plan" in sys.modules:
        return None
    try:
        return _collect_inputs(suite, store)
    except (OSError, RuntimeError):
        return None


def _collect_inputs(suite: Suite, store: Path) -> Inputs | None:
    specs = [
        spec
        for grid in suite.grids
        for spec in (*grid.tasks, *grid.algorithms, *grid.metrics)
    ]
    source = _source_digest()
    if not source or any(":" in str(spec) for spec in specs):
        return None
    try:
        installed = version("mmbench")
    except PackageNotFoundError:
        return None
    return {
        # Whole, since settings that are no part of a key matter too.
        "suite": digest(canonical(suite, whole=True)),
        "store": str(store.resolve()),
        "source": source,
        "version": installed,
        "python": sys.version,
        "variables": {
            name: value
            for name, value in os.environ.items()
            if name.startswith("MMBENCH_")
        },
    }


def read_outcomes(inputs: Inputs) -> Outcomes | None:
    """Return the cached outcomes of all cells, or None if there are none to be used."""
    store = Path(inputs["store"])
    try:
        content = read_file(_path(inputs), _MAX_BYTES)
        checksum, _, document = content.partition(b"\n")
        if checksum != hashlib.sha256(document).hexdigest().encode():
            return None
        entry = parse_json(document)
        if find_misfit(entry, Entry) or entry["inputs"] != inputs:
            return None
        if not os.access(store, os.W_OK):
            return None
        for name, digits in entry["files"].items():
            if sha256_of(store / name) != digits:
                return None
    except (OSError, RuntimeError, ValueError):
        return None
    return [(task, counts) for task, counts in entry["outcomes"]]


def write_outcomes(
    inputs: Inputs, suite: Suite, cells: "Sequence[mmbench.engine.cell.Cell]"
) -> None:
    """Cache the outcomes if the store has all cells and the cache can be written.

    Args:
        inputs: what was collected before mmbench's modules were imported.
        suite: the suite that was run.
        cells: cells of the suite.
    """
    try:
        entry = _make_entry(inputs, cells)
        # Unless the source has changed since it was imported.
        if entry and _collect_inputs(suite, Path(inputs["store"])) == inputs:
            _write(_path(inputs), json.dumps(entry).encode())
    except (OSError, RuntimeError, StoreError):
        return


def _make_entry(
    inputs: Inputs, cells: "Sequence[mmbench.engine.cell.Cell]"
) -> dict[str, Any] | None:
    """Return an entry as JSON values, or None if a cell is not stored."""
    from mmbench.runner.lookup import satisfies
    from mmbench.store.folder import Store

    store, files, outcomes = Store(inputs["store"]), {}, []
    for cell in cells:
        stored = store.read(cell.key)
        if stored is None or not satisfies(cell, store, stored):
            return None
        footer = stored.footer
        table = store.table(cell.key)
        files[table.name] = hashlib.sha256(stored.content).hexdigest()
        for kind, path in stored.companions.items():
            files[path.name] = footer["files"][kind]
        outcomes.append((footer["task"], footer["outcomes"]))
    return {"inputs": inputs, "files": files, "outcomes": outcomes}


def _source_digest() -> str:
    """Return the SHA-256 of mmbench's source, or nothing where there is no source."""
    root = Path(mmbench.__file__).parent
    lines = [
        f"{path.relative_to(root).as_posix()} "
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in sorted(root.rglob("*.py"))
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest() if lines else ""


def _path(inputs: Inputs) -> Path:
    """Return the file of an entry: one for each suite and store."""
    cache = os.environ.get("XDG_CACHE_HOME")
    folder = Path(cache) if cache else Path.home() / ".cache"
    name = digest((inputs["suite"], inputs["store"]))
    return folder / "mmbench" / "answers" / f"{name}.json"


def _write(path: Path, document: bytes) -> None:
    """Write an entry after its checksum, atomically, and delete the oldest entries."""
    path.parent.mkdir(parents=True, exist_ok=True)
    checksum = hashlib.sha256(document).hexdigest().encode()
    write_atomically(path, [checksum, b"\n", document])
    entries = sorted(path.parent.iterdir(), key=lambda entry: entry.stat().st_mtime)
    for old in entries[:-MAX_ENTRIES]:
        old.unlink(missing_ok=True)
