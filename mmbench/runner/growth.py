"""How far rounding may have moved a run from what is computed here, step by step.

A run is computed some more times with random errors of the size of rounding at every
step (`RoundingNoise`). What these make of a number is what another processor, library
or number of runs side by side may make of it, so two results of that number may be
apart by

    8 · max |a number with noise − the number without|

and no further. The factor is for chance: the largest of 8 deviations is below an eighth
of their standard deviation once in ten million numbers. The noise itself, of 4
roundings for each number of an iterate and 16 in losses, is larger than the errors of
honest kernels, so that comparisons which these may turn around (an accepted proposal,
an inner iteration more) are turned around by some of the 8 as well.

A metric that counts, such as a share of samples, is one number over and over and then
another. Where it is the same in all 8, it may still vary as far as it does when what is
measured is disturbed by 4096 roundings. Any other number that does not vary with the
noise may not vary at all, but for 16 roundings of itself or of its square, which for
tiny numbers are roundings of subnormal numbers; a processor that flushes these to zero
makes zero of a number whose square is subnormal. Charges may vary where they do in one
of the 8 by twice as many steps, since an inner iteration more is a rare event.

A run is *lost* from the step on by which noise has moved its iterate by a tenth of the
way that it had gone until then, and by more than a thousand roundings. From there on
its numbers say nothing about each other, and its end may be another one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np
import torch
from torch import Tensor

from mmbench.core.columns import COUNTED
from mmbench.engine.cell import Cell
from mmbench.engine.trajectory import Trajectory
from mmbench.metrics.base import Column, IterateMetric, Point

DISTURBED_RUNS = 8
SAFETY = 8
ROUNDINGS = 16  # of a number, whatever the noise does to it
TOLERANCE = 1000  # roundings, of numbers that agree
AHEAD = 2  # times a step: by then, charges vary that may vary at it
LOST = 0.1  # of the way that an iterate had gone
WATCHED = 64  # entries of an iterate by which its way is measured


@final
@dataclass(frozen=True, kw_only=True)
class WatchedEntries(IterateMetric):
    """Evenly spaced entries of the iterate, by which it is judged whether it is lost.

    Games of fewer variables have zeros in the remaining columns.
    """

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns that the metric fills."""
        return tuple(
            Column(f"entry {number}", "entry", "neither") for number in range(WATCHED)
        )

    def measure(self, at: Point) -> Mapping[str, Tensor]:
        """Return the values of each column, one for each run."""
        interval = -(-at.z.shape[1] // WATCHED)
        entries = at.z[:, ::interval]
        missing = entries.new_zeros(len(entries), WATCHED - entries.shape[1])
        entries = torch.cat((entries, missing), dim=1)
        names = [column.name for column in self.columns]
        return dict(zip(names, entries.unbind(1), strict=True))


ENTRIES = tuple(column.name for column in WatchedEntries().columns)


def watched(cell: Cell) -> Cell:
    """Return a cell of which entries of the iterates are measured, too."""
    return replace(cell, metrics=(*cell.metrics, WatchedEntries()))


class Growth:
    """How far rounding may have moved one run.

    Args:
        cell: the cell of the run.
        found: the run without noise, among others; with its `WatchedEntries`.
        row: its place among them.
        disturbed: the same run several times, each with noise, and with these entries.

    Attributes:
        lost_at: the step of the first record at which the run is lost; infinite where
            it never is.
        lost_after: the step of the record before it; infinite where there is none such.
        statuses: how the runs with noise ended.
        stopped_at: how far apart the ends of two results may be, in steps.
    """

    def __init__(
        self, cell: Cell, found: Trajectory, row: int, disturbed: Trajectory
    ) -> None:
        self._cell, self._found, self._row = cell, found, row
        self._disturbed = disturbed
        self._epsilon = torch.finfo(getattr(torch, cell.dtype)).eps
        self._steps = np.array(found.steps)
        self._moved = {
            name: _moved(values[:, row], _filled(disturbed.columns[name], values))
            for name, values in found.columns.items()
            if name not in ENTRIES
        }
        self._charged = {
            name: _moved(
                found.counts[name][:, row],
                _filled(disturbed.counts[name], found.counts[name]),
            )
            for name in COUNTED
        }
        self._blurred: dict[str, np.ndarray] = {}
        lost = self._is_lost()
        at = int(np.argmax(lost))
        self.lost_at = float(self._steps[at]) if lost.any() else np.inf
        self.lost_after = float(self._steps[max(at - 1, 0)]) if lost.any() else np.inf
        self.statuses = {*disturbed.status, found.status[row]}
        ends = np.abs(disturbed.stopped_at - found.stopped_at[row])
        self.stopped_at = SAFETY * int(ends.max(initial=0))

    def allowed(self, name: str) -> np.ndarray:
        """Return how far apart two results of a metric may be, shape (records,)."""
        size = np.abs(self._found.columns[name][:, self._row])
        rounding = ROUNDINGS * self._epsilon * np.where(np.isfinite(size), size, 0.0)
        moved = self._moved[name]
        if name in self._blurred:
            moved = np.where(moved == 0, self._blurred[name], moved)
        return np.where(self._steps >= self.lost_at, np.inf, SAFETY * moved + rounding)

    def is_counted(self, name: str) -> bool:
        """Return whether a metric is the same at some record in all runs with noise."""
        return bool((self._moved.get(name, np.ones(1)) == 0).any())

    def add_blurred(self, blurred: Trajectory) -> None:
        """Add the same runs with noise, of which a blurred iterate was measured."""
        self._blurred = {
            name: _moved(values[:, self._row], _filled(blurred.columns[name], values))
            for name, values in self._found.columns.items()
            if name not in ENTRIES
        }

    def allowed_charges(self, name: str, *, other_end: bool) -> np.ndarray:
        """Return how far apart two results of a count may be, shape (records,).

        Args:
            name: one of `COUNTED`.
            other_end: whether the run ended otherwise, after which nothing is charged.
        """
        moved = np.array(
            [
                self._charged[name][self._steps <= AHEAD * step].max()
                for step in self._steps
            ]
        )
        is_free = (self._steps >= self.lost_at) & (other_end or moved.any())
        return np.where(is_free, np.inf, SAFETY * moved)

    def allowed_of_array(self, name: str, steps: Sequence[int]) -> np.ndarray:
        """Return how far apart two results of an array may be at each of its steps.

        Args:
            name: name of the array: "path", "sheet", or "z" for the kept iterates.
            steps: the steps that its entries are of.
        """
        if name == "z":
            now = self._found.iterates["z"][:, self._row]
            moved = self._disturbed.iterates.get("z", np.empty((0, 0)))
            moved = np.moveaxis(moved, 0, 1) if moved.ndim > 2 else moved[None]
        else:
            now = self._found.arrays[name][self._row]
            moved = self._disturbed.arrays.get(name, np.empty(0))
        if name == "sheet":  # of the last step alone
            now, moved = now[None], moved[:, None]
        if moved.shape[1:] != now.shape:  # the runs with noise ended with an error
            return np.full(len(now), np.inf)
        size = np.abs(now).reshape(len(now), -1).max(axis=1, initial=0)
        apart = np.nan_to_num(
            np.abs(moved.astype(float) - now), nan=np.inf, posinf=np.inf
        )
        largest = apart.reshape(len(moved), len(now), -1).max(axis=(0, 2), initial=0)
        tiny = smallest_subnormal(self._cell.dtype)
        allowed = SAFETY * largest + ROUNDINGS * (self._epsilon * size + tiny)
        return np.where(np.array(steps) >= self.lost_at, np.inf, allowed)

    def _is_lost(self) -> np.ndarray:
        """Return whether the run is lost at each record, shape (records,)."""
        now = np.stack([self._found.columns[name][:, self._row] for name in ENTRIES])
        noisy = np.stack(
            [
                _filled(self._disturbed.columns[name], self._found.columns[name])
                for name in ENTRIES
            ]
        )
        moved = _norm(noisy - now[..., None]).max(axis=1)
        way = np.maximum.accumulate(_norm(now - now[:, :1]))
        size = np.maximum.accumulate(_norm(now))
        far = (moved >= LOST * way) & (moved > TOLERANCE * self._epsilon * size)
        lost: np.ndarray = np.logical_or.accumulate(far)
        return lost


def tolerance(dtype: str) -> float:
    """Return how far apart numbers may be that agree, relative to their size."""
    return TOLERANCE * float(torch.finfo(getattr(torch, dtype)).eps)


def underflow(dtype: str) -> float:
    """Return the size below which the square of a number is not a normal number."""
    return math.sqrt(torch.finfo(getattr(torch, dtype)).tiny)


def smallest_subnormal(dtype: str) -> float:
    """Return the smallest number above zero."""
    limits = torch.finfo(getattr(torch, dtype))
    return float(limits.smallest_normal * limits.eps)


def differ_by_underflow(a: np.ndarray, b: np.ndarray, dtype: str) -> np.ndarray:
    """Return where 16 roundings of subnormal numbers, or of squares, part two numbers.

    Args:
        a: numbers.
        b: numbers, of the same shape.
        dtype: the precision that both were computed in.
    """
    with np.errstate(all="ignore"):
        apart, both = np.abs(a - b), np.abs(a) + np.abs(b)
        near: np.ndarray = np.minimum(
            apart, apart * both
        ) <= ROUNDINGS * smallest_subnormal(dtype)
    return near


def _norm(entries: np.ndarray) -> np.ndarray:
    """Return norms over the first axis; NaN counts as infinite."""
    largest = np.abs(entries).max(axis=0)
    with np.errstate(invalid="ignore"):  # no square may overflow or underflow
        norms = np.linalg.norm(entries / np.where(largest > 0, largest, 1.0), axis=0)
        norms = np.where(largest > 0, largest * norms, largest)
    return np.nan_to_num(norms, nan=np.inf, posinf=np.inf)


def _filled(disturbed: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Return records of the runs with noise; NaN where an error left none."""
    filled = np.full((len(found), disturbed.shape[1]), np.nan)
    filled[: len(disturbed)] = disturbed[: len(found)]
    return filled


def _moved(found: np.ndarray, disturbed: np.ndarray) -> np.ndarray:
    """Return how far noise has moved a number, the largest of all runs at each record.

    Args:
        found: without noise, shape (records,).
        disturbed: with noise, shape (records, runs).
    """
    a = found[:, None].astype(float)
    same = (a == disturbed) | (np.isnan(a) & np.isnan(disturbed))
    with np.errstate(invalid="ignore"):
        apart = np.where(same, 0.0, np.abs(a - disturbed))
    return np.nan_to_num(apart, nan=np.inf, posinf=np.inf).max(axis=1, initial=0)
