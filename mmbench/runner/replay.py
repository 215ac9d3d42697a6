"""Replays of stored cells: they run again, and all that is stored is compared."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from mmbench.core.description import name_of
from mmbench.core.errors import DescriptionError, StoreError
from mmbench.core.placement import Placement, pick_device
from mmbench.core.status import Status
from mmbench.engine.cell import Cell
from mmbench.engine.rounding_noise import RoundingNoise
from mmbench.engine.run_cell import run_cell, width_of
from mmbench.engine.trajectory import COMPILED, Trajectory
from mmbench.runner.comparison import Comparison, Departure, kind_of_reason
from mmbench.runner.growth import DISTURBED_RUNS, Growth, tolerance, watched
from mmbench.runner.provenance import differences, provenance, same_code
from mmbench.runner.published_cell import filled, unpublished
from mmbench.runner.stored_cell import (
    UNCHECKED,
    contradictions,
    other_words,
    stored_cell,
    surplus,
    wrong_width,
)
from mmbench.store.folder import Store
from mmbench.store.stored_files import StoredFiles

# Relative difference of a score of real data that is doubted and not yet refuted.
DOUBTFUL_SCORE = 0.01


class Verdict(StrEnum):
    """The outcome of a replay, from what confirms a file to what refutes it."""

    IDENTICAL = "bit-identical"
    AGREES = "agrees"
    UNCONFIRMED = "is unconfirmed"
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
        departures: where runs depart, the earliest first.
        largest: largest relative difference of two numbers that agree.
        doubts: what neither follows from the description nor contradicts it, in words.
        unchecked: what was not compared.
        growth: how far rounding may have moved the first run that departs.
    """

    cell: Cell
    seeds: tuple[int, ...]
    records: int
    differences: list[str]
    faults: list[str]
    departures: list[Departure]
    largest: float
    doubts: list[str]
    unchecked: list[str]
    growth: Growth | None = None

    @property
    def verdict(self) -> Verdict:
        """The outcome."""
        if self.faults or any(not one.is_explained for one in self.departures):
            return Verdict.DIFFERS
        if self.departures:
            return Verdict.DEPARTS
        if self.doubts:
            return Verdict.UNCONFIRMED
        return Verdict.AGREES if self.largest else Verdict.IDENTICAL

    def __str__(self) -> str:
        if self.verdict is Verdict.IDENTICAL:
            return "bit-identical"
        if self.verdict is Verdict.UNCONFIRMED:
            return f"is unconfirmed: {self.doubts[0]}"
        if self.verdict is Verdict.AGREES:
            return (
                "agrees, as rounding allows, at every record; largest relative "
                f"difference {self.largest:.1g}"
            )
        if self.faults:
            return f"differs: {self.faults[0]}"
        is_explained = self.verdict is Verdict.DEPARTS
        found = [one for one in self.departures if one.is_explained is is_explained]
        runs = f"{len({one.seed for one in found})} of {len(self.seeds)} runs"
        where = f"first at {found[0]}"
        if is_explained:
            return f"departs in {runs} as rounding does, {where}"
        if self.differences:
            return f"differs in {runs} by more than rounding makes, {where}"
        return f"differs in {runs}, {where}"


def limit_of(stored: StoredFiles) -> str:
    """Return the limit that ended a stored cell; empty where none did."""
    outcomes = stored.footer.get("outcomes", ())
    ended = [limit for limit in (Status.TIMEOUT, Status.MEMORY) if limit in outcomes]
    return ", ".join(ended)


