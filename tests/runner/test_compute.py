"""One cell, computed into the store."""

from typing import Any

import numpy as np
import pytest
from small_cells import chained_cells

from mmbench.core.placement import Placement
from mmbench.runner.compute import compute_and_store
from mmbench.runner.execute import execute
from mmbench.store.folder import Store


@pytest.mark.parametrize("keep", ["none", "last", "all"])
def test_iterates_are_kept_as_asked(store: Store, keep: Any) -> None:
    """None, those of the last record, or of all; the footer says which."""
    (cell,) = chained_cells(keep=keep)
    execute([cell], store)
    found = store.iterates(cell.key)
    assert store.footer(cell.key)["kept"] == keep
    assert execute([cell], store) == []
    if keep == "none":
        assert found == {}
        return
    steps = [6] if keep == "last" else list(cell.schedule)
    assert found["steps"].tolist() == steps
    dim = cell.task.build(Placement()).dim
    assert found["z"].shape == (len(steps), 3, dim)
    assert found["z"].dtype == np.float32


def test_what_another_process_has_stored_meanwhile_stays(store: Store) -> None:
    """A process was stopped for longer than its lease, and another one took it."""
    (cell,) = chained_cells(keep="none")
    versions = []

    def overtake(*_: Any) -> None:
        for lease in store.folder.glob("*.lease"):
            lease.unlink()
        if not versions:
            assert compute_and_store(cell, store, Placement())
            versions.append(store.version(cell.key))
            store.slot(cell.key).write(b"of the process that goes on")

    found = compute_and_store(cell, store, Placement(), on_progress=overtake)
    assert found is None
    assert versions == [store.version(cell.key)]
    left = {path.suffix for path in store.folder.iterdir()}
    assert left == {".parquet", ".safetensors"}
