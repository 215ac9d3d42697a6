"""Tuning: trials of every method on every task, and the suite of the winners.

All methods get the same independent random points, each a trial, and each run of a
trial spends the whole budget, so that as many trials cost all methods the same.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from mmbench.core.code_files import is_of_mmbench
from mmbench.core.description import digest, name_of, text
from mmbench.core.errors import DescriptionError
from mmbench.core.files import write_together
from mmbench.core.placement import Placement
from mmbench.core.precision import check_precision
from mmbench.core.priors import MOST_HYPERPARAMETERS, values_at
from mmbench.core.serialization import from_json, location_of, to_json
from mmbench.core.spec import quote, replace_files
from mmbench.core.status import Status
from mmbench.engine.cell import Cell
from mmbench.engine.expected_time import expected_seconds
from mmbench.engine.run_cell import width_of
from mmbench.engine.trials import Hyperparameters, run_trials
from mmbench.metrics.base import Column, Metric, TrajectoryMetric
from mmbench.runner.local_workers import count_workers
from mmbench.runner.plan import plan
from mmbench.runner.provenance import provenance
from mmbench.runner.tuning_winners import winners
from mmbench.store.tuning_record import RECORD, RecordFolder, TuningRecord
from mmbench.suites.base import Grid, Suite, grid_fields

POLL_SECONDS = 0.5  # between two looks of a worker for its parent
FIRST_TUNING_SEED = 10_000  # far from the seeds by which methods are compared


class Tuning(NamedTuple):
    """How methods are tuned.

    Args:
        trials: points of each method.
        seeds: tuning seeds, that is runs, of each trial.
        first_seed: the least tuning seed.
        seed: seed of the points.
        repetitions: how often all of it is done, with other points and tuning seeds.
    """

    trials: int = 16
    seeds: int = 3
    first_seed: int = FIRST_TUNING_SEED
    seed: int = 0
    repetitions: int = 1

    def seeds_of(self, repetition: int) -> tuple[int, ...]:
        """Return the tuning seeds of a repetition, counted from 0."""
        first = self.first_seed + repetition * self.seeds
        return tuple(range(first, first + self.seeds))

    def points(self, repetition: int) -> np.ndarray:
        """Return the points of a repetition in the unit cube, shape (trials, 4).

        The first points are the same however many there are.
        """
        random = np.random.Generator(np.random.PCG64([self.seed, repetition]))
        return random.random((self.trials, MOST_HYPERPARAMETERS))


class Job(NamedTuple):
    """The trials of one method on one task, in one repetition.

    Args:
        cell: the runs of a trial, with its tuning seeds and the metrics of its score.
        repetition: number of the repetition, from 0.
        trials: hyperparameters of each trial.
    """

    cell: Cell
    repetition: int
    trials: tuple[Hyperparameters, ...]

    @property
    def key(self) -> str:
        """The key of what is computed, of which the repetition's number is no part."""
        return digest((self.cell, tuple(map(_to_json, self.trials))))

    @property
    def batch(self) -> Cell:
        """A cell with as many runs, which takes about as long."""
        return replace(
            self.cell, seeds=tuple(range(len(self.trials) * len(self.cell.seeds)))
        )


# ---- what is computed ----


def plan_tuning(suite: Suite, tuning: Tuning) -> list[Job]:
    """Return the jobs of a suite, repetition by repetition.

    Raises:
        DescriptionError: when a grid has no budget, continues another, or has seeds
            that are tuning seeds.
    """
    _check_grids(suite, tuning)
    cells = plan(suite)
    jobs: dict[str, Job] = {}
    for repetition in range(tuning.repetitions):
        points = tuning.points(repetition)
        for cell in cells:
            space = cell.algorithm.search_space
            # A method with nothing to tune has one trial: itself.
            tried = points if space else points[:1]
            job = Job(
                replace(
                    cell,
                    seeds=tuning.seeds_of(repetition),
                    metrics=_scoring_metrics(cell),
                    keep="none",
                ),
                repetition,
                tuple(values_at(space, point) for point in tried),
            )
            jobs.setdefault(job.key, job)
    return list(jobs.values())


def _check_grids(suite: Suite, tuning: Tuning) -> None:
    first = tuning.first_seed
    last = first + tuning.repetitions * tuning.seeds - 1
    for grid in suite.grids:
        if not grid.budget:
            raise DescriptionError(
                "Methods must be tuned at a budget, so that trials cost all of them "
                f"the same; the grid of {', '.join(map(str, grid.tasks))} has "
                f"{grid.steps} steps. Give --budget."
            )
        if grid.after:
            raise DescriptionError(
                "A grid that is tuned must start where its task says; the grid after "
                f"{grid.after!r} does not."
            )
        if first <= grid.first_seed + grid.seeds - 1 and grid.first_seed <= last:
            raise DescriptionError(
                "Tuning seeds must not be those by which methods are compared; got "
                f"{first} to {last}, and {grid.first_seed} to "
                f"{grid.first_seed + grid.seeds - 1}."
            )