def replay(
    store: Store,
    stored: StoredFiles,
    *,
    seed: int | None = None,
    external: Sequence[str] = (),
    placement: Placement | None = None,
) -> Replay:
    """Compute a stored cell again and compare.

    Where numbers differ and circumstances do as well, the runs in question are computed
    some more times with errors of the size of rounding, by which is judged how far they
    may depart; see `Growth`.

    Args:
        store: where the cells are that it continues; only their provenance is read.
        stored: the cell's files.
        seed: the seed of the only run to be compared; None compares all.
        external: as `stored_cell` takes it.
        placement: where it is computed; None takes the kind of device that computed it,
            if this machine has one, and compiles if that was done.

    Raises:
        DamagedError: when a file is not as it was written.
        MmbenchError: before any work, when the cell cannot be computed here.
    """
    cell = stored_cell(stored, external)
    footer, then = stored.footer, stored.frame
    if seed is not None and seed not in cell.seeds:
        raise DescriptionError(
            f"--seed must be one of {cell.seeds[0]} to {cell.seeds[-1]}; got {seed}."
        )
    seeds = cell.seeds if seed is None else (seed,)
    placement = placement or placement_of(footer)
    faults, doubts = judge_file(cell, stored, placement)
    if limit := limit_of(stored):
        doubts.insert(0, f"it ended by a limit ({limit}), and is not computed again")
    if limit or faults:  # what contradicts itself may have steps without end
        return Replay(cell, seeds, 0, [], faults, [], 0.0, doubts, ["all numbers"])
    here, origin = provenance(str(placement.device)), footer.get("provenance", {})
    # An error may come from any run of a cell, so all of them are needed then.
    has_error = Status.ERROR in footer.get("outcomes", ()) or footer.get("reason")
    mates = cell.seeds if seed is None else _seeds_of_chunk(cell, seed, placement)
    again = cell if has_error else replace(cell, seeds=mates)
    found = compute(watched(again), placement)
    now = found.frame(again)

    circumstances = differences(origin, here) + _differences_before(cell, store, here)
    others, uncertain = _engine_differences(footer, found)
    circumstances += others
    unchecked = [*UNCHECKED, *unpublished(stored), *uncertain]
    comparison = Comparison(cell)
    if "ideal" in footer or found.real_scores:
        scores = compare_scores(
            footer.get("ideal", {}),
            found.real_scores,
            cell.dtype,
            may_round=bool(circumstances),
        )
        faults, doubts = faults + scores.wrong, doubts + scores.doubtful
        comparison.largest = scores.largest
    reasons = [kind_of_reason(one) for one in (footer.get("reason", ""), found.reason)]
    if len(set(reasons)) > 1 and not circumstances:
        faults.append(f"its footer has the reason {reasons[0]!r}, not {reasons[1]!r}")
    departures: list[Departure] = []
    first: Growth | None = None
    arrays = {} if faults else stored.arrays() | stored.iterates()
    for run in () if faults else seeds:
        rows = _rows_of(stored, then, now, run)
        row = again.seeds.index(run)
        found_arrays = {} if unpublished(stored) else found.arrays | found.iterates

        def depart(
            growth: Growth | None,
            run: int = run,
            rows: tuple[pd.DataFrame, pd.DataFrame] = rows,
            row: int = row,
            found_arrays: Mapping[str, np.ndarray] = found_arrays,
        ) -> list[Departure]:
            return [
                *comparison.run(run, *rows, growth),
                *comparison.arrays(run, row, arrays, found_arrays, cell.steps, growth),
            ]

        apart = depart(None)
        if apart and circumstances and list(rows[0]["step"]) == list(rows[1]["step"]):
            growth = Growth(cell, found, row, _disturbed(cell, run, placement))
            apart = depart(growth)
            if any(
                not one.is_explained and growth.is_counted(one.column) for one in apart
            ):
                blurred = _disturbed(cell, run, placement, is_blurred=True)
                growth.add_blurred(blurred)
                apart = depart(growth)
            first = first or (growth if apart else None)
        departures += apart
        if not apart:
            doubts += map(_doubt_of_late, comparison.late_columns(*rows))
    if cell.label != name_of(type(cell.algorithm)):
        unchecked.append("label")
    return Replay(
        cell=cell,
        seeds=seeds,
        records=len(found.steps),
        differences=circumstances,
        faults=faults,
        departures=sorted(departures, key=lambda departure: departure.step),
        largest=comparison.largest,
        doubts=list(dict.fromkeys(doubts)),
        unchecked=list(dict.fromkeys(unchecked)),
        growth=first,
    )


def _doubt_of_late(column: str) -> str:
    return (
        f"its {column} has no numbers before the last record, as where a metric is "
        "measured later from the last iterates"
    )


def judge_file(
    cell: Cell, stored: StoredFiles, placement: Placement
) -> tuple[list[str], list[str]]:
    """Compare a file with what follows from its description, without computing it.

    Args:
        cell: the cell that the file describes.
        stored: the cell's files.
        placement: where it would be computed.

    Returns:
        Where it contradicts the description or itself, and what is only doubtful.
    """
    faults, doubts = contradictions(cell, stored), surplus(cell, stored)
    # Words may be those of another version, or of code that was not committed.
    words = other_words(cell, stored)
    origin = stored.footer.get("provenance", {})
    if not same_code(origin, provenance(str(placement.device))):
        return faults, doubts + words
    if wrong := wrong_width(cell, stored):
        faults.append(wrong)
    return faults + words, doubts


def _seeds_of_chunk(cell: Cell, seed: int, placement: Placement) -> tuple[int, ...]:
    """Return the seeds that a seed was computed with, whose place rounds products."""
    width = width_of(cell, placement)
    first = cell.seeds.index(seed) // width * width
    return cell.seeds[first : first + width]


def _disturbed(
    cell: Cell, seed: int, placement: Placement, *, is_blurred: bool = False
) -> Trajectory:
    """Compute a run of a cell several times with noise of the size of rounding."""
    runs = watched(replace(cell, seeds=(seed,) * DISTURBED_RUNS))
    return compute(runs, placement, RoundingNoise(seed, is_blurred=is_blurred))


