"""mmbench store: check, list, remove, export, import and merge what is stored."""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmbench.cli import Failed, printed, say
from mmbench.cli._selection import Selection, selecting, storing
from mmbench.core.errors import DamagedError, StoreError
from mmbench.core.printable import printable

if TYPE_CHECKING:
    import mmbench.store.archive
    import mmbench.store.folder

SHORT = 8  # digits of a key that tell cells apart on a screen


@click.group("store", short_help="Check, list, remove, export, import, merge.")
def command() -> None:
    """Look after the folders that results are kept in."""


# ---- check ----


@command.command("check")
@storing
@click.option(
    "--repair", is_flag=True, help="Set damaged cells aside, delete what is left over."
)
def check(store: Path, repair: bool) -> None:
    """Read every file of the store and tell which are not in order.

    Exit code 1 when a cell is damaged and was not set aside. A cell set aside counts as
    absent: run its suite again.
    """
    from mmbench.cli._console import counted
    from mmbench.store.folder import Store
    from mmbench.store.integrity import check as look
    from mmbench.store.integrity import repair as mend

    kept = Store(store)
    findings = look(kept)
    for one in findings:
        name = "" if one.kind == "damaged" else f"{one.path.name}: "
        printed(f"{one.kind}: {name}{one.sentence}")
    damaged = {one.path for one in findings if one.kind == "damaged"}
    cells = len(list(kept))
    printed(f"{counted(cells, 'cell')} in {store}, {len(damaged)} damaged.")
    if repair:
        mend(kept, findings)
        strays = sum(one.kind == "stray" for one in findings)
        printed(
            f"{counted(len(damaged), 'cell')} set aside, {counted(strays, 'file')} "
            "deleted."
        )
    elif damaged:
        raise Failed(
            f"{counted(len(damaged), 'cell')} must be computed again. --repair sets "
            "damaged files aside; `mmbench run` does so by itself."
        )


# ---- ls ----


@command.command("ls")
@storing
def listing(store: Path) -> None:
    """List the stored cells: key, task, label, runs, steps, how they ended, size."""
    from mmbench.cli._console import console, counted, show, table
    from mmbench.store.folder import Store

    kept = Store(store)
    keys, sizes = list(kept), _sizes(store)
    told = [
        (key[:SHORT], *_told(kept, key), f"{sizes[key] / 1000:,.0f}") for key in keys
    ]
    if sys.stdout.isatty():
        rows = table(*_COLUMNS, right=_RIGHT)
        for row in told:
            rows.add_row(*row)
        show(console(), rows)
    else:
        _show_plainly([_COLUMNS, *told])
    total = sum(sizes.values()) / 1e6
    printed(f"{counted(len(keys), 'cell')} in {store}, {total:,.1f} MB")


_COLUMNS = ("key", "task", "label", "runs", "steps", "status", "kB")
_RIGHT = ("runs", "steps", "kB")


