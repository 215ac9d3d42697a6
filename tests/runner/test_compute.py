"""One cell, computed into the store."""

from typing import Any

import numpy as np
import pytest
from small_cells import chained_cells

from mmbench.core.placement import Placement
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
