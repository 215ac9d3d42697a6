"""Labels: the label of a stored cell is the one that was asked for last."""

from mmbench.engine.cell import Cell
from mmbench.store.folder import Store
from mmbench.store.stored_files import StoredFiles


def relabel(cell: Cell, store: Store, stored: StoredFiles) -> None:
    """Give a stored cell the label that is asked for; its numbers stay.

    A cell that another process works on, or has replaced since it was read, is left.

    Args:
        cell: as it is asked for.
        store: where it is stored.
        stored: the cell as it was read.

    Raises:
        StoreError: when it cannot be written.
    """
    footer = stored.footer
    if footer["label"] == cell.label:
        return
    changed = footer | {"label": cell.label}
    if "description" in footer:
        changed["description"] = footer["description"] | {"label": cell.label}
    with store.lease(cell.key) as is_ours:
        if is_ours and store.version(cell.key) == stored.version:
            store.replace_table(stored, stored.frame.assign(label=cell.label), changed)