def primary_column(cell: Cell) -> Column | None:
    """Return the first column in which lower or higher values are better, if any."""
    return next((one for one in cell.columns if one.better != "neither"), None)


def _scoring_metrics(cell: Cell) -> tuple[Metric, ...]:
    """Return the metrics that a score needs: of the target and the primary column."""
    primary, target = primary_column(cell), cell.task.target
    needed = {name for name, _ in target.bounds} if target else set()
    needed |= {primary.name} if primary else set()
    for metric in cell.metrics:
        if isinstance(metric, TrajectoryMetric) and _fills(metric, needed):
            needed |= {metric.of}
    return tuple(metric for metric in cell.metrics if _fills(metric, needed))


def _fills(metric: Metric, names: set[str]) -> bool:
    return any(column.name in names for column in metric.columns)


def compute_job(job: Job, placement: Placement) -> pd.DataFrame:
    """Compute the trials of a job; returns rows as a record has them."""
    cell, column = job.cell, primary_column(job.cell)
    ends = run_trials(cell, job.trials, placement)
    methods = [cell.algorithm.with_hyperparameters(trial) for trial in job.trials]
    specs, values = list(map(text, methods)), list(map(_to_json, job.trials))
    has_reached = ends["status"] == Status.CONVERGED
    return pd.DataFrame(
        {
            "task": text(cell.task),
            "label": cell.label,
            "repetition": job.repetition,
            "trial": ends["trial"],
            "algorithm": [specs[trial] for trial in ends["trial"]],
            "hyperparameters": [values[trial] for trial in ends["trial"]],
            "seed": ends["seed"],
            "status": ends["status"],
            "cost": ends["cost"].astype(float),
            "cost_to_target": ends["stopped_at"].where(has_reached).astype(float),
            "metric": column.name if column else "",
            "value": ends[column.name] if column else np.nan,
            "key": job.key,
        }
    )


def _to_json(trial: Hyperparameters) -> str:
    return json.dumps(dict(trial), ensure_ascii=False)


# ---- computing ----


def tune(
    jobs: Sequence[Job],
    folder: RecordFolder,
    about: Mapping[str, Any],
    placement: Placement = Placement(),
    processes: int = 0,
    on_done: Callable[[Job, pd.DataFrame], None] | None = None,
) -> TuningRecord:
    """Compute the jobs that a folder lacks, and write the record of all.

    Each job is kept as it is done, so that the next call goes on after the last one.

    Args:
        jobs: all jobs of the record.
        folder: where the record is kept.
        about: what the record says of how it was made, JSON values.
        placement: where games are built.
        processes: the most processes; 0 for one on each core where it is worth it.
        on_done: called with each job that was computed.

    Returns:
        The record, also written to the folder.

    Raises:
        MmbenchError: before any computation, when data or the device are unfit, or the
            folder has a record of other jobs.
    """
    done = folder.done()
    keys = {job.key for job in jobs}
    if folder.record.exists() and (others := set(done) - keys):
        raise DescriptionError(
            f"The record in {folder.folder} must be one of the trials that are asked "
            f"for; {len(others)} of its methods have others. Choose another --out."
        )
    waiting = [job for job in jobs if job.key not in done]
    for cell in {job.cell.task: job.cell for job in waiting}.values():
        check_precision(cell.precision, placement.device)
        cell.task.prepare(placement.data_dir)
    for metric in dict.fromkeys(m for job in waiting for m in job.cell.metrics):
        metric.prepare()
    for job, trials in _computed(waiting, placement, processes):
        folder.add(job.key, trials)
        done[job.key] = trials
        if on_done:
            on_done(job, trials)
    record = _record(jobs, done, about, placement)
    if waiting or not folder.record.exists():
        folder.finish([done[job.key] for job in jobs], record.about)
    return record


def _computed(
    jobs: Sequence[Job], placement: Placement, processes: int
) -> Iterator[tuple[Job, pd.DataFrame]]:
    """Yield each job with its trials, in any order; the longest jobs begin first."""
    count = count_workers([job.batch for job in jobs], placement, processes)
    if count == 1:
        for job in jobs:
            yield job, compute_job(job, placement)
        return

    def seconds(job: Job) -> float:
        return expected_seconds(job.batch, width_of(job.batch, placement))

    by_key = {job.key: job for job in jobs}
    parallel = Parallel(count, return_as="generator_unordered")
    for trials in parallel(
        delayed(_compute_elsewhere)(
            to_json(job.cell), job.repetition, job.trials, placement
        )
        for job in sorted(jobs, key=seconds, reverse=True)
    ):
        yield by_key[trials["key"].iloc[0]], trials


