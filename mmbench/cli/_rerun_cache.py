"""Answers: that a store has all of a suite, kept with all that this follows from.

To look what is stored, cells are made, and that takes torch, which loads for longer
than all else takes. So `mmbench run` keeps its answer once nothing is left to compute,
and gives it again while all that it follows from is the same: the suite, mmbench's
source and version, its environment variables, and every byte of the stored files, which
were found to be those of their seals. Nothing is kept of suites with classes from
outside, and runs with options beside those of the suite and --store are not answered.

Answers lie in the user's cache folder. They may be deleted at any time, and a store
that comes from elsewhere brings none along.
"""

import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import mmbench
from mmbench.core.description import digest
from mmbench.core.errors import StoreError
from mmbench.suites.base import Suite

if TYPE_CHECKING:  # plan imports torch
    import mmbench.runner.plan

KEPT = 100  # answers; the oldest give way

# Of each cell, its task in words and how many of its runs ended how.
Outcomes = Sequence[tuple[str, Mapping[str, int]]]
Question = Mapping[str, Any]  # JSON values


def question(suite: Suite, store: Path) -> Question | None:
    """What an answer follows from beside the stored files; None where that is not all.

    Args:
        suite: that is asked for.
        store: the folder where it may be.
    """
    # Loaded from source that may have changed since.
    if "mmbench.runner.plan" in sys.modules:
        return None
    try:
        return _question(suite, store)
    except (OSError, RuntimeError):
        return None


def _question(suite: Suite, store: Path) -> Question | None:
    words = [
        one
        for grid in suite.grids
        for one in (*grid.tasks, *grid.algorithms, *grid.metrics)
    ]
    source = _source()
    if not source or any(":" in str(one) for one in words):
        return None
    try:
        installed = version("mmbench")
    except PackageNotFoundError:
        return None
    return {
        "suite": digest(suite),
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


def recall(asked: Question) -> Outcomes | None:
    """How all cells ended, if it is known that the store has them; None if not."""
    store = Path(asked["store"])
    try:
        told, _, document = _path(asked).read_bytes().partition(b"\n")
        if told.decode() != hashlib.sha256(document).hexdigest():
            return None
        answer = json.loads(document)
        if answer["asked"] != asked or not os.access(store, os.W_OK):
            return None
        for name, digits in answer["files"].items():
            with (store / name).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != digits:
                    return None
    except (OSError, RuntimeError, ValueError, KeyError):
        return None
    return [(task, counts) for task, counts in answer["outcomes"]]


def remember(
    asked: Question, suite: Suite, cells: "Sequence[mmbench.engine.cell.Cell]"
) -> None:
    """Keep the answer, if the store has all cells and there is room for it.

    Args:
        asked: the question, from before mmbench's modules were loaded.
        suite: that it is about.
        cells: of the suite.
    """
    try:
        answer = _answer(asked, cells)
        # Unless there is other source by now than was loaded.
        if answer and _question(suite, Path(asked["store"])) == asked:
            _write(_path(asked), json.dumps(answer).encode())
    except (OSError, RuntimeError, StoreError):
        return


def _answer(
    asked: Question, cells: "Sequence[mmbench.engine.cell.Cell]"
) -> dict[str, Any] | None:
    """What is to be kept, as JSON values; None if something is not stored."""
    from mmbench.runner.lookup import answers
    from mmbench.store.folder import Store

    store, files, outcomes = Store(asked["store"]), {}, []
    for cell in cells:
        stored = store.read(cell.key)
        if stored is None or not answers(cell, store, stored):
            return None
        footer = stored.footer
        table = store.table(cell.key)
        files[table.name] = hashlib.sha256(stored.content).hexdigest()
        for kind, path in stored.companions.items():
            files[path.name] = footer["files"][kind]
        outcomes.append((footer["task"], footer["outcomes"]))
    return {"asked": asked, "files": files, "outcomes": outcomes}


def _source() -> str:
    """SHA-256 of mmbench's source; empty where there is none."""
    root = Path(mmbench.__file__).parent
    lines = [
        f"{path.relative_to(root).as_posix()} "
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in sorted(root.rglob("*.py"))
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest() if lines else ""


def _path(asked: Question) -> Path:
    """Where the answer lies: one for each suite and store."""
    cache = os.environ.get("XDG_CACHE_HOME")
    folder = Path(cache) if cache else Path.home() / ".cache"
    name = digest((asked["suite"], asked["store"]))
    return folder / "mmbench" / "answers" / f"{name}.json"


def _write(path: Path, document: bytes) -> None:
    """Write an answer whole, after its digest, and delete those that are too many."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{uuid4().hex}.part")
    part.write_bytes(hashlib.sha256(document).hexdigest().encode() + b"\n" + document)
    part.replace(path)
    every = sorted(path.parent.iterdir(), key=lambda one: one.stat().st_mtime)
    for old in every[:-KEPT]:
        old.unlink(missing_ok=True)