def _engine_differences(
    footer: Mapping[str, Any], found: Trajectory
) -> tuple[list[str], list[str]]:
    """Return what a file states of its engine that is otherwise here.

    Returns:
        Circumstances that differ, in words, and what was not checked.
    """
    differences, unchecked = [], []
    if footer.get("width") != found.width:
        differences.append(f"width {footer.get('width')} then, {found.width} now")
        unchecked.append("width")
    backend = footer.get("backend") or "eager"  # as mmbench 0.1 was
    if backend.partition(",")[0] != found.backend.partition(",")[0]:
        differences.append(f"{backend} then, {found.backend} now")
    if backend != found.backend:
        unchecked.append("backend")
    return differences, unchecked


def _differences_before(cell: Cell, store: Store, here: Mapping[str, Any]) -> list[str]:
    """Return circumstances that differ of the cells that a cell continues, in words."""
    found, previous = [], cell.after
    while previous:
        stored = store.read(previous.key)
        if stored is None or not stored.is_readable:
            found.append(f"circumstances of {previous.label} before unknown")
        else:
            origin = stored.footer.get("provenance", {})
            found += [
                f"{previous.label} before: {difference}"
                for difference in differences(origin, here)
            ]
        previous = previous.after
    return found


def steps_to_replay(cell: Cell) -> int:
    """Return the steps that a replay makes per run, those of previous cells included.

    Stored iterates of previous cells are not believed.

    Args:
        cell: the cell to compute again.
    """
    steps, previous = cell.steps, cell.after
    while previous:
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
    return sorted(keys, key=lambda key: random_number(key, draw))[:count]


def sample_seed(cell: Cell, draw: int) -> int:
    """Return a random seed of a cell, the same for the same draw."""
    return cell.seeds[random_number(cell.key, draw) % len(cell.seeds)]


def random_number(key: str, draw: int) -> int:
    """Return a large number for a key, the same for the same draw."""
    return int(hashlib.sha256(f"{draw}/{key}".encode()).hexdigest(), 16)


def placement_of(footer: Mapping[str, Any]) -> Placement:
    """Return how a cell was computed, on its kind of device if this machine has one."""
    on_cpu = footer.get("provenance", {}).get("device", "cpu") == "cpu"
    return Placement(
        device=pick_device("cpu" if on_cpu else "auto"),
        compiled=footer.get("backend") in COMPILED,
        width=footer.get("width"),
    )


def compute(
    cell: Cell, placement: Placement, noise: RoundingNoise | None = None
) -> Trajectory:
    """Compute a cell, and before it the cells that it continues.

    Args:
        cell: the cell.
        placement: where it is computed.
        noise: as `run_cell` takes it.

    Raises:
        StoreError: when a previous cell ends with an error.
    """
    cell.task.prepare(placement.data_dir)
    for metric in cell.metrics:
        metric.prepare()
    starts = partial(_starts, cell, placement, noise) if cell.after else None
    return run_cell(cell, placement, starts=starts, noise=noise)


def _starts(
    cell: Cell, placement: Placement, noise: RoundingNoise | None
) -> torch.Tensor:
    """Return where the previous cell ends."""
    previous = cell.after
    assert previous is not None
    before = replace(previous, seeds=cell.seeds, keep="last")
    again = compute(before, placement, noise)
    if not again.iterates:
        raise StoreError(
            f"{previous.label} on {previous.task} must end for {cell.label} to go on "
            f"from there; it did not: {again.reason}."
        )
    return torch.from_numpy(again.iterates["z"][-1])


def _rows_of(
    stored: StoredFiles, then: pd.DataFrame, now: pd.DataFrame, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the records of a run that are compared, those stored and those found."""
    rows, found = _rows(then, seed), _rows(now, seed)
    return filled(rows, found) if unpublished(stored) else rows, found


def _rows(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    return frame[frame["seed"] == seed].reset_index(drop=True)


class Scores(NamedTuple):
    """The comparison of the stored scores of real data with those found.

    Args:
        wrong: those that are wrong, in words.
        doubtful: those that may be wrong, in words.
        largest: largest relative difference of two that agree.
    """

    wrong: list[str]
    doubtful: list[str]
    largest: float


def compare_scores(
    then: Mapping[str, float],
    now: Mapping[str, float],
    dtype: str,
    *,
    may_round: bool,
) -> Scores:
    """Compare the stored scores of real data with those found.

    Nothing amplifies their roundings, but sums of many features may cancel. So a score
    that is nearly the one found, circumstances being others, is doubted.
    """
    if sorted(then) != sorted(now):
        return Scores(["its footer has scores of real data in other columns"], [], 0.0)
    scores = Scores([], [], 0.0)
    for name, found in now.items():
        stored = float(then[name])
        if stored == found or (np.isnan(stored) and np.isnan(found)):
            continue
        words = f"real data get {found:.9g} in {name}; its footer has {stored:.9g}"
        apart = abs(stored - found) / max(abs(stored), abs(found))
        if not may_round or not apart <= DOUBTFUL_SCORE:
            scores.wrong.append(words)
        elif apart > tolerance(dtype):
            scores.doubtful.append(words)
        else:
            scores = scores._replace(largest=max(scores.largest, apart))
    return scores
