"""Chains: where a cell starts that goes on from another one's end."""

from typing import Any, NamedTuple

import torch

from mmbench.core.errors import StoreError
from mmbench.engine.cell import Cell
from mmbench.runner.lookup import answering_footer
from mmbench.runner.provenance import environments
from mmbench.store.folder import Store


class ChainEnd(NamedTuple):
    """Where a cell ended.

    Args:
        iterates: of its last record at least; empty where it has none.
        environments: that had a part in them, as the function of that name tells.
    """

    iterates: dict[str, Any] = {}
    environments: list[dict[str, str]] = []


class ChainEnds:
    """Ends of cells that others go on from, where the store has them not."""

    def __init__(self) -> None:
        self._kept: dict[str, ChainEnd] = {}

    def put(self, key: str, end: ChainEnd) -> None:
        """Remember that of a cell."""
        self._kept[key] = end

    def get(self, key: str) -> ChainEnd | None:
        """That of a cell; None where nobody put it."""
        return self._kept.get(key)


def end_of(cell: Cell, store: Store) -> ChainEnd:
    """Where a stored cell ended.

    Raises:
        StoreError: when its iterates cannot be read.
    """
    footer = answering_footer(cell, store)
    if footer is None:
        return ChainEnd()
    return ChainEnd(store.iterates(cell.key), environments(footer))


def environments_before(
    cell: Cell, store: Store | None, ends: ChainEnds
) -> list[dict[str, str]]:
    """Those that had a part in where a cell starts; none where it is the first."""
    before = cell.after
    if before is None:
        return []
    if end := ends.get(before.key):
        return end.environments
    footer = answering_footer(before, store) if store else None
    return environments(footer) if footer else []


def starting_iterates(cell: Cell, store: Store | None, ends: ChainEnds) -> torch.Tensor:
    """Where the cell before it ended, run by run, shape (runs, dim).

    Raises:
        StoreError: when that cell ended with an error and has no end.
    """
    before = cell.after
    assert before is not None
    end = ends.get(before.key) or (end_of(before, store) if store else ChainEnd())
    kept = end.iterates
    if not kept:
        raise StoreError(
            f"{before.label} on {before.task} must have ended for {cell.label} to go "
            "on from there; it has no last iterates."
        )
    rows = [before.seeds.index(seed) for seed in cell.seeds]
    return torch.from_numpy(kept["z"][-1][rows])
