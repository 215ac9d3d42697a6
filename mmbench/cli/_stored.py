"""Results that are stored, for the verbs that read them."""

from pathlib import Path
from typing import TYPE_CHECKING

from mmbench.cli import say
from mmbench.cli._selection import Selection, elsewhere
from mmbench.core.errors import StoreError

if TYPE_CHECKING:  # frame imports pandas
    import mmbench.frame


def stored(selection: Selection, store: Path) -> "mmbench.frame.Results":
    """What the store has of a selection; all it has when nothing was selected.

    Cells that it lacks are said on stderr, so that one can look at work in progress.

    Raises:
        StoreError: when it has none of it.
    """
    from mmbench.cli._terminal import counted
    from mmbench.frame import gather
    from mmbench.store import Store

    kept = Store(store)
    if not selection:
        results = gather(kept)
        if results.footers:
            return results
        raise StoreError(
            f"--store must be a folder with results; {store} has none. Run something "
            "into it first."
        )
    cells = selection.cells
    there = set(kept)
    found = [(cell.key, cell.label) for cell in cells if cell.key in there]
    command = f"mmbench run {selection}{elsewhere(store)}"
    if not found:
        raise StoreError(
            f"The store {store} must hold cells of {selection.suite.name}; it has none "
            f"of its {len(cells)}. Compute them first: {command}"
        )
    if len(found) < len(cells):
        say(
            f"Note: {len(cells) - len(found)} of {counted(len(cells), 'cell')} are not "
            f"in {store} yet: {command}"
        )
    return gather(kept, found)
