"""Cells of which two records of each run are published, for replays.

A replay asks a store for the files of a cell. These stand in their place: the tables
have the published records alone, and there are no arrays.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmbench.core.columns import LEADING
from mmbench.core.errors import StoreError
from mmbench.store.folder import Store
from mmbench.store.stored_files import StoredFiles


class PublishedCell(StoredFiles):
    """What is published of one cell.

    Args:
        footer: its footer.
        frame: its published records.
    """

    def __init__(self, footer: Mapping[str, Any], frame: pd.DataFrame) -> None:
        self.key, self.content, self.version = str(footer["key"]), b"", None
        self.is_readable = True
        # "alike" is no entry of a footer, but what is published beside it.
        self._footer = {name: footer[name] for name in footer if name != "alike"}
        own = {*LEADING, *(column["name"] for column in footer["columns"])}
        names = [str(name) for name in frame if name in own]
        self._published = frame[names].reset_index(drop=True)

    @property
    def footer(self) -> dict[str, Any]:
        """Description and provenance."""
        return self._footer

    @property
    def frame(self) -> pd.DataFrame:
        """The published records."""
        return self._published

    @property
    def faults(self) -> list[str]:
        """What is wrong with files of its own, of which there are none."""
        return []

    def tensors(self, kind: str) -> dict[str, np.ndarray]:
        """Return no arrays, since none are published."""
        return {}

    def contradictions(self, seeds: tuple[int, ...]) -> list[str]:
        """Return where the records contradict the footer, in words.

        Args:
            seeds: those of the cell.
        """
        ends = self._published.drop_duplicates("seed")
        if list(ends["seed"]) != list(seeds):
            return ["its published records are of other runs"]
        if ends["status"].value_counts().to_dict() != self._footer.get("outcomes"):
            return ["its footer has other outcomes than its published records"]
        return []


class PublishedStore(Store):
    """Published cells, as a store that can be read.

    Args:
        folder: where they are published.
        footers: key to footer.
        frame: the published records of all cells.
    """

    def __init__(
        self,
        folder: Path,
        footers: Mapping[str, Mapping[str, Any]],
        frame: pd.DataFrame,
    ) -> None:
        super().__init__(folder)
        frames = dict(list(frame.groupby("key", sort=False)))
        self._cells = {
            key: PublishedCell(footer, frames[key]) for key, footer in footers.items()
        }

    def __contains__(self, key: str) -> bool:
        return key in self._cells

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys of the cells, sorted."""
        yield from sorted(self._cells)

    def read(self, key: str) -> PublishedCell | None:
        """Return what is published of a cell; None where nothing is."""
        return self._cells.get(key)

    def require(self, key: str) -> PublishedCell:
        """Return what is published of a cell.

        Raises:
            StoreError: when nothing is.
        """
        if key not in self._cells:
            raise StoreError(f"{self.folder} must have published {key}; it has not.")
        return self._cells[key]


def unpublished(stored: StoredFiles) -> tuple[str, ...]:
    """Return what cannot be compared of a cell, since it is not published."""
    return ("records between", "arrays") if isinstance(stored, PublishedCell) else ()


def filled(published: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """Return the records found of a run, with the published ones in their places.

    So that they are compared as whole runs are, and what was not published agrees.

    Args:
        published: the published records of the run.
        found: all its records, as computed again.
    """
    published = published.drop_duplicates("step").sort_values("step")
    is_published = found["step"].isin(published["step"])
    if is_published.sum() < len(published):
        return published  # which has other records
    own = {str(name): published[name].to_numpy() for name in published if name in found}
    replaced = found[is_published].assign(**own)
    both = pd.concat([found[~is_published], replaced])
    return both.sort_values("step").reset_index(drop=True)