def _show_plainly(rows: Sequence[tuple[str, ...]]) -> None:
    """Print a table to a file or a pipe, in a tenth of the time that a screen takes."""
    from rich.cells import cell_len

    rows = [tuple(printable(one.replace("\n", " ")) for one in row) for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = []
        for name, width, text in zip(_COLUMNS, widths, row, strict=True):
            space = " " * (width - cell_len(text))
            cells.append(space + text if name in _RIGHT else text + space)
        click.echo("  ".join(cells).rstrip())


def _told(kept: "mmbench.store.folder.Store", key: str) -> tuple[str, ...]:
    from mmbench.cli._console import listed

    try:
        told = kept.footer(key)
    except DamagedError:
        return "", "", "", "", "damaged"
    runs, steps = f"{told['runs']:,}", f"{told['steps']:,}"
    return told["task"], told["label"], runs, steps, listed(told["outcomes"])


def _sizes(folder: Path) -> dict[str, int]:
    """Bytes of all files of each key."""
    sizes: dict[str, int] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            key = entry.name.partition(".")[0]
            sizes[key] = sizes.get(key, 0) + entry.stat().st_size
    return sizes


# ---- rm ----


@command.command("rm")
@click.argument("keys", nargs=-1, metavar="[KEY]...")
@click.option("-t", "--task", metavar="TASK", help="All cells of a task.")
@click.option("--all", "everything", is_flag=True, help="All cells.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@storing
def remove(
    keys: tuple[str, ...], task: str | None, everything: bool, yes: bool, store: Path
) -> None:
    """Delete cells: those whose keys begin with KEY, those of a task, or all.

    TASK is a name, which means all its settings, or the words that `ls` shows.
    """
    from mmbench.cli._console import counted
    from mmbench.runner.stored_cell import key_of
    from mmbench.store.folder import Store

    if [bool(keys), bool(task), everything].count(True) != 1:
        raise StoreError("One of KEY, --task TASK and --all must say which cells.")
    kept = Store(store)
    if keys:
        chosen = list(dict.fromkeys(key_of(kept, one) for one in keys))
    else:
        chosen = [key for key in kept if everything or _of_task(kept, key, task)]
    if not chosen:
        raise StoreError(f"The store {store} must hold a cell of {task}; it has none.")
    if not yes:
        click.confirm(f"Delete {counted(len(chosen), 'cell')} of {store}?", abort=True)
    for key in chosen:
        kept.remove(key)
    printed(f"{counted(len(chosen), 'cell')} deleted.")


def _of_task(kept: "mmbench.store.folder.Store", key: str, task: str | None) -> bool:
    try:
        words = kept.footer(key)["task"]
    except DamagedError:
        return False
    return task in {words, words.partition("[")[0]}


# ---- export, import, merge ----


@command.command("export")
@selecting
@storing
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="The archive to write, a zip file.",
)
def export(selection: Selection, store: Path, out: Path) -> None:
    """Write the cells of SUITE, of a grid, or of everything to one archive.

    The same cells give the same bytes.
    """
    from mmbench.cli._console import counted
    from mmbench.store import archive
    from mmbench.store.folder import Store

    kept = Store(store)
    keys = list(kept)
    if selection:
        wanted = {cell.key for cell in selection.cells}
        keys = [key for key in keys if key in wanted]
        if len(keys) < len(wanted):
            missing = len(wanted) - len(keys)
            say(f"Note: {missing} of {counted(len(wanted), 'cell')} are not there.")
    if not keys:
        raise StoreError(f"The store {store} must hold what is exported; it has none.")
    archive.export(kept, keys, out)
    printed(f"{counted(len(keys), 'cell')} in {out}")


_taking = click.option(
    "--theirs", is_flag=True, help="Replace cells that are there already."
)


@command.command("import")
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@storing
@_taking
def take(source: Path, store: Path, theirs: bool) -> None:
    """Take the cells of SOURCE, an archive of `export` or the folder of a store.

    All are checked before one is written. A folder that an older mmbench wrote is
    rewritten in today's form, also in its own place: import DIR --store DIR.
    """
    _take(source, store, theirs=theirs)


@command.command("merge")
@click.argument("other", type=click.Path(exists=True, file_okay=False, path_type=Path))
@storing
@_taking
def merge(other: Path, store: Path, theirs: bool) -> None:
    """Take the cells of the store OTHER; a cell that is in both is left as it is."""
    _take(other, store, theirs=theirs)


def _take(source: Path, store: Path, *, theirs: bool) -> None:
    from mmbench.store import archive
    from mmbench.store.folder import Store

    kept = Store(store)
    if source.is_dir():
        taken = archive.merge(Store(source), kept, theirs=theirs)
    else:
        taken = archive.take(source, kept, theirs=theirs)
    printed(f"{', '.join(_counts(taken))}: {source} into {store}")


def _counts(taken: "mmbench.store.archive.ImportCounts") -> Iterator[str]:
    words: Sequence[Any] = (
        (taken.added, "added"),
        (taken.replaced, "replaced"),
        (taken.kept, "kept as they were here"),
        (taken.same, "the same in both"),
    )
    yield from (f"{number:,} {word}" for number, word in words if number)
    if not any(taken):
        yield "nothing taken"
