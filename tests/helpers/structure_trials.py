"""Trials of verbs on stores in which the structure of one file is not as it must be."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import fuzzing
from click.testing import CliRunner
from edited_stores import small_grid, store_of
from misfits import change_footer, change_table, write_changed

from mmbench.cli import main
from mmbench.store.folder import Store

CHANGES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "footer": change_footer,
    "table": change_table,
}
VERBS = (
    ("store", "check"),
    ("store", "ls"),
    ("results",),
    ("report", "--out", "page"),
    ("verify",),
)


def make_store(folder: Path) -> Store:
    """Return a store of two cells with iterates."""
    options = {"steps": 6, "records": 3, "keep": "all"}
    grids = (small_grid(**options), small_grid(algorithm="omd", **options))
    store, _ = store_of(folder, *grids)
    shutil.copytree(store.folder, folder / "good")
    return store


def try_changed(store: Store, what: str, number: int, verbs: int = 1) -> None:
    """Change a file of a store, and check how some verbs end.

    Args:
        store: as `make_store` returns it.
        what: of `CHANGES`.
        number: of the trial; equal ones make the same change.
        verbs: how many are tried.
    """
    chance = random.Random(number)
    key = next(iter(store))
    good = store.folder.with_name("good") / f"{key}.parquet"
    content = CHANGES[what](good.read_bytes(), chance)
    for verb in chance.sample(VERBS, verbs):
        write_changed(store.table(key), content)
        fuzzing.check(CliRunner().invoke(main, [*verb, "--store", str(store.folder)]))
