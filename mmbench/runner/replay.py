"""Replay: a stored cell runs again, and everything that is stored of it is compared."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from functools import partial
from typing import Any, NamedTuple

import pandas as pd
import torch

from mmbench.core.errors import DescriptionError, StoreError
from mmbench.core.placement import Placement, pick_device
from mmbench.core.status import Status
from mmbench.engine.cell import Cell
from mmbench.engine.run_cell import run_cell
from mmbench.engine.trajectory import Trajectory
from mmbench.runner.comparison import TOLERANCE, Comparison, Departure
from mmbench.runner.provenance import differences, provenance
from mmbench.runner.stored_cell import contradictions, stored_cell
from mmbench.store.folder import Store


class Verdict(StrEnum):
    """What came of a replay."""

    IDENTICAL = "bit-identical"
    AGREES = "agrees"
    DEPARTS = "departs"
    DIFFERS = "differs"


class Replay(NamedTuple):
    """A stored cell beside the same cell computed again.

    Args:
        cell: what was computed.
        seeds: of the runs compared.
        records: of each of them.
        differences: of circumstances, in words.
        faults: in which the file contradicts itself or its description, in words.
        departures: of the runs that depart, the earliest first.
        largest: relative difference of two numbers that agree.
        unmatched: columns that no metric of the description gives.
    """

    cell: Cell
    seeds: tuple[int, ...]
    records: int
    differences: list[str]
    faults: list[str]
    departures: list[Departure]
    largest: float
    unmatched: list[str]

    @property
    def verdict(self) -> Verdict:
        """What came of it.

        At the start of a run nothing has been amplified, so that a departure there is
        no matter of circumstances.
        """
        early = any(one.step == 0 for one in self.departures)
        if self.faults or early or (self.departures and not self.differences):
            return Verdict.DIFFERS
        if self.departures:
            return Verdict.DEPARTS
        return Verdict.AGREES if self.largest else Verdict.IDENTICAL

    def __str__(self) -> str:
        if self.verdict is Verdict.IDENTICAL:
            return "bit-identical"
        tolerance = f"{TOLERANCE[self.cell.dtype]:g}"
        if self.verdict is Verdict.AGREES:
            return (
                f"agrees within {tolerance} at every record; largest relative "
                f"difference {self.largest:.1g}"
            )
        if self.faults:
            return f"differs: {self.faults[0]}"
        runs = f"{len(self.departures)} of {len(self.seeds)} runs"
        where = f"first at {self.departures[0]}"
        if self.verdict is Verdict.DIFFERS:
            return f"differs in {runs}, {where}"
        return f"agrees within {tolerance} until {runs} depart, {where}"


def replay(
    store: Store,
    key: str,
    *,
    seed: int | None = None,
    external: Sequence[str] = (),
    placement: Placement | None = None,
) -> Replay:
    """Compute a stored cell again and compare.

    Args:
        store: where it is.
        key: of the cell.
        seed: of the only run to be compared; None compares all.
        external: as `stored_cell` takes it.
        placement: where; None takes the kind of device that computed it, if this
            machine has one, and compiles if that was done.

    Raises:
        MmbenchError: before any work, when the cell cannot be computed here.
    """
    cell = stored_cell(store, key, external)
    footer, then = store.footer(key), store.frame(key)
    if seed is not None and seed not in cell.seeds:
        raise DescriptionError(
            f"--seed must be one of {cell.seeds[0]} to {cell.seeds[-1]}; got {seed}."
        )
    for limit in (Status.TIMEOUT, Status.MEMORY):
        if limit in footer.get("outcomes", ()):
            raise DescriptionError(
                f"{key} must have ended by itself to be replayed; it ended by a "
                f"limit: {limit}."
            )
    origin = footer.get("provenance", {})
    placement = placement or placement_of(footer)
    seeds = cell.seeds if seed is None else (seed,)
    # An error may come from any run of a cell, so there all of them are needed.
    error = Status.ERROR in footer.get("outcomes", ())
    again = cell if error else replace(cell, seeds=seeds)
    found = _run(again, store, placement)
    now = found.frame(again)

    told = differences(origin, provenance(placement.device.type))
    if footer.get("width") != found.width:
        told.append(f"width {footer.get('width')} then, {found.width} now")
    was = footer.get("backend") or "eager"  # as mmbench 0.1 was
    if (was == "compiled") != (found.backend == "compiled"):
        told.append(f"{was} then, {found.backend} now")
    comparison = Comparison(cell, exact=not told)
    faults = contradictions(cell, key, footer, then)
    if "ideal" in footer:
        faults += _ideals(comparison, footer["ideal"], found.ideal)
    departures = [
        departure
        for one in (() if faults else seeds)
        if (departure := comparison.run(one, _rows(then, one), _rows(now, one)))
    ]
    if comparison.exact and not faults and not departures:
        departures = [
            departure
            for one in seeds
            for departure in comparison.arrays(
                one,
                again.seeds.index(one),
                store.arrays(key) | store.iterates(key),
                found.arrays | found.iterates,
                cell.steps,
            )
        ]
    return Replay(
        cell=cell,
        seeds=seeds,
        records=len(found.steps),
        differences=told,
        faults=faults,
        departures=sorted(departures, key=lambda one: one.step),
        largest=comparison.largest,
        unmatched=sorted(set(then) - set(now)),
    )


def steps_of(cell: Cell, store: Store) -> int:
    """Steps of each run that a replay makes, those of cells before it included.

    Args:
        cell: to be computed again.
        store: where it is, and perhaps the iterates at which it began.
    """
    steps, before = cell.steps, cell.after
    while before and "iterates" not in store.companions(before.key):
        steps += before.steps
        before = before.after
    return steps


def drawn(keys: Sequence[str], sample: int, draw: int) -> list[str]:
    """A random sample of keys, the same whenever the draw is.

    Args:
        keys: of a store.
        sample: how many, or all where there are no more.
        draw: which of the samples.
    """
    return sorted(keys, key=lambda key: _lot(key, draw))[:sample]


def drawn_seed(cell: Cell, draw: int) -> int:
    """A random seed of a cell, the same whenever the draw is."""
    return cell.seeds[_lot(cell.key, draw) % len(cell.seeds)]


def _lot(key: str, draw: int) -> int:
    return int(hashlib.sha256(f"{draw}/{key}".encode()).hexdigest(), 16)


def placement_of(footer: Mapping[str, Any]) -> Placement:
    """The kind of device that computed a cell, if it is there, and how."""
    on_cpu = footer.get("provenance", {}).get("device", "cpu") == "cpu"
    return Placement(
        device=pick_device("cpu" if on_cpu else "auto"),
        compiled=footer.get("backend") == "compiled",
    )


def _run(cell: Cell, store: Store, placement: Placement) -> Trajectory:
    cell.task.prepare(placement.data_dir)
    for metric in cell.metrics:
        metric.prepare()
    starts = partial(_starts, cell, store, placement) if cell.after else None
    return run_cell(cell, placement, starts=starts)


def _starts(cell: Cell, store: Store, placement: Placement) -> torch.Tensor:
    """Where the cell before it ended: as kept, or computed again."""
    before = cell.after
    assert before is not None
    kept = store.iterates(before.key)
    if kept and kept["z"].shape[1:2] == (len(before.seeds),):
        rows = [before.seeds.index(seed) for seed in cell.seeds]
        return torch.from_numpy(kept["z"][-1][rows])
    again = _run(replace(before, seeds=cell.seeds, keep="last"), store, placement)
    if not again.iterates:
        raise StoreError(
            f"{before.label} on {before.task} must end for {cell.label} to go on from "
            f"there; it did not: {again.reason}."
        )
    return torch.from_numpy(again.iterates["z"][-1])


def _rows(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    return frame[frame["seed"] == seed].reset_index(drop=True)


def _ideals(
    comparison: Comparison, then: Mapping[str, float], now: Mapping[str, float]
) -> list[str]:
    """What is stored of real data and is not what they get."""
    if sorted(then) != sorted(now):
        return ["its footer tells what real data get in other columns"]
    return [
        f"real data get {now[name]:.9g} in {name}; its footer tells {then[name]}"
        for name in now
        if not comparison.agree([then[name]], [now[name]]).all()
    ]
