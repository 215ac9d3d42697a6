"""Loading of stored results, for the verbs that read them."""

from pathlib import Path
from typing import TYPE_CHECKING

from mmbench.cli import print_stderr
from mmbench.cli._selection import Selection, format_store_option
from mmbench.core.errors import StoreError

if TYPE_CHECKING:  # it imports pandas
    import mmbench.analysis.results


def load_selected(
    selection: Selection, store: Path
) -> "mmbench.analysis.results.Results":
    """Return the stored results of a selection, or all if nothing was selected.

    Unfinished cells of a selection are included up to their last checkpoint. Cells that
    are missing, unfinished or damaged are reported on stderr.

    Raises:
        StoreError: when the store has no cell of the selection.
    """
    from mmbench.analysis.results import gather, gather_planned
    from mmbench.cli._console import pluralize
    from mmbench.store.folder import Store

    kept = Store(store)
    if not selection:
        results = gather(kept)
        _report_damaged(results)
        if results.footers:
            return results
        raise StoreError(
            f"--store must be a folder with results; {store} has none. Run something "
            "into it first."
        )
    cells = selection.cells
    results = gather_planned(kept, cells)
    _report_damaged(results)
    command = f"mmbench run {selection}{format_store_option(store)}"
    if not results.footers:
        raise StoreError(
            f"The store {store} must hold cells of {selection.suite.name}; it has none "
            f"of its {len(cells)}. Compute them first: {command}"
        )
    if results.unfinished:
        print_stderr(
            f"Note: {len(results.unfinished)} of {pluralize(len(cells), 'cell')} are "
            "unfinished; they are shown up to their last checkpoints."
        )
    if results.missing:
        print_stderr(
            f"Note: {results.missing} of {pluralize(len(cells), 'cell')} are not in "
            f"{store} yet: {command}"
        )
    return results


def _report_damaged(results: "mmbench.analysis.results.Results") -> None:
    for sentence in results.damaged:
        print_stderr(f"Note: {sentence} It is left out.")
