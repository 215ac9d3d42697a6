"""Comparison of the numbers of one cell, as stored and as computed again.

A run's bits depend on its description and on a few circumstances (`provenance.DECISIVE`
and the width), not on the other runs. So, circumstances being equal, everything must
be bit-identical. Under others, roundings differ and dynamics amplify them; there, two
numbers a and b of one column and record agree where

    |a − b| ≤ t · max(|a|, |b|) + 16 ε · s

with ε the unit of rounding of the cell's dtype, s the largest size that the column had
in that run until then (a number near zero is a difference of such), and t the
tolerance: 10⁻³ for float32 and 10⁻⁶ for float64, ten thousand roundings and more, so
that what merely sums in another order passes, and below what a figure shows, so that a
run that departs is found soon after it does.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from mmbench.core.oracle_state import COUNTED
from mmbench.engine.cell import Cell
from mmbench.engine.recording import SHOWN
from mmbench.metrics.base import TrajectoryMetric

TOLERANCE = {"float32": 1e-3, "float64": 1e-6}
ROUNDINGS = 16  # of the largest number that a column had

# Columns of a whole run; the clock is not compared.
ENDING = ("stopped_at", "status", "reason")


class Departure(NamedTuple):
    """The first record at which a run departs from what is stored.

    Args:
        seed: the run's seed.
        step: the record's step.
        column: the first column that departs there.
        then: the value that is stored.
        now: the value that was found.
    """

    seed: int
    step: int
    column: str
    then: str
    now: str

    def __str__(self) -> str:
        return (
            f"step {self.step} of seed {self.seed}: {self.column} {self.then} then, "
            f"{self.now} now"
        )


class Comparison:
    """The comparison of what is stored of a cell with what was found.

    Args:
        cell: the cell that both are of.
        exact: whether nothing but the same bits agrees.

    Attributes:
        largest: largest relative difference of two numbers that agreed.
    """

    def __init__(self, cell: Cell, *, exact: bool) -> None:
        self.exact = exact
        self.largest = 0.0
        self._dtype, self._keep = cell.dtype, cell.keep
        self._columns = tuple(column.name for column in cell.columns)
        self._seeds = cell.seeds
        # Columns of whole runs, repeated at every record, and the columns they are of.
        self._whole = {
            column.name: metric.of
            for metric in cell.metrics
            if isinstance(metric, TrajectoryMetric)
            for column in metric.columns
        }

    def run(self, seed: int, then: pd.DataFrame, now: pd.DataFrame) -> Departure | None:
        """Return where a run's table departs; None where it does not.

        Args:
            seed: the run's seed.
            then: its stored rows, in order.
            now: the rows found.
        """
        if list(then["step"]) != list(now["step"]):
            records = f"{len(then)} records", f"{len(now)} records"
            return Departure(seed, int(now["step"].max()), "step", *records)
        late = {
            name
            for name in self._columns
            if self._is_measured_later(then[name], now[name])
        }
        end, first, where = len(then) - 1, len(then), ""
        for name in (*COUNTED, *self._columns, *ENDING):
            if self._whole.get(name) in late:
                continue  # made of records that were never measured
            if name in ("status", "reason"):
                agreed = (then[name] == now[name]).to_numpy()
            else:
                agreed = self.agree(then[name], now[name])
            if name in late:
                agreed[:end] = True
            if (name in self._whole or name in ENDING) and not agreed.all():
                agreed = np.arange(end + 1) < end  # known at the end only
            if not agreed.all() and int(np.argmin(agreed)) < first:
                first, where = int(np.argmin(agreed)), name
        if not where:
            return None
        values = (_format(rows[where].iloc[first]) for rows in (then, now))
        return Departure(seed, int(now["step"].iloc[first]), where, *values)

    def arrays(
        self,
        seed: int,
        row: int,
        then: Mapping[str, np.ndarray],
        now: Mapping[str, np.ndarray],
        steps: int,
    ) -> Iterator[Departure]:
        """Yield the arrays of a run whose bits are not as stored.

        Args:
            seed: the run's seed.
            row: the run's row in the arrays found.
            then: the stored arrays: iterates, paths and sample sheets.
            now: the arrays found.
            steps: number of steps of the run.
        """
        stored = self._seeds.index(seed)
        for name in sorted({*then, *now}):
            a, b = then.get(name), now.get(name)
            if a is not None and b is not None and name == "z":  # (kept, runs, dim)
                a, b = a[:, stored : stored + 1], b[:, row : row + 1]
            elif a is not None and b is not None and not name.endswith("steps"):
                if stored >= SHOWN:  # none of the runs that are shown
                    continue
                a, b = a[stored : stored + 1], b[row : row + 1]
            if a is None or b is None or not np.array_equal(a, b, equal_nan=True):
                yield Departure(seed, steps, name, "other numbers", "these")

    def agree(self, then: Any, now: Any) -> np.ndarray:
        """Return whether numbers of one column and run agree, record by record."""
        a, b = _numbers(then), _numbers(now)
        same = (a.view(np.int64) == b.view(np.int64)) | (np.isnan(a) & np.isnan(b))
        if self.exact:
            return same
        with np.errstate(all="ignore"):
            difference, size = np.abs(a - b), np.fmax(np.abs(a), np.abs(b))
            reached = np.maximum.accumulate(np.where(np.isfinite(size), size, 0.0))
            rounding = ROUNDINGS * torch.finfo(getattr(torch, self._dtype)).eps
            bound = TOLERANCE[self._dtype] * size + rounding * reached
            agreed = same | (np.isfinite(difference) & (difference <= bound))
            relative = np.where(agreed & (difference > 0), difference / size, 0.0)
        self.largest = max(self.largest, float(relative.max(initial=0.0)))
        return agreed

    def _is_measured_later(self, then: pd.Series, now: pd.Series) -> bool:
        """Return whether a column was measured later, from the last iterates alone."""
        late = then.iloc[:-1].isna().all() and not now.iloc[:-1].isna().all()
        return self._keep == "last" and bool(late)


def _numbers(values: Any) -> np.ndarray:
    """Return numbers as float64, and text, which was never computed, as NaN."""
    given = pd.to_numeric(pd.Series(values), errors="coerce")
    return np.ascontiguousarray(given.to_numpy(dtype=np.float64, na_value=np.nan))


def _format(value: Any) -> str:
    return f"{value:.9g}" if isinstance(value, float) else str(value)