def _compute_elsewhere(
    cell: str,
    repetition: int,
    trials: tuple[Hyperparameters, ...],
    placement: Placement,
) -> pd.DataFrame:
    """Compute a job in a worker process, which gets its cell as JSON."""
    _end_with_parent()
    return compute_job(Job(from_json(cell), repetition, trials), placement)


@cache
def _end_with_parent() -> None:
    """Let this worker end when its parent is gone, be it in the middle of a job."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _record(
    jobs: Sequence[Job],
    done: Mapping[str, pd.DataFrame],
    about: Mapping[str, Any],
    placement: Placement,
) -> TuningRecord:
    """Return the record of finished jobs, with their winners."""
    tasks = {}
    for job in jobs:
        column, cell = primary_column(job.cell), job.cell
        tasks[text(cell.task)] = {
            "metric": column.name if column else "",
            "better": column.better if column else "lower",
            "target": str(cell.task.target or ""),
            "budget": cell.budget,
            "unit": cell.unit,
        }
    device = str(placement.device)
    known = {**about, "tasks": tasks, "provenance": provenance(device)}
    trials = pd.concat([done[job.key] for job in jobs], ignore_index=True)
    best = winners(TuningRecord(trials, known))
    rows = best[["task", "label", "repetition", "trial", "algorithm"]]
    return TuningRecord(trials, {**known, "winners": rows.to_dict("records")})


# ---- the suite of the winners ----


def write_suites(
    suite: Suite, record: TuningRecord, folder: Path, tuning: Tuning
) -> list[Path]:
    """Write a suite.toml of the winners, and one more for each further repetition.

    Args:
        suite: the suite that was tuned.
        record: its record.
        folder: the folder of the record.
        tuning: how it was tuned.

    Returns:
        The files.
    """
    best = winners(record).to_dict("records")
    written: dict[Path, bytes] = {}
    for repetition in range(tuning.repetitions):
        found = {
            (row["task"], row["label"]): json.loads(row["hyperparameters"])
            for row in best
            if row["repetition"] == repetition
        }
        name = f"{suite.name}-tuned" + (f"-{repetition}" if repetition else "")
        title = (
            f"{suite.name}: winners of {tuning.trials} trials x {tuning.seeds} seeds"
        )
        head = {"name": name, "title": title, "tuned": RECORD}
        lines = [f"{key} = {_toml(value)}" for key, value in head.items()]
        for grid in suite.grids:
            lines += _grid_lines(grid, found, folder)
        suffix = f"_{repetition}" if repetition else ""
        written[folder / f"suite{suffix}.toml"] = "\n".join([*lines, ""]).encode()
    write_together(written)
    return list(written)


def _grid_lines(
    grid: Grid, found: Mapping[tuple[str, str], Hyperparameters], folder: Path
) -> list[str]:
    """Return the tables of a grid, one for each task, with its winners."""
    lines: list[str] = []
    # The budget takes the place of the steps.
    skipped = {"tasks", "algorithms", "metrics", "steps"}
    changed = [
        field
        for field in grid_fields()
        if field.name not in skipped and getattr(grid, field.name) != field.default
    ]
    for task in grid.tasks:
        cells = plan(Suite(name="one", grids=(replace(grid, tasks=(task,)),)))
        specs = [
            f"{cell.label} = "
            + text(
                cell.algorithm.with_hyperparameters(found[text(cell.task), cell.label]),
                lambda cls: _name_from(cls, folder),
            )
            for cell in cells
        ]
        lines += ["", "[[grid]]", f"tasks = {_toml([_moved(str(task), folder)])}"]
        lines += ["algorithms = [", *(f"    {_toml(spec)}," for spec in specs), "]"]
        if grid.metrics:
            moved = [_moved(str(metric), folder) for metric in grid.metrics]
            lines.append(f"metrics = {_toml(moved)}")
        lines += [f"{one.name} = {_toml(getattr(grid, one.name))}" for one in changed]
    return lines


def _name_from(cls: type, folder: Path) -> str:
    """Return the name of a class in a spec that is read in a folder."""
    if is_of_mmbench(cls):
        return name_of(cls)
    location, name = location_of(cls)
    if location.endswith(".py"):
        location = quote(os.path.relpath(location, folder.resolve()))
    return f"{location}:{name}"


def _moved(spec: str, folder: Path) -> str:
    """Return a spec whose paths of files are seen from a folder."""
    return replace_files(
        spec,
        lambda file: (
            file if Path(file).is_absolute() else os.path.relpath(file, folder)
        ),
    )


def _toml(value: Any) -> str:
    """Return a value of TOML, in which texts and numbers are written as in JSON."""
    return json.dumps(value, ensure_ascii=False)
