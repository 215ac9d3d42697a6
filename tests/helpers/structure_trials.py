"""Trials of verbs on files whose structure is not as it must be."""

import os
import random
import shutil
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from unittest.mock import patch

import fuzzing
from click.testing import CliRunner
from edited_stores import small_grid, store_of
from misfits import (
    change_checkpoint,
    change_footer,
    change_suite,
    change_table,
    write_changed,
)

from mmbench.cli import main
from mmbench.runner.execute import execute
from mmbench.store.folder import CheckpointFile, Store

CHANGES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "footer": change_footer,
    "table": change_table,
    "checkpoint": change_checkpoint,
    "suite": change_suite,
}
OPTIONS = {"steps": 6, "records": 3, "keep": "all"}
GRID = ("-t", "bilinear", "-a", "gda", "--seeds", "4", "--steps", "6", "--records", "3")
SUITE = """
name = "trial"
title = "A trial"
[[grid]]
tasks = ["bilinear", "quadratic[c=2]"]
algorithms = ["first = gda", {label = "omd", algorithm = "omd[step_size=0.3]"}]
metrics = ["distance"]
seeds = 2
steps = 6
records = 3
[[grid]]
tasks = ["bilinear"]
algorithms = ["second = gda[step_size=0.2]"]
after = "first"
inherit = "x"
seeds = 2
steps = 4
records = 2
dtype = "float32"
keep = "last"
"""
ARCHIVE, OTHER = "changed.zip", "other"  # an archive and a store to import into
STORED = ("--store", "store")
# Verbs for each kind of file.
OF_CELLS: tuple[tuple[str, ...], ...] = (
    ("store", "check", *STORED),
    ("store", "ls", *STORED),
    ("results", *STORED),
    ("report", "--out", "page", *STORED),
    ("verify", *STORED),
    ("store", "diff", "store", "good"),
    ("store", "import", ARCHIVE, "--store", OTHER),
    ("store", "import", ARCHIVE, "--store", OTHER, "--theirs"),
    ("store", "merge", "store", "--store", OTHER, "--theirs"),
    ("store", "export", "--out", "out.zip", *STORED),
    ("run", *GRID, *STORED),
    ("run", *GRID, "-m", "gap", "-m", "field_norm", *STORED),
)
OF_CHECKPOINTS: tuple[tuple[str, ...], ...] = (
    ("store", "check", *STORED),
    ("store", "ls", *STORED),
    ("results", *GRID, *STORED),
    ("report", *GRID, "--out", "page", *STORED),
    ("run", *GRID, "--keep", "all", *STORED),
    ("run", *GRID, "--keep", "all", *STORED),
)
OF_SUITES: tuple[tuple[str, ...], ...] = (
    ("plan", "suite.toml", *STORED),
    ("show", "suite.toml"),
    ("results", "suite.toml", *STORED),
)


class _KilledError(Exception):
    """A process is killed."""


def make_store(folder: Path) -> Store:
    """Return a store of two cells with iterates, and make the files to change.

    They are `good`, another store of the two; `other`, a third; and `good.checkpoint`,
    of the first cell, with what it had at its end but one.
    """
    grids = (small_grid(**OPTIONS), small_grid(algorithm="omd", **OPTIONS))
    store, cells = store_of(folder, *grids)
    for name in ("good", OTHER):
        shutil.copytree(store.folder, folder / name)
    unfinished = Store(folder / "unfinished")
    write = CheckpointFile.write
    written: list[bytes] = []

    def write_and_die(slot: CheckpointFile, content: bytes) -> None:
        write(slot, content)
        written.append(content)
        if len(written) == 6:
            raise _KilledError

    with (
        patch.object(CheckpointFile, "write", write_and_die),
        patch.dict(os.environ, MMBENCH_CHECKPOINT="0"),
        suppress(_KilledError),
    ):
        execute(cells[:1], unfinished)
    (folder / "good.checkpoint").write_bytes(written[5])
    (folder / "good.key").write_text(cells[0].key)
    return store


def try_changed(store: Store, what: str, number: int, verbs: int = 1) -> None:
    """Change a file, and check how some verbs end.

    Args:
        store: as `make_store` returns it.
        what: of `CHANGES`.
        number: of the trial; equal ones make the same change.
        verbs: how many are tried.
    """
    chance = random.Random(number)
    folder, change = store.folder.parent, CHANGES[what]
    key = (folder / "good.key").read_text()
    if what == "suite":
        Path("suite.toml").write_bytes(change(SUITE.encode(), chance))
        _try(chance.sample(OF_SUITES, verbs))
    elif what == "checkpoint":
        content = change((folder / "good.checkpoint").read_bytes(), chance)
        for words in chance.sample(OF_CHECKPOINTS, verbs):
            store.remove(key)
            store.slot(key).write(content)
            _try([words])
            # Whatever it went on from, the cell is whole.
            assert words[0] != "run" or store.require(key).faults == []
    else:
        content = change((folder / "good" / f"{key}.parquet").read_bytes(), chance)
        for words in chance.sample(OF_CELLS, verbs):
            shutil.copytree(folder / "good", store.folder, dirs_exist_ok=True)
            write_changed(store.table(key), content)
            if ARCHIVE in words:
                _pack(folder, key, content)
            _try([words])


def _try(verbs: Sequence[tuple[str, ...]]) -> None:
    for words in verbs:
        fuzzing.check(CliRunner().invoke(main, words))


def _pack(folder: Path, key: str, content: bytes) -> None:
    """Write an archive of a cell with another table."""
    with zipfile.ZipFile(folder / ARCHIVE, "w") as archive:
        archive.writestr(f"{key}.parquet", content)
        for path in (folder / "good").glob(f"{key}.*safetensors"):
            archive.write(path, path.name)
