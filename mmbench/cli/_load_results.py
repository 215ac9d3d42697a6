"""Results that are stored, for the verbs that read them."""

from pathlib import Path
from typing import TYPE_CHECKING

from mmbench.cli import say
from mmbench.cli._selection import Selection, elsewhere
from mmbench.core.errors import StoreError

if TYPE_CHECKING:  # frame imports pandas
    import mmbench.analysis.results


def stored(selection: Selection, store: Path) -> "mmbench.analysis.results.Results":
    """What the store has of a selection; all it has when nothing was selected.

    Cells at work are among those of a selection, as far as they have come. Those that
    are not there, and those that are damaged and left out, are said on stderr.

    Raises:
        StoreError: when it has none of it.
    """
    from mmbench.analysis.results import gather, gather_planned
    from mmbench.cli._console import counted
    from mmbench.store.folder import Store

    kept = Store(store)
    if not selection:
        results = gather(kept)
        _complain(results)
        if results.footers:
            return results
        raise StoreError(
            f"--store must be a folder with results; {store} has none. Run something "
            "into it first."
        )
    cells = selection.cells
    results = gather_planned(kept, cells)
    _complain(results)
    command = f"mmbench run {selection}{elsewhere(store)}"
    if not results.footers:
        raise StoreError(
            f"The store {store} must hold cells of {selection.suite.name}; it has none "
            f"of its {len(cells)}. Compute them first: {command}"
        )
    if results.unfinished:
        say(
            f"Note: {len(results.unfinished)} of {counted(len(cells), 'cell')} are at "
            "work; of them there is what their last checkpoints have."
        )
    if results.missing:
        say(
            f"Note: {results.missing} of {counted(len(cells), 'cell')} are not in "
            f"{store} yet: {command}"
        )
    return results


def _complain(results: "mmbench.analysis.results.Results") -> None:
    for sentence in results.damaged:
        say(f"Note: {sentence} It is left out.")
