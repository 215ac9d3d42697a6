"""Comparison of the numbers of one run, as stored and as computed again.

A run's bits depend on its description and on a few circumstances (`provenance.DECISIVE`
and the width), not on the other runs. So, circumstances being equal, everything must
be bit-identical. Under others, roundings differ and the dynamics amplify them. There a
number *agrees* where

    |a − b| ≤ t · max(|a|, |b|)

with t a thousand roundings of the cell's dtype, and where rounding may have moved it as
far (`Growth`); tiny numbers agree, too, whose squares are some subnormal numbers apart.
In a column with values of both signs, where zero is like any other
number, the largest size that it had until then takes the place of max(|a|, |b|).
Numbers that are further apart, as rounding allows, *depart*. Any others *differ*.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mmbench.core.columns import COUNTED
from mmbench.core.status import Status
from mmbench.engine.cell import Cell
from mmbench.engine.recording import SHOWN
from mmbench.metrics.base import TrajectoryMetric
from mmbench.runner.growth import (
    Growth,
    differ_by_underflow,
    smallest_subnormal,
    tolerance,
    underflow,
)

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
        is_explained: whether rounding may have grown so far by that step.
    """

    seed: int
    step: int
    column: str
    then: str
    now: str
    is_explained: bool = False

    def __str__(self) -> str:
        return (
            f"step {self.step} of seed {self.seed}: {self.column} {self.then} then, "
            f"{self.now} now"
        )


