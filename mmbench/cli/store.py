"""mmbench store: check, list, remove, compare and transfer stored cells."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmbench.cli import WorkError, print_stderr, print_stdout
from mmbench.cli._numbers import Folder, NamedFile
from mmbench.cli._selection import Selection, selection_options, store_option
from mmbench.core.errors import DamagedError, StoreError

if TYPE_CHECKING:
    import mmbench.store.archive
    import mmbench.store.folder

KEY_DIGITS = 8  # enough to distinguish cells on a screen


@click.group(
    "store", short_help="Check, list, remove, compare or transfer stored cells."
)
def command() -> None:
    """Check, list, remove, compare, export, import or merge the cells of a store."""


# ---- check ----


@command.command("check")
@store_option
@click.option(
    "--repair",
    is_flag=True,
    help="Quarantine damaged cells and delete left-over files.",
)
def check(store: Path, repair: bool) -> None:
    """Read every file of the store and list those that are not in order.

    A quarantined cell counts as missing: run its suite again. The exit code is 1 when a
    cell is damaged and was not quarantined.
    """
    from mmbench.cli._console import pluralize
    from mmbench.store.folder import Store
    from mmbench.store.integrity import check as find_faults
    from mmbench.store.integrity import repair as repair_store

    kept = Store(store)
    findings = find_faults(kept)
    for finding in findings:
        name = "" if finding.kind == "damaged" else f"{finding.path.name}: "
        print_stdout(f"{finding.kind}: {name}{finding.sentence}")
    damaged = {finding.path for finding in findings if finding.kind == "damaged"}
    cells = len(list(kept))
    print_stdout(f"{pluralize(cells, 'cell')} in {store}, {len(damaged)} damaged.")
    if repair:
        repair_store(kept, findings)
        strays = sum(finding.kind == "stray" for finding in findings)
        print_stdout(
            f"{pluralize(len(damaged), 'cell')} quarantined, "
            f"{pluralize(strays, 'file')} deleted."
        )
    elif damaged:
        raise WorkError(
            f"{pluralize(len(damaged), 'cell')} must be computed again. --repair "
            "quarantines damaged files; so does `mmbench run`."
        )


# ---- ls ----


@command.command("ls")
@store_option
def listing(store: Path) -> None:
    """List the stored cells with their runs, steps, outcomes and size.

    Of a store of many cells, an index is kept in its folder, so that only tables that
    are new or have changed are read. `mmbench store check` reads all.
    """
    from mmbench.cli._console import pluralize, print_table
    from mmbench.store.folder import Store
    from mmbench.store.index import list_cells

    listed, total = list_cells(Store(store))
    rows = [
        (one.key[:KEY_DIGITS], *_describe(one.footer), f"{one.bytes / 1000:,.0f}")
        for one in listed
    ]
    columns = ("key", "task", "label", "runs", "steps", "status", "kB")
    print_table(columns, rows, right=("runs", "steps", "kB"))
    print_stdout(f"{pluralize(len(rows), 'cell')} in {store}, {total / 1e6:,.1f} MB")


def _describe(footer: dict[str, Any] | None) -> tuple[str, ...]:
    """Return the columns from the task to the status of a stored cell."""
    from mmbench.cli._console import format_outcomes

    if footer is None:  # damaged, or a link that leads nowhere
        return "", "", "", "", "damaged"
    runs, steps = f"{footer['runs']:,}", f"{footer['steps']:,}"
    outcomes = format_outcomes(footer["outcomes"])
    return footer["task"], footer["label"], runs, steps, outcomes


# ---- rm ----


@command.command("rm")
@click.argument("keys", nargs=-1, metavar="[KEY]...")
@click.option("-t", "--task", metavar="TASK", help="Delete all cells of a task.")
@click.option("--all", "everything", is_flag=True, help="Delete all cells.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@store_option
def remove(
    keys: tuple[str, ...], task: str | None, everything: bool, yes: bool, store: Path
) -> None:
    """Delete the cells whose keys begin with KEY, those of a task, or all.

    TASK is a name, which means the task with any parameters, or the text that `ls`
    prints.
    """
    from mmbench.cli._console import pluralize
    from mmbench.runner.stored_cell import key_of
    from mmbench.store.folder import Store
    from mmbench.store.index import remove_indexes

    if [bool(keys), bool(task), everything].count(True) != 1:
        raise StoreError(
            "One of KEY, --task TASK and --all must be given, and only one."
        )
    kept = Store(store)
    if keys:
        chosen = list(dict.fromkeys(key_of(kept, start) for start in keys))
    else:
        chosen = [key for key in kept if everything or _is_of_task(kept, key, task)]
    if not chosen and task:
        raise StoreError(f"The store {store} must hold a cell of {task}; it has none.")
    if chosen and not yes:
        click.confirm(
            f"Delete {pluralize(len(chosen), 'cell')} of {store}?", abort=True
        )
    for key in chosen:
        kept.remove(key)
    if everything:
        remove_indexes(kept)
    print_stdout(f"{pluralize(len(chosen), 'cell')} deleted.")


def _is_of_task(kept: "mmbench.store.folder.Store", key: str, task: str | None) -> bool:
    try:
        spec = kept.footer(key)["task"]
    except DamagedError:
        return False
    return task in {spec, spec.partition("[")[0]}


# ---- diff ----


@command.command("diff")
@click.argument("a", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("b", type=click.Path(exists=True, file_okay=False, path_type=Path))
def diff(a: Path, b: Path) -> None:
    """List the cells that only one of the stores A and B has, or with other numbers.

    Of a cell that differs, the first difference is printed: what A has and what B has,
    and for numbers how far they are apart, relative to the larger one. Training times
    and provenance are not compared.

    Exit codes: 0 when both hold the same, 1 when they differ.
    """
    from mmbench.cli._console import pluralize
    from mmbench.store.archive import numbers_of
    from mmbench.store.difference import first_difference
    from mmbench.store.folder import Store

    stores = Store(a), Store(b)
    keys = [list(store) for store in stores]
    differing = same = 0
    for key in sorted({*keys[0], *keys[1]}):
        if key not in keys[1]:
            print_stdout(f"{key}: only in {a}")
        elif key not in keys[0]:
            print_stdout(f"{key}: only in {b}")
        else:
            try:
                found = [numbers_of(store.require(key)) for store in stores]
                apart = first_difference(*found)
                apart = apart and f"differs at {apart}"
            except DamagedError as error:
                apart = f"damaged: {error}"
            if apart:
                print_stdout(f"{key}: {apart}")
            differing, same = differing + bool(apart), same + (not apart)
    only = [len(set(keys[0]) - set(keys[1])), len(set(keys[1]) - set(keys[0]))]
    summary = (
        f"{pluralize(same, 'cell')} the same in both, {differing} different, "
        f"{only[0]} only in {a}, {only[1]} only in {b}."
    )
    if differing or any(only):
        raise WorkError(summary)
    print_stdout(summary)


# ---- export, import, merge ----


@command.command("export")
@selection_options
@store_option
@click.option(
    "--out",
    type=NamedFile(".zip"),
    required=True,
    help="Zip archive to write.",
)
def export(selection: Selection, store: Path, out: Path) -> None:
    """Write the cells of SUITE, of a grid, or all cells to one archive.

    The same cells give the same bytes.
    """
    from mmbench.cli._console import pluralize
    from mmbench.store import archive
    from mmbench.store.folder import Store

    kept = Store(store)
    keys = list(kept)
    if selection:
        wanted = {cell.key for cell in selection.cells}
        keys = [key for key in keys if key in wanted]
        if len(keys) < len(wanted):
            missing = len(wanted) - len(keys)
            print_stderr(
                f"Note: {missing} of {pluralize(len(wanted), 'cell')} are missing."
            )
    if not keys:
        raise StoreError(f"The store {store} must have cells to export; it has none.")
    archive.export(kept, keys, out)
    print_stdout(f"{pluralize(len(keys), 'cell')} in {out}")


_theirs_option = click.option(
    "--theirs", is_flag=True, help="Replace cells that the store has already."
)


@command.command("import")
@click.argument("source", type=Folder(exists=True))
@store_option
@_theirs_option
def import_(source: Path, store: Path, theirs: bool) -> None:
    """Add the cells of SOURCE, an archive of `export` or the folder of a store.

    All are checked before the first is written. A folder written by an older mmbench is
    converted to the current format, which also works in place: import DIR --store DIR.

    Cells that both have with other numbers are listed. The exit code is 1 where such a
    cell stayed as it was.
    """
    _import(source, store, theirs=theirs)


@command.command("merge")
@click.argument("other", type=Folder(exists=True, file_okay=False))
@store_option
@_theirs_option
def merge(other: Path, store: Path, theirs: bool) -> None:
    """Add the cells of the store OTHER; a cell that is in both stays as it is.

    Cells that both have with other numbers are listed. The exit code is 1 where such a
    cell stayed as it was.
    """
    _import(other, store, theirs=theirs)


def _import(source: Path, store: Path, *, theirs: bool) -> None:
    from mmbench.cli._console import pluralize
    from mmbench.store import archive
    from mmbench.store.folder import Store

    kept = Store(store)
    if source.is_dir():
        counts = archive.merge(Store(source), kept, theirs=theirs)
    else:
        counts = archive.take(source, kept, theirs=theirs)
    for key, apart in counts.differences.items():
        print_stdout(f"{key}: differs at {apart}")
    print_stdout(f"{', '.join(_describe_counts(counts))}: {source} into {store}")
    if counts.differences and not theirs:
        raise WorkError(
            f"{pluralize(len(counts.differences), 'cell')} of {source} "
            f"{'differs' if len(counts.differences) == 1 else 'differ'} from those "
            f"of {store}, which stayed. `mmbench replay KEY` says which of the two is "
            "computed; --theirs replaces them."
        )


def _describe_counts(counts: "mmbench.store.archive.ImportCounts") -> Iterator[str]:
    described = (
        (counts.added, "added"),
        (counts.replaced, "replaced"),
        (counts.kept, "kept as they were here"),
        (counts.same, "the same in both"),
    )
    yield from (f"{number:,} {text}" for number, text in described if number)
    if not any(counts):
        yield "nothing added"
