"""Tuning: trials of every method on every task, and the suite of the winners.

All methods get the same independent random points, each a trial, and each run of a
trial spends the whole budget, so that as many trials cost all methods the same. Tasks
of a suite that differ in their instance alone are one family: it is tuned once, on
other instances.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from mmbench.core.code_files import is_of_mmbench
from mmbench.core.description import digest, field_types, name_of, text
from mmbench.core.errors import DescriptionError, unknown_name
from mmbench.core.files import write_together
from mmbench.core.placement import Placement
from mmbench.core.precision import check_precision
from mmbench.core.priors import MOST_HYPERPARAMETERS, values_at
from mmbench.core.serialization import from_json, location_of, to_json
from mmbench.core.spec import INSTANCE, name_of_family, quote, replace_files
from mmbench.core.status import Status
from mmbench.engine.cell import Cell
from mmbench.engine.expected_time import expected_seconds
from mmbench.engine.run_cell import width_of
from mmbench.engine.trials import Hyperparameters, Tried, run_trials
from mmbench.metrics.base import Column, Metric, TrajectoryMetric
from mmbench.runner.local_workers import count_workers
from mmbench.runner.plan import parse_labelled, plan
from mmbench.runner.provenance import provenance
from mmbench.runner.tuning_winners import winners
from mmbench.store.tuning_record import (
    RECORD,
    RecordFolder,
    TuningRecord,
    read_record,
)
from mmbench.suites.base import Grid, Suite, grid_fields
from mmbench.tasks import TASKS
from mmbench.tasks.base import Task

POLL_SECONDS = 0.5  # between two looks of a worker for its parent
SUITE = "suite.toml"  # of the winners, beside their record
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

    @property
    def last_seed(self) -> int:
        """The greatest tuning seed."""
        return self.first_seed + self.repetitions * self.seeds - 1

    def points(self, repetition: int) -> np.ndarray:
        """Return the points of a repetition in the unit cube, shape (trials, 4).

        The first points are the same however many there are.
        """
        random = np.random.Generator(np.random.PCG64([self.seed, repetition]))
        return random.random((self.trials, MOST_HYPERPARAMETERS))


class Job(NamedTuple):
    """The trials of one method on one task, in one repetition.

    Args:
        task: name of the task, or of a family.
        cells: the runs of a trial, with its tuning seeds and the metrics of its score:
            one cell, or one for each tuning instance of a family.
        repetition: number of the repetition, from 0.
        trials: hyperparameters of each trial.
    """

    task: str
    cells: tuple[Cell, ...]
    repetition: int
    trials: tuple[Hyperparameters, ...]

    @property
    def cell(self) -> Cell:
        """The first cell."""
        return self.cells[0]

    @property
    def key(self) -> str:
        """The key of what is computed, of which the repetition's number is no part.

        Nor are values of what is tuned that the method has before.
        """
        trials = tuple(map(_to_json, self.trials))
        cells = tuple(_with_trial(cell, self.trials[0]) for cell in self.cells)
        return digest((cells if len(cells) > 1 else cells[0], trials))

    @property
    def runs(self) -> int:
        """The number of its runs."""
        return len(self.trials) * sum(len(cell.seeds) for cell in self.cells)


def _with_trial(cell: Cell, trial: Hyperparameters) -> Cell:
    return replace(cell, algorithm=cell.algorithm.with_hyperparameters(trial))


# ---- what is computed ----


def plan_tuning(suite: Suite, tuning: Tuning) -> list[Job]:
    """Return the jobs of a suite, repetition by repetition.

    Raises:
        DescriptionError: when a grid has no budget, continues another, or has seeds
            that are tuning seeds, or a family instances that are tuning instances or
            fewer of them than there are repetitions.
    """
    _check_grids(suite, tuning)
    cells = plan(suite)
    names = _families([cell.task for cell in cells])
    _check_instances(names, tuning)
    _check_dealing(cells, names, tuning.repetitions)
    jobs: dict[str, Job] = {}
    for repetition in range(tuning.repetitions):
        points, seeds = tuning.points(repetition), tuning.seeds_of(repetition)
        for cell in cells:
            space = cell.algorithm.search_space
            # A method with nothing to tune has one trial: itself.
            tried = points if space else points[:1]
            one = replace(
                cell, seeds=seeds, metrics=_scoring_metrics(cell), keep="none"
            )
            job = Job(
                names.get(cell.task, text(cell.task)),
                _tuning_instances(one) if cell.task in names else (one,),
                repetition,
                tuple(values_at(space, point) for point in tried),
            )
            jobs.setdefault(job.key, job)
    return list(jobs.values())


def _families(tasks: Sequence[Task]) -> dict[Task, str]:
    """Return the tasks of which there are several instances, with their family's name.

    It is the name of the task with the default instance.
    """
    found: dict[Task, set[Task]] = {}
    for task in tasks:
        if INSTANCE in field_types(type(task)):
            found.setdefault(_instance(task, 0), set()).add(task)
    return {
        task: name_of_family(text(task))
        for instances in found.values()
        if len(instances) > 1
        for task in instances
    }


def _instance(task: Task, number: int) -> Task:
    return replace(task, **{INSTANCE: number})


def _tuning_instances(cell: Cell) -> tuple[Cell, ...]:
    """Return a cell for each tuning seed, on the instance of the same number."""
    return tuple(
        replace(cell, task=_instance(cell.task, seed), seeds=(seed,))
        for seed in cell.seeds
    )


def _check_instances(families: Mapping[Task, str], tuning: Tuning) -> None:
    first, last = tuning.first_seed, tuning.last_seed
    for task in families:
        if first <= vars(task)[INSTANCE] <= last:
            raise DescriptionError(
                "Tuning instances, which have the numbers of the tuning seeds, must "
                f"not be those on which methods are compared; got {first} to {last}, "
                f"and {task}."
            )


def _check_dealing(
    cells: Sequence[Cell], families: Mapping[Task, str], repetitions: int
) -> None:
    """Check that the winners of each repetition are compared on some instance."""
    dealt: dict[tuple[str, str], set[int]] = {}
    for cell in cells:
        if cell.task in families:
            place = _place_in_family(cell.task, families)
            found = dealt.setdefault((families[cell.task], cell.label), set())
            found.add(place % repetitions)
    for (family, label), found in dealt.items():
        if len(found) < repetitions:
            raise DescriptionError(
                "The instances of a family, which are dealt out to the repetitions of "
                "a tuning, must be enough for each to have one; those of "
                f"{family} with {label} are enough for {len(found)} of {repetitions}."
            )


def _check_grids(suite: Suite, tuning: Tuning) -> None:
    first, last = tuning.first_seed, tuning.last_seed
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
        compared = grid.first_seed + tuning.repetitions * grid.seeds - 1
        if first <= compared and grid.first_seed <= last:
            raise DescriptionError(
                "Tuning seeds must not be those by which methods are compared; got "
                f"{first} to {last}, and {grid.first_seed} to {compared}."
            )


def untuned(suite: Suite) -> Suite:
    """Return a suite of winners as it was before, with one grid for all repetitions.

    Its methods have the hyperparameters of a winner, which tuning replaces.
    """
    grids: dict[Grid, Grid] = {}
    for grid in suite.grids:
        first = grid.first_seed - grid.repetition * grid.seeds
        one = replace(grid, repetition=0, first_seed=first)
        labels = tuple(parse_labelled(given)[0] for given in grid.algorithms)
        grids.setdefault(replace(one, algorithms=labels), one)
    return replace(suite, grids=tuple(grids.values()))


def part_of(suite: Suite, names: Sequence[str]) -> Suite:
    """Return the part of a suite that has some of its tasks.

    Args:
        suite: the suite.
        names: specs of tasks, or names of families; none for all.

    Raises:
        DescriptionError: when the suite has no such task.
    """
    if not names:
        return suite
    known: dict[str, None] = {}
    grids = []
    tasks = [[TASKS.coerce(one) for one in grid.tasks] for grid in suite.grids]
    families = _families([task for some in tasks for task in some])
    wanted = {text(TASKS.coerce(name)) for name in names}
    for grid, some in zip(suite.grids, tasks, strict=True):
        kept = []
        for given, task in zip(grid.tasks, some, strict=True):
            name = families.get(task, text(task))
            known[name] = None
            if name in wanted:
                kept.append(given)
        if kept:
            grids.append(replace(grid, tasks=tuple(kept)))
    for name in wanted:
        if name not in known:
            raise unknown_name(f"task of {suite.name}", name, list(known))
    return replace(suite, grids=tuple(grids))


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


def compute_jobs(jobs: Sequence[Job], placement: Placement) -> list[pd.DataFrame]:
    """Compute the trials of jobs side by side.

    Args:
        jobs: one job, or several whose cells differ in their seeds alone.
        placement: where games are built.

    Returns:
        For each job, rows as a record has them.
    """
    if len(jobs) > 1:
        tried = [Tried(job.cell, job.trials) for job in jobs]
        return list(map(_rows, jobs, run_trials(tried, placement)))
    (job,) = jobs
    parts = [run_trials([Tried(one, job.trials)], placement)[0] for one in job.cells]
    return [_rows(job, pd.concat(parts, ignore_index=True))]


def _rows(job: Job, ends: pd.DataFrame) -> pd.DataFrame:
    cell, column = job.cell, primary_column(job.cell)
    ends = ends.sort_values(["trial", "seed"], ignore_index=True)
    methods = [cell.algorithm.with_hyperparameters(trial) for trial in job.trials]
    specs, values = list(map(text, methods)), list(map(_to_json, job.trials))
    has_reached = ends["status"] == Status.CONVERGED
    return pd.DataFrame(
        {
            "task": job.task,
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
    if folder.record.exists() and set(done) - keys:
        raise DescriptionError(_other_record(folder, keys))
    waiting = [job for job in jobs if job.key not in done]
    cells = [cell for job in waiting for cell in job.cells]
    for cell in {cell.task: cell for cell in cells}.values():
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


def _other_record(folder: RecordFolder, keys: Collection[str]) -> str:
    """Say what a record has that is not asked for, and how to ask for it."""
    record = read_record(folder.record)
    rows = record.trials[~record.trials["key"].isin(keys)]
    pairs = rows[["label", "task"]].drop_duplicates().itertuples(index=False)
    names = [f"{label} on {task}" for label, task in pairs]
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    command = record.about.get("command", "")
    how = f"Ask for all that it has ({command}) and more" if command else "Do so"
    return (
        f"All trials of the record in {folder.folder} must be among those asked for, "
        f"so that none is lost; it has others of {names[0]}{more}. {how}, or choose "
        "another --out."
    )


def _computed(
    jobs: Sequence[Job], placement: Placement, processes: int
) -> Iterator[tuple[Job, pd.DataFrame]]:
    """Yield each job with its trials, in any order; the longest begin first."""
    batches = _batches(jobs, placement)
    cells = [_cell_of(batch) for batch in batches]
    count = count_workers(cells, placement, processes)
    if count == 1:
        for batch in batches:
            yield from zip(batch, compute_jobs(batch, placement), strict=True)
        return
    seconds = [expected_seconds(cell, width_of(cell, placement)) for cell in cells]
    by_key = {job.key: job for job in jobs}
    parallel = Parallel(count, return_as="generator_unordered")
    for found in parallel(
        delayed(_compute_elsewhere)(
            [
                (job.task, list(map(to_json, job.cells)), job.repetition, job.trials)
                for job in batches[at]
            ],
            placement,
        )
        for at in np.argsort(seconds, kind="stable")[::-1]
    ):
        yield from ((by_key[trials["key"].iloc[0]], trials) for trials in found)


def _batches(jobs: Sequence[Job], placement: Placement) -> list[list[Job]]:
    """Return the jobs that are computed side by side, so far as there is width for.

    They are of repetitions of one method on one task.
    """
    batches: list[list[Job]] = []
    latest: dict[Cell, list[Job]] = {}
    for job in jobs:
        alike = replace(job.cell, seeds=(0,))
        batch = latest.get(alike, [])
        runs = sum(one.runs for one in (*batch, job))
        if len(job.cells) > 1 or not batch or runs > width_of(job.cell, placement):
            batch = []
            batches.append(batch)
        if len(job.cells) == 1:
            latest[alike] = batch
        batch.append(job)
    return batches


def _cell_of(batch: Sequence[Job]) -> Cell:
    """Return a cell with as many runs as a batch, which takes about as long."""
    return replace(batch[0].cell, seeds=tuple(range(sum(job.runs for job in batch))))


def _compute_elsewhere(
    jobs: Sequence[tuple[str, Sequence[str], int, tuple[Hyperparameters, ...]]],
    placement: Placement,
) -> list[pd.DataFrame]:
    """Compute jobs in a worker process, which gets their cells as JSON."""
    _end_with_parent()
    batch = [
        Job(task, tuple(map(from_json, cells)), repetition, trials)
        for task, cells, repetition, trials in jobs
    ]
    return compute_jobs(batch, placement)


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
        tasks[job.task] = {
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


def write_suite(
    suite: Suite, record: TuningRecord, folder: Path, tuning: Tuning
) -> Path:
    """Write a suite.toml of the winners of all repetitions.

    The winners of a repetition are compared on seeds of their own, and on instances of
    their own, which are dealt out in turn in the order of their numbers.

    Args:
        suite: the suite that was tuned.
        record: its record.
        folder: the folder of the record.
        tuning: how it was tuned.

    Returns:
        The file.
    """
    found = {
        (row["task"], row["label"], row["repetition"]): row["hyperparameters"]
        for row in winners(record).to_dict("records")
    }
    head = {"name": suite.name, "title": suite.title, "tuned": RECORD}
    if not suite.tuned:  # winners may be tuned again
        times = f", {tuning.repetitions} times" if tuning.repetitions > 1 else ""
        head["name"] = f"{suite.name}-tuned"
        head["title"] = (
            f"{suite.name}: winners of {tuning.trials} trials x {tuning.seeds} seeds"
            f"{times}"
        )
    lines = [f"{key} = {_toml(value)}" for key, value in head.items()]
    tasks = [[TASKS.coerce(one) for one in grid.tasks] for grid in suite.grids]
    families = _families([task for some in tasks for task in some])
    for repetition in range(tuning.repetitions):
        for grid, some in zip(suite.grids, tasks, strict=True):
            for given, task in zip(grid.tasks, some, strict=True):
                family = families.get(task)
                if family:
                    place = _place_in_family(task, families)
                    if place % tuning.repetitions != repetition:
                        continue
                first = grid.first_seed + repetition * grid.seeds
                one = replace(
                    grid, tasks=(given,), first_seed=first, repetition=repetition
                )
                lines += _grid_lines(one, family or text(task), found, folder)
    file = folder / SUITE
    write_together({file: "\n".join([*lines, ""]).encode()})
    return file


def _place_in_family(task: Task, families: Mapping[Task, str]) -> int:
    """Return the place of an instance among those of its family, from 0."""
    others = [one for one, name in families.items() if name == families[task]]
    numbers = sorted(vars(one)[INSTANCE] for one in others)
    return numbers.index(vars(task)[INSTANCE])


def _grid_lines(
    grid: Grid,
    task: str,
    found: Mapping[tuple[str, str, int], str],
    folder: Path,
) -> list[str]:
    """Return the table of a grid of one task, with its winners.

    Args:
        grid: the grid.
        task: name of the task or of its family in the record.
        found: winners as JSON by task, label and repetition.
        folder: where the suite is written.
    """
    # The budget takes the place of the steps.
    skipped = {"tasks", "algorithms", "metrics", "steps"}
    changed = [
        field
        for field in grid_fields()
        if field.name not in skipped and getattr(grid, field.name) != field.default
    ]
    specs = []
    for given in grid.algorithms:
        label, algorithm = parse_labelled(given)
        best = json.loads(found[task, label, grid.repetition])
        spec = text(
            algorithm.with_hyperparameters(best), lambda cls: _name_from(cls, folder)
        )
        specs.append(f"{label} = {spec}")
    lines = ["", "[[grid]]", f"tasks = {_toml([_moved(str(grid.tasks[0]), folder)])}"]
    lines += ["algorithms = [", *(f"    {_toml(spec)}," for spec in specs), "]"]
    if grid.metrics:
        moved = [_moved(str(metric), folder) for metric in grid.metrics]
        lines.append(f"metrics = {_toml(moved)}")
    return lines + [f"{one.name} = {_toml(getattr(grid, one.name))}" for one in changed]


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
