"""Methods that join results which are there already, for `mmbench leaderboard`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from mmbench.cli import WorkError, print_stderr
from mmbench.cli._published import find_published
from mmbench.cli._registries import external_among
from mmbench.cli._resource_options import sigterm_as_interrupt
from mmbench.cli._selection import explain_external_errors
from mmbench.core.errors import DescriptionError, StoreError

if TYPE_CHECKING:  # they import torch and pandas
    import mmbench.analysis.results
    import mmbench.engine.cell
    import mmbench.store.folder


def joined_results(
    specs: Sequence[str], store: Path, out_store: Path, data_dir: Path | None
) -> "mmbench.analysis.results.Results":
    """Compute the cells of methods that join results, and return all of them.

    Args:
        specs: the methods, each with or without a label.
        store: folder or archive of the results.
        out_store: folder of the methods' own results.
        data_dir: folder of data files.
    """
    import pandas as pd

    from mmbench.analysis.results import Results, gather
    from mmbench.engine.declarations import check_declarations
    from mmbench.runner.joining import join
    from mmbench.runner.plan import parse_labelled
    from mmbench.store.folder import Store

    store = _reference(store)
    if out_store.resolve() == store.resolve():
        raise DescriptionError(
            "--out-store must be another folder than --store, which is not changed; "
            f"got {out_store} for both."
        )
    cells: list[mmbench.engine.cell.Cell] = []
    compared: set[str] = set()
    left_out: dict[str, None] = {}
    reference = _read(store)
    with explain_external_errors(lambda: external_among(specs)):
        for spec in specs:
            label, algorithm = parse_labelled(spec)
            check_declarations(algorithm)
            _check_label(label, [*reference.frame["label"], *(x.label for x in cells)])
            found = join(reference.footers.values(), algorithm, label)
            cells += found.cells
            compared |= set(found.compared)
            left_out |= dict.fromkeys(found.left_out)
    if not cells:
        why = next(iter(left_out), "It has no cells.")
        raise StoreError(
            f"{store} must have results that {' and '.join(specs)} can join; it has "
            f"none. {why}"
        )
    for sentence in left_out:
        print_stderr(f"Note: {sentence}")
    _compute(specs, cells, out_store, data_dir)
    own = gather(Store(out_store), [(cell.key, cell.label) for cell in cells])
    rows = reference.frame[reference.frame["key"].isin(compared)]
    footers = {key: reference.footers[key] for key in rows["key"].unique()}
    frame = pd.concat([rows, own.frame], ignore_index=True)
    return Results(frame, footers | own.footers, None)


def _reference(store: Path) -> Path:
    """Return the results that --store names, or those that a checkout has published.

    Raises:
        DescriptionError: when there are neither.
    """
    source = click.get_current_context().get_parameter_source("store")
    if source is not ParameterSource.DEFAULT:
        return store
    if published := find_published("reports/leaderboard"):
        return published
    raise DescriptionError(
        "--store must name the results that --with joins, a folder or an archive; got "
        "none, and there are no published ones here."
    )


def _read(store: Path) -> "mmbench.analysis.results.Results":
    """Return published results, or those of a store, a bundle or an archive."""
    from mmbench.analysis.published import is_published, read_published
    from mmbench.analysis.results import Gathered

    if is_published(store):
        return read_published(store)
    with _opened(store) as kept:
        gathered = Gathered(kept).read_all()
        for sentence in gathered.damaged:
            print_stderr(f"Note: {sentence} It is left out.")
        return gathered.results()


def _check_label(label: str, taken: Sequence[str]) -> None:
    """Check that a method has a label of its own.

    Raises:
        DescriptionError: when another one has it.
    """
    if label in taken:
        raise DescriptionError(
            f"A method that joins results must have a label of its own; {label!r} is "
            "taken. Write 'label = ...' before it."
        )


def _compute(
    specs: Sequence[str],
    cells: "Sequence[mmbench.engine.cell.Cell]",
    out_store: Path,
    data_dir: Path | None,
) -> None:
    """Compute the cells that a store lacks; their progress is printed to stderr."""
    from mmbench.cli._console import pluralize
    from mmbench.cli._progress import cell_title
    from mmbench.core.placement import Placement, pick_device
    from mmbench.core.status import Status
    from mmbench.runner.execute import execute
    from mmbench.store.folder import Store

    kept = Store(out_store)
    placement = Placement(device=pick_device("auto"), data_dir=data_dir, compiled=None)
    with explain_external_errors(lambda: external_among(specs)), sigterm_as_interrupt():
        computed = execute(cells, kept, placement)
    print_stderr(
        f"{pluralize(len(cells), 'cell')} of {' and '.join(specs)}: {len(computed)} "
        f"computed, {len(cells) - len(computed)} already there. Store: {out_store}"
    )
    for cell in cells:
        footer = kept.footer(cell.key)
        if Status.ERROR in footer["outcomes"]:
            raise WorkError(
                f"{cell_title(cell)} ended with an error: {footer['reason']}"
            )


@contextmanager
def _opened(store: Path) -> "Iterator[mmbench.store.folder.Store]":
    """Open a store, be it a folder, a bundle or an archive; a file is unpacked."""
    from mmbench.store import archive
    from mmbench.store.bundle import RESULTS, is_bundle, unpack
    from mmbench.store.folder import Store

    if not store.is_file():
        yield Store(store)
        return
    with TemporaryDirectory(prefix="mmbench-") as scratch:
        folder, results = Path(scratch), store
        if is_bundle(store):
            unpack(store, folder)
            results = folder / RESULTS
        kept = Store(folder / "store")
        archive.take(results, kept)
        yield kept
