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
    """Return the stored or published results of a selection; see `gather_selected`.

    Those of a suite of winners have the record of their tuning.
    """
    results = _load(selection, store)
    if not selection or not selection.suite.tuned:
        return results
    from mmbench.store.tuning_record import read_record

    try:
        return results._replace(tuning=read_record(Path(selection.suite.tuned)))
    except StoreError as error:
        print_stderr(f"Note: {error} What was tuned, and how, is left out.")
        return results


def _load(selection: Selection, store: Path) -> "mmbench.analysis.results.Results":
    from mmbench.analysis.published import is_published, read_published

    if not is_published(store):
        return gather_selected(selection, store).results()
    results = read_published(store)
    if not selection:
        return results
    wanted = {cell.key for cell in selection.cells}
    footers = {key: one for key, one in results.footers.items() if key in wanted}
    if not footers:
        raise StoreError(
            f"{store} must hold cells of {selection.suite.name}; it has none."
        )
    frame = results.frame[results.frame["key"].isin(footers)].reset_index(drop=True)
    return results._replace(frame=frame, footers=footers)


def gather_selected(
    selection: Selection, store: Path, *, with_footers: bool = True
) -> "mmbench.analysis.results.Gathered":
    """Return the stored cells of a selection, or all if nothing was selected.

    Unfinished cells of a selection are included up to their last checkpoint. Cells that
    are missing, unfinished or damaged are reported on stderr.

    Args:
        selection: what the user asked for.
        store: the folder of the store.
        with_footers: whether footers are kept, which a table alone does not need.

    Raises:
        StoreError: when the store has no cell of the selection.
    """
    from mmbench.analysis.results import Gathered
    from mmbench.cli._console import pluralize
    from mmbench.store.folder import Store

    gathered = Gathered(Store(store), with_footers=with_footers)
    if not selection:
        _report_damaged(gathered.read_all())
        if gathered.order:
            return gathered
        raise StoreError(
            f"--store must be a folder with results; {store} has none. Run something "
            "into it first."
        )
    cells = selection.cells
    _report_damaged(gathered.read_planned(cells))
    command = f"mmbench run {selection}{format_store_option(store)}"
    if not gathered.order:
        raise StoreError(
            f"The store {store} must hold cells of {selection.suite.name}; it has none "
            f"of its {len(cells)}. Compute them first: {command}"
        )
    if gathered.unfinished:
        print_stderr(
            f"Note: {len(gathered.unfinished)} of {pluralize(len(cells), 'cell')} are "
            "unfinished; they are shown up to their last checkpoints."
        )
    if gathered.missing:
        print_stderr(
            f"Note: {gathered.missing} of {pluralize(len(cells), 'cell')} are not in "
            f"{store} yet: {command}"
        )
    return gathered


def _report_damaged(gathered: "mmbench.analysis.results.Gathered") -> None:
    for sentence in gathered.damaged:
        print_stderr(f"Note: {sentence} It is left out.")