class Comparison:
    """The comparison of what is stored of a cell with what was found.

    Args:
        cell: the cell that both are of.

    Attributes:
        largest: largest relative difference of two numbers that agreed.
    """

    def __init__(self, cell: Cell) -> None:
        self.largest = 0.0
        self._keep, self._seeds, self._dtype = cell.keep, cell.seeds, cell.dtype
        self._tolerance = tolerance(cell.dtype)
        self._columns = tuple(column.name for column in cell.columns)
        # Columns of whole runs, repeated at every record, and the columns they are of.
        self._whole = {
            column.name: metric.of
            for metric in cell.metrics
            if isinstance(metric, TrajectoryMetric)
            for column in metric.columns
        }

    def run(
        self,
        seed: int,
        then: pd.DataFrame,
        now: pd.DataFrame,
        growth: Growth | None = None,
    ) -> list[Departure]:
        """Return where a run's table departs: first, and first without explanation.

        Args:
            seed: the run's seed.
            then: its stored rows, in order.
            now: the rows found.
            growth: how far rounding may have moved the run; None where only the same
                bits agree.
        """
        if list(then["step"]) != list(now["step"]):
            records = f"{len(then)} records", f"{len(now)} records"
            return [Departure(seed, int(now["step"].max()), "step", *records)]
        first: dict[bool, tuple[int, str]] = {}
        for name, departs, allowed in self._compared(then, now, growth):
            for is_explained in (True, False):
                chosen = np.flatnonzero(departs & (allowed == is_explained))
                at = int(chosen[0]) if chosen.size else len(then)
                if at < first.get(is_explained, (len(then), ""))[0]:
                    first[is_explained] = at, name
        return [
            Departure(
                seed,
                int(now["step"].iloc[at]),
                name,
                _format(then[name].iloc[at]),
                _format(now[name].iloc[at]),
                is_explained=is_explained,
            )
            for is_explained, (at, name) in sorted(first.items())
        ]

    def late_columns(self, then: pd.DataFrame, now: pd.DataFrame) -> list[str]:
        """Return columns that were measured later, from the last iterates alone."""
        return [
            name
            for name in self._columns
            if self._keep == "last"
            and then[name].iloc[:-1].isna().all()
            and not now[name].iloc[:-1].isna().all()
        ]

    def _compared(
        self, then: pd.DataFrame, now: pd.DataFrame, growth: Growth | None
    ) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """Yield columns, where they depart, and where rounding allows that."""
        late = set(self.late_columns(then, now))
        records = len(then)
        last = np.arange(records) == records - 1
        other_end = any(then[name].iloc[-1] != now[name].iloc[-1] for name in ENDING)
        for name in COUNTED:
            same = (then[name] == now[name]).to_numpy()
            allowed = np.zeros(records)
            if growth:
                allowed = growth.allowed_charges(name, other_end=other_end)
            apart = np.abs(_numbers(then[name]) - _numbers(now[name]))
            yield name, ~same, apart <= allowed
        for name in self._columns:
            if self._whole.get(name) in late:
                continue  # made of records that were never measured
            departs, believed = self._numbers_compared(name, then, now, growth)
            if name in late:
                departs &= last
            if name in self._whole:  # known at the end only
                departs, believed = last & departs.any(), last & believed[departs].all()
            yield name, departs, believed
        for name in ENDING:
            same = (then[name] == now[name]).to_numpy()
            rows = then.iloc[-1], now.iloc[-1]
            is_allowed = growth is not None and _end_is_allowed(name, *rows, growth)
            yield name, last & ~same.all(), np.full(records, is_allowed)

    def _numbers_compared(
        self,
        name: str,
        then: pd.DataFrame,
        now: pd.DataFrame,
        growth: Growth | None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return where numbers of a column depart, and where rounding allows that."""
        a, b = _numbers(then[name]), _numbers(now[name])
        same = (a.view(np.int64) == b.view(np.int64)) | (np.isnan(a) & np.isnan(b))
        if growth is None:
            return ~same, np.zeros(len(a), dtype=bool)
        with np.errstate(all="ignore"):
            apart = np.nan_to_num(np.abs(a - b), nan=np.inf, posinf=np.inf)
            size = np.fmax(np.abs(a), np.abs(b))
            if (b < 0).any() and (b > 0).any():
                found = np.where(np.isfinite(b), np.abs(b), 0.0)
                size = np.maximum.accumulate(found)
            is_near = np.isfinite(apart) & (apart <= self._tolerance * size)
            is_tiny = differ_by_underflow(a, b, self._dtype)
            is_flushed = (a == 0) & (np.abs(b) < underflow(self._dtype))
            is_explained = apart <= growth.allowed(name)
            agrees = same | (is_near & is_explained) | is_tiny
            # Two zeros of other signs, and tiny numbers, differ by less than any share.
            share = np.where(is_near, np.nan_to_num(apart / size, nan=0.0), 0.0)
            relative = np.where(agrees & ~same, share + np.finfo(float).tiny, 0.0)
        self.largest = max(self.largest, float(relative.max(initial=0.0)))
        return ~agrees, is_explained | is_flushed

    def arrays(
        self,
        seed: int,
        row: int,
        then: Mapping[str, np.ndarray],
        now: Mapping[str, np.ndarray],
        steps: int,
        growth: Growth | None = None,
    ) -> Iterator[Departure]:
        """Yield the arrays of a run that are not as stored.

        Args:
            seed: the run's seed.
            row: the run's row in the arrays found.
            then: the stored arrays: iterates, paths and sample sheets.
            now: the arrays found.
            steps: number of steps of the run.
            growth: as `run` takes it.
        """
        stored = self._seeds.index(seed)
        for name in sorted({*then, *now}):
            a, b = then.get(name), now.get(name)
            at = [steps]
            if a is not None and b is not None:
                if name == "z":  # (kept, runs, dim)
                    a, b = a[:, stored : stored + 1], b[:, row : row + 1]
                    a, b = np.moveaxis(a, 1, 0), np.moveaxis(b, 1, 0)
                    at = now["steps"].tolist()
                elif not name.endswith("steps"):
                    if stored >= SHOWN:  # none of the runs that are shown
                        continue
                    a, b = a[stored : stored + 1], b[row : row + 1]
                    at = now["path_steps"].tolist() if name == "path" else at
            if a is None or b is None or a.shape != b.shape:
                yield Departure(seed, steps, name, "other numbers", "these")
            elif departure := self._array_departure(seed, name, a, b, at, growth):
                yield departure

    def _array_departure(
        self,
        seed: int,
        name: str,
        a: np.ndarray,
        b: np.ndarray,
        steps: list[int],
        growth: Growth | None,
    ) -> Departure | None:
        """Return where an array departs: where rounding does not explain it, if so."""
        if np.array_equal(a, b, equal_nan=True):
            return None
        if growth is None or name.endswith("steps"):
            return Departure(seed, steps[-1], name, "other numbers", "these")
        apart = np.nan_to_num(np.abs(a.astype(float) - b), nan=np.inf, posinf=np.inf)
        apart = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, apart)
        largest = apart.reshape(len(steps), -1).max(axis=1)
        size = np.nan_to_num(np.abs(b)).reshape(len(steps), -1).max(axis=1)
        beyond = largest > growth.allowed_of_array(name, steps)
        tiny = smallest_subnormal(self._dtype)
        far = beyond | (largest > self._tolerance * (size + tiny))
        if not far.any():
            shares = largest[size > 0] / size[size > 0]
            tiny = float(np.finfo(float).tiny)
            self.largest = max(self.largest, tiny, float(shares.max(initial=0.0)))
            return None
        at = int(np.argmax(beyond if beyond.any() else far))
        values = "other numbers", f"these, {largest[at]:.2g} apart"
        is_explained = not beyond.any()
        return Departure(seed, steps[at], name, *values, is_explained=is_explained)


def kind_of_reason(reason: str) -> str:
    """Return the type of the exception in a reason; the words vary with versions."""
    return str(reason).partition(":")[0]


def _end_is_allowed(name: str, then: Any, now: Any, growth: Growth) -> bool:
    """Return whether a run's end may be another one because of rounding.

    Args:
        name: one of `ENDING`.
        then: the stored row of the last record.
        now: the row found.
        growth: how far rounding may have moved the run.
    """
    if name == "reason":
        is_alike = kind_of_reason(then[name]) == kind_of_reason(now[name])
        return is_alike or then["status"] != now["status"]
    may_end = then["status"] in growth.statuses
    if {then["status"], now["status"]} & set(Status.cell_failures()):
        return bool(may_end)
    if min(_end_of(then), _end_of(now)) > growth.lost_after:
        return True
    if name == "status":
        return bool(may_end)
    return bool(abs(then[name] - now[name]) <= growth.stopped_at)


def _end_of(row: Any) -> float:
    """Return the step up to which the end of a run was open.

    Whether the target holds at the last records is known at the last one.
    """
    is_last = row["status"] in (Status.FINISHED, Status.CONVERGED)
    return float(row["step"] if is_last else row["stopped_at"])


def _numbers(values: Any) -> np.ndarray:
    """Return numbers as float64, and text, which was never computed, as NaN."""
    given = pd.to_numeric(pd.Series(values), errors="coerce")
    return np.ascontiguousarray(given.to_numpy(dtype=np.float64, na_value=np.nan))


def _format(value: Any) -> str:
    return f"{value:.9g}" if isinstance(value, float) else str(value)
