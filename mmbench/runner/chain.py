"""Chains of cells: where a cell starts that continues another one."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from mmbench.core.errors import StoreError
from mmbench.engine.cell import Cell
from mmbench.runner.lookup import is_usable
from mmbench.runner.provenance import environments
from mmbench.store.folder import Store


class ChainEnd(NamedTuple):
    """The end of a cell, where another one starts.

    Args:
        environments: versions that had a part in it, see `provenance.environments`.
        read_iterates: gives the iterates of the last record at least; empty where the
            cell has none.
    """

    environments: list[dict[str, str]] = []
    read_iterates: Callable[[], dict[str, Any]] = dict


class ChainEnds:
    """Ends of cells that others continue and that the store does not have, by key."""

    def __init__(self) -> None:
        self._ends: dict[str, ChainEnd] = {}

    def put(self, key: str, end: ChainEnd) -> None:
        """Keep the end of a cell."""
        self._ends[key] = end

    def get(self, key: str) -> ChainEnd | None:
        """Return the end of a cell; None where it is not kept."""
        return self._ends.get(key)


def stored_end(cell: Cell, store: Store) -> ChainEnd:
    """Return the end of a cell that may be stored; an empty one where it is not.

    Raises:
        StoreError: when its file cannot be read.
    """
    stored = store.read(cell.key)
    if not is_usable(stored, store):
        return ChainEnd()
    return ChainEnd(environments(stored.footer), stored.iterates)


def end_before(cell: Cell, store: Store | None, ends: ChainEnds) -> ChainEnd:
    """Return the end of the cell that a cell continues; an empty one without any."""
    previous = cell.after
    if previous is None:
        return ChainEnd()
    if end := ends.get(previous.key):
        return end
    return stored_end(previous, store) if store else ChainEnd()


def starting_iterates(cell: Cell, end: ChainEnd) -> torch.Tensor:
    """Return where a cell's runs start that continues another one, (runs, dim).

    Args:
        cell: the cell that starts.
        end: of the cell that it continues.

    Raises:
        StoreError: when that cell ended with an error or its iterates are damaged.
    """
    previous = cell.after
    assert previous is not None
    iterates = end.read_iterates()
    if not iterates:
        raise StoreError(
            f"{previous.label} on {previous.task} must have ended for {cell.label} to "
            "go on from there; it has no last iterates."
        )
    rows = [previous.seeds.index(seed) for seed in cell.seeds]
    return torch.from_numpy(iterates["z"][-1][rows])
