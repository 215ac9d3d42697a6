"""Replays of stored cells: they run again, and all that is stored is compared."""

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
from mmbench.store.stored_files import StoredFiles


class Verdict(StrEnum):
    """The outcome of a replay."""

    IDENTICAL = "bit-identical"
    AGREES = "agrees"
    DEPARTS = "departs"
    DIFFERS = "differs"


class Replay(NamedTuple):
    """The comparison of a stored cell with the same cell computed again.

    Args:
        cell: the cell.
        seeds: the seeds of the runs compared.
        records: number of records of each run.
        differences: circumstances that differ, in words.
        faults: where the file contradicts itself or its description, in words.
        departures: the runs that depart, the earliest first.
        largest: largest relative difference of two numbers that agree.
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
        """The outcome.

        At the start of a run nothing has been amplified, so that a departure there is
        not explained by circumstances.
        """
        early = any(departure.step == 0 for departure in self.departures)
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
    stored: StoredFiles,
    *,
    seed: int | None = None,
    external: Sequence[str] = (),
    placement: Placement | None = None,
) -> Replay:
    """Compute a stored cell again and compare.

    Args:
        store: where the cells are that it continues.
        stored: the cell's files.
        seed: the seed of the only run to be compared; None compares all.
        external: as `stored_cell` takes it.
        placement: where it is computed; None takes the kind of device that computed it,
            if this machine has one, and compiles if that was done.

    Raises:
        MmbenchError: before any work, when the cell cannot be computed here.
    """
    cell = stored_cell(stored, external)
    footer, then = stored.footer, stored.frame
    if seed is not None and seed not in cell.seeds:
        raise DescriptionError(
            f"--seed must be one of {cell.seeds[0]} to {cell.seeds[-1]}; got {seed}."
        )
    for limit in (Status.TIMEOUT, Status.MEMORY):
        if limit in footer.get("outcomes", ()):
            raise DescriptionError(
                f"{stored.key} must have ended by itself to be replayed; it ended by a "
                f"limit: {limit}."
            )
    origin = footer.get("provenance", {})
    placement = placement or placement_of(footer)
    seeds = cell.seeds if seed is None else (seed,)
    # An error may come from any run of a cell, so all of them are needed then.
    has_error = Status.ERROR in footer.get("outcomes", ())
    again = cell if has_error else replace(cell, seeds=seeds)
    found = _run(again, store, placement)
    now = found.frame(again)

    circumstances = differences(origin, provenance(placement.device.type))
    if footer.get("width") != found.width:
        circumstances.append(f"width {footer.get('width')} then, {found.width} now")
    backend = footer.get("backend") or "eager"  # as mmbench 0.1 was
    if (backend == "compiled") != (found.backend == "compiled"):
        circumstances.append(f"{backend} then, {found.backend} now")
    comparison = Comparison(cell, exact=not circumstances)
    faults = contradictions(cell, stored)
    if "ideal" in footer:
        faults += _score_faults(comparison, footer["ideal"], found.real_scores)
    departures = [
        departure
        for run in (() if faults else seeds)
        if (departure := comparison.run(run, _rows(then, run), _rows(now, run)))
    ]
    if comparison.exact and not faults and not departures:
        arrays = stored.arrays() | stored.iterates()
        departures = [
            departure
            for run in seeds
            for departure in comparison.arrays(
                run,
                again.seeds.index(run),
                arrays,
                found.arrays | found.iterates,
                cell.steps,
            )
        ]
    return Replay(
        cell=cell,
        seeds=seeds,
        records=len(found.steps),
        differences=circumstances,
        faults=faults,
        departures=sorted(departures, key=lambda departure: departure.step),
        largest=comparison.largest,
        unmatched=sorted({str(name) for name in set(then) - set(now)}),
    )


def steps_to_replay(cell: Cell, store: Store) -> int:
    """Return the steps that a replay makes per run, those of previous cells included.

    Args:
        cell: the cell to compute again.
        store: where the iterates may be at which it starts.
    """
    steps, previous = cell.steps, cell.after
    while previous and "iterates" not in store.companions(previous.key):
        steps += previous.steps
        previous = previous.after
    return steps


def sample_keys(keys: Sequence[str], count: int, draw: int) -> list[str]:
    """Return a random sample of keys, the same for the same draw.

    Args:
        keys: the keys of a store.
        count: size of the sample; all keys where there are no more.
        draw: number of the sample.
    """
    return sorted(keys, key=lambda key: _random_number(key, draw))[:count]


def sample_seed(cell: Cell, draw: int) -> int:
    """Return a random seed of a cell, the same for the same draw."""
    return cell.seeds[_random_number(cell.key, draw) % len(cell.seeds)]


def _random_number(key: str, draw: int) -> int:
    return int(hashlib.sha256(f"{draw}/{key}".encode()).hexdigest(), 16)


def placement_of(footer: Mapping[str, Any]) -> Placement:
    """Return the backend of a cell and its kind of device, if this machine has one."""
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
    """Return where the previous cell ended: as kept, or computed again."""
    previous = cell.after
    assert previous is not None
    kept = store.iterates(previous.key)
    if kept and kept["z"].shape[1:2] == (len(previous.seeds),):
        rows = [previous.seeds.index(seed) for seed in cell.seeds]
        return torch.from_numpy(kept["z"][-1][rows])
    again = _run(replace(previous, seeds=cell.seeds, keep="last"), store, placement)
    if not again.iterates:
        raise StoreError(
            f"{previous.label} on {previous.task} must end for {cell.label} to go on "
            f"from there; it did not: {again.reason}."
        )
    return torch.from_numpy(again.iterates["z"][-1])


def _rows(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    return frame[frame["seed"] == seed].reset_index(drop=True)


def _score_faults(
    comparison: Comparison, then: Mapping[str, float], now: Mapping[str, float]
) -> list[str]:
    """Return where the stored scores of real data are not those found, in words."""
    if sorted(then) != sorted(now):
        return ["its footer has scores of real data in other columns"]
    return [
        f"real data get {now[name]:.9g} in {name}; its footer has {then[name]}"
        for name in now
        if not comparison.agree([then[name]], [now[name]]).all()
    ]
