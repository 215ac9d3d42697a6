"""Labels: that of a stored cell, its track and repetition are those asked for last."""

from mmbench.engine.cell import Cell
from mmbench.store.folder import Store
from mmbench.store.stored_files import StoredFiles


def relabel(cell: Cell, store: Store, stored: StoredFiles) -> None:
    """Give a stored cell the label, track and repetition asked for; its numbers stay.

    A cell that another process works on, or has replaced since it was read, is left.

    Args:
        cell: as it is asked for.
        store: where it is stored.
        stored: the cell as it was read.

    Raises:
        StoreError: when it cannot be written.
    """
    footer = stored.footer
    described = footer.get("description", {})
    asked = {
        "label": cell.label,
        "track": cell.track,
        "repetition": cell.repetition,
    }
    known = {"track": "default", "repetition": 0} | (described or asked)
    if asked.items() <= (known | {"label": footer["label"]}).items():
        return
    changed = footer | {"label": cell.label}
    if described:
        changed["description"] = described | asked
    with store.lease(cell.key) as is_ours:
        if is_ours and store.version(cell.key) == stored.version:
            store.replace_table(stored, stored.frame.assign(label=cell.label), changed)
