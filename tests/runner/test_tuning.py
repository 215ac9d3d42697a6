"""Tuning: what is planned, computed once, and written as a suite."""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from subprocess import DEVNULL

import numpy as np
import pandas as pd
import psutil
import pytest

from mmbench.core.description import text
from mmbench.core.errors import DescriptionError
from mmbench.core.placement import Placement
from mmbench.core.priors import values_at
from mmbench.engine.run_cell import run_cell
from mmbench.runner import tuning as module
from mmbench.runner.plan import plan
from mmbench.runner.tuning import (
    Job,
    Tuning,
    part_of,
    plan_tuning,
    tune,
    untuned,
    write_suite,
)
from mmbench.runner.tuning_winners import winners
from mmbench.store.tuning_record import RecordFolder, read_record
from mmbench.suites.base import Grid, Suite
from mmbench.suites.toml import load_suite

FEW = Tuning(trials=3, seeds=2)
GRID = Grid(
    tasks=("bilinear", "dirac_gan"),
    algorithms=("Adam = gda[direction=adam]", "EG = extragradient", "curvature_eg"),
    seeds=4,
    budget=40,
    records=4,
)
SUITE = Suite(name="mine", title="Mine", grids=(GRID,))


def tuned(
    folder: Path, suite: Suite = SUITE, tuning: Tuning = FEW, processes: int = 1
) -> list[Job]:
    """Tune a suite into a folder; return the jobs that were computed."""
    computed: list[Job] = []
    jobs = plan_tuning(suite, tuning)
    tune(
        jobs,
        RecordFolder(folder),
        {"seed": tuning.seed},
        processes=processes,
        on_done=lambda job, _: computed.append(job),
    )
    return computed


def test_all_methods_have_the_same_points() -> None:
    jobs = plan_tuning(SUITE, FEW)
    points = FEW.points(0)
    assert points.shape == (3, 4)
    assert len(jobs) == 6
    for job in jobs:
        space = job.cell.algorithm.search_space
        count = 3 if space else 1  # one trial of what has nothing to tune
        expected = tuple(values_at(space, point) for point in points[:count])
        assert job.trials == expected
        assert job.cell.seeds == (10_000, 10_001)


def test_points_are_independent_and_stay_when_there_are_more() -> None:
    many = Tuning(trials=2000)
    points = many.points(0)
    assert np.array_equal(points[:3], FEW.points(0))
    assert (points >= 0).all()
    assert (points < 1).all()
    assert np.abs(np.corrcoef(points.T) - np.eye(4)).max() < 0.1
    for other in (many.points(1), many._replace(seed=1).points(0)):
        assert np.abs(np.corrcoef(points[:, 0], other[:, 0])[0, 1]) < 0.1


def test_repetitions_have_points_and_seeds_of_their_own() -> None:
    jobs = plan_tuning(SUITE, FEW._replace(repetitions=3))
    assert len({job.key for job in jobs}) == 18
    seeds = {job.repetition: job.cell.seeds for job in jobs}
    assert seeds == {0: (10_000, 10_001), 1: (10_002, 10_003), 2: (10_004, 10_005)}
    assert len({job.trials for job in map(_hashable, jobs)}) == 3 * 2 + 1


def _hashable(job: Job) -> Job:
    return job._replace(trials=tuple(tuple(one.items()) for one in job.trials))


def test_only_metrics_of_the_score_are_measured() -> None:
    (job, *_) = plan_tuning(SUITE, FEW)
    assert list(map(text, job.cell.metrics)) == ["distance"]
    assert len(plan(SUITE)[0].metrics) > 1


@pytest.mark.parametrize(
    ("grid", "tuning", "message"),
    [
        (replace(GRID, budget=0), FEW, "must be tuned at a budget"),
        (GRID, FEW._replace(first_seed=3), r"got 3 to 4, and 0 to 3\."),
        (
            replace(GRID, first_seed=10_003),
            FEW._replace(repetitions=2),
            "got 10000 to 10003, and 10003 to 10010",
        ),
        (replace(GRID, after="x"), FEW, "must start where its task says"),
    ],
)
def test_what_cannot_be_tuned_is_refused(
    grid: Grid, tuning: Tuning, message: str
) -> None:
    with pytest.raises(DescriptionError, match=message):
        plan_tuning(replace(SUITE, grids=(grid,)), tuning)


def test_a_record_has_a_row_for_each_run(tmp_path: Path) -> None:
    tuned(tmp_path)
    trials, about = read_record(tmp_path)
    assert len(trials) == 2 * (2 * 3 + 1) * 2
    assert about["seed"] == 0
    assert about["provenance"]["mmbench"]
    facts = {"metric": "distance", "better": "lower", "target": "distance ≤ 0.001"}
    facts |= {"budget": 40, "unit": "gradient-equivalents"}
    assert about["tasks"]["bilinear"] == facts
    assert len(about["winners"]) == 6
    assert (trials["cost"] >= 40).all()
    row = trials.iloc[-3]  # EG on dirac_gan, its last trial's second seed
    job = plan_tuning(SUITE, FEW)[4]
    assert (row["label"], row["trial"], row["seed"]) == ("EG", 2, 10_001)
    method = job.cell.algorithm.with_hyperparameters(json.loads(row["hyperparameters"]))
    assert row["algorithm"] == text(method)
    alone = run_cell(replace(job.cell, algorithm=method), Placement())
    assert row["value"] == pytest.approx(alone.columns["distance"][-1, 1], rel=1e-6)


def test_repetitions_are_computed_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as there is width for; each has the trials that it has by itself."""
    tuning = FEW._replace(repetitions=3)
    tuned(tmp_path / "together", tuning=tuning)
    compute, sizes = module.compute_jobs, []

    def counted(jobs: Sequence[Job], placement: Placement) -> list[pd.DataFrame]:
        sizes.append(len(jobs))
        return compute(jobs, placement)

    monkeypatch.setattr(module, "compute_jobs", counted)
    placement = Placement(width=12)
    jobs = plan_tuning(SUITE, tuning)
    tune(jobs, RecordFolder(tmp_path / "by_width"), {}, placement, 1)
    # Two repetitions of three trials of two seeds, or all three of a single trial.
    assert sorted(sizes) == sorted([2, 1, 2, 1, 3] * 2)
    sizes.clear()
    tune(jobs, RecordFolder(tmp_path / "alone"), {}, Placement(width=6), 1)
    assert sorted(sizes) == sorted([*[1] * 6, 3] * 2)
    found = [
        read_record(tmp_path / name).trials
        for name in ("together", "by_width", "alone")
    ]
    pd.testing.assert_frame_equal(found[0], found[1])
    pd.testing.assert_frame_equal(found[0], found[2])


def test_the_same_call_goes_on_where_it_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute, calls = module.compute_jobs, 0

    def killed(jobs: Sequence[Job], placement: Placement) -> list[pd.DataFrame]:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return compute(jobs, placement)

    monkeypatch.setattr(module, "compute_jobs", killed)
    with pytest.raises(KeyboardInterrupt):
        tuned(tmp_path / "killed")
    assert len(tuned(tmp_path / "killed")) == 3
    assert tuned(tmp_path / "killed") == []
    tuned(tmp_path / "at_once")
    both = [read_record(tmp_path / name) for name in ("killed", "at_once")]
    pd.testing.assert_frame_equal(both[0].trials, both[1].trials, check_exact=True)
    assert both[0].about == both[1].about


def test_more_methods_are_added_to_a_record(tmp_path: Path) -> None:
    tuned(tmp_path)
    more = replace(GRID, algorithms=(*GRID.algorithms, "omd"))
    computed = tuned(tmp_path, replace(SUITE, grids=(more,)))
    assert [job.cell.label for job in computed] == ["omd", "omd"]
    with pytest.raises(DescriptionError) as raised:
        tuned(tmp_path)
    assert str(raised.value) == (
        f"All trials of the record in {tmp_path} must be among those asked for, so "
        "that none is lost; it has others of omd on bilinear and 1 more. Do so, or "
        "choose another --out."
    )


@pytest.mark.slow
def test_workers_give_the_same_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "count_workers", lambda *_: 2)
    tuned(tmp_path / "two", processes=2)
    monkeypatch.undo()
    tuned(tmp_path / "one")
    both = [read_record(tmp_path / name).trials for name in ("one", "two")]
    pd.testing.assert_frame_equal(*both, check_exact=True)


@pytest.mark.slow
def test_no_worker_outlives_its_parent(tmp_path: Path) -> None:
    words = "-t four_gaussians[hidden=4,noise=2,batch=8] -a gda -a omd --budget 20000"
    command = [sys.executable, "-m", "mmbench", "tune", *words.split()]
    command += ["--workers", "2", "--out", str(tmp_path)]
    process = psutil.Popen(command, stdout=DEVNULL, stderr=DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while (
            sum(one.cpu_times().user for one in process.children()) < 8
            and time.monotonic() < deadline
        ):
            time.sleep(0.2)
        workers = [
            one for one in process.children() if "popen_loky" in str(one.cmdline())
        ]
    finally:
        process.kill()
        process.wait()
    assert len(workers) == 2
    _, alive = psutil.wait_procs(workers, timeout=10)
    for one in alive:
        one.kill()
    assert alive == []


def test_a_suite_has_the_winners_of_each_repetition(tmp_path: Path) -> None:
    tuning = FEW._replace(repetitions=2)
    tuned(tmp_path, tuning=tuning)
    record = read_record(tmp_path)
    suite = load_suite(write_suite(SUITE, record, tmp_path, tuning))
    cells, best = plan(suite), winners(record)
    for repetition in range(2):
        expected = best[best["repetition"] == repetition]["algorithm"].tolist()
        some = [cell for cell in cells if cell.repetition == repetition]
        assert [text(cell.algorithm) for cell in some] == expected
        assert [cell.label for cell in some] == ["Adam", "EG", "curvature_eg"] * 2
        first = 4 * repetition
        assert {cell.seeds for cell in some} == {tuple(range(first, first + 4))}
    assert {cell.track for cell in cells} == {"tuned"}
    assert {(cell.budget, cell.records) for cell in cells} == {(40, 4)}
    assert Path(suite.tuned).samefile(tmp_path / "tuning.parquet")
    assert suite.name == "mine-tuned"
    assert suite.title == "mine: winners of 3 trials x 2 seeds, 2 times"


FAMILY = tuple(f"random_quadratic[dim=2,instance={one}]" for one in (7, 8, 9))
INSTANCES = Suite(name="family", grids=(replace(GRID, tasks=(*FAMILY, "bilinear")),))


def test_a_family_is_tuned_once_on_other_instances(tmp_path: Path) -> None:
    tuning = FEW._replace(repetitions=2)
    jobs = plan_tuning(INSTANCES, tuning)
    assert [job.task for job in jobs[::3]] == [
        "random_quadratic[dim=2]",
        "bilinear",
    ] * 2
    found = [[(str(one.task), one.seeds) for one in job.cells] for job in jobs[::3]]
    name = "random_quadratic[dim=2,instance={}]"
    assert found[0] == [(name.format(one), (one,)) for one in (10_000, 10_001)]
    assert found[1] == [("bilinear", (10_000, 10_001))]
    assert found[2] == [(name.format(one), (one,)) for one in (10_002, 10_003)]
    tuned(tmp_path, INSTANCES, tuning)
    record = read_record(tmp_path)
    rows = record.trials[record.trials["task"] == "random_quadratic[dim=2]"]
    assert len(rows) == 2 * (2 * 3 + 1) * 2
    # A row is a run on the instance of its seed.
    row = rows.iloc[3]
    assert (row["label"], row["trial"], row["seed"]) == ("Adam", 1, 10_001)
    job = jobs[0]
    method = job.cell.algorithm.with_hyperparameters(job.trials[1])
    alone = run_cell(replace(job.cells[1], algorithm=method), Placement())
    assert row["value"] == pytest.approx(alone.columns["distance"][-1, 0], rel=1e-6)
    # The repetitions are compared on instances of their own.
    cells = plan(load_suite(write_suite(INSTANCES, record, tmp_path, tuning)))
    pairs = {(str(cell.task), cell.repetition, cell.seeds[0]) for cell in cells}
    assert pairs == {
        (FAMILY[0], 0, 0),
        (FAMILY[1], 1, 4),
        (FAMILY[2], 0, 0),
        ("bilinear", 0, 0),
        ("bilinear", 1, 4),
    }
    best = winners(record)
    best = best[(best["label"] == "EG") & (best["repetition"] == 0)]
    expected = best.set_index("task")["algorithm"]["random_quadratic[dim=2]"]
    assert {
        text(cell.algorithm)
        for cell in cells
        if cell.label == "EG" and cell.repetition == 0 and str(cell.task) in FAMILY
    } == {expected}


def test_instances_that_are_compared_are_not_tuned_on() -> None:
    with pytest.raises(DescriptionError, match="got 8 to 9, and random_quadratic"):
        plan_tuning(
            replace(
                INSTANCES,
                grids=(replace(INSTANCES.grids[0], tasks=FAMILY),),
            ),
            FEW._replace(first_seed=8),
        )


def test_each_repetition_needs_an_instance() -> None:
    assert plan_tuning(INSTANCES, FEW._replace(repetitions=3))
    with pytest.raises(DescriptionError, match="with Adam are enough for 3 of 4"):
        plan_tuning(INSTANCES, FEW._replace(repetitions=4))


def test_a_suite_of_winners_is_tuned_again_as_it_was(tmp_path: Path) -> None:
    tuning = FEW._replace(repetitions=2)
    tuned(tmp_path, INSTANCES, tuning)
    record = read_record(tmp_path)
    file = write_suite(INSTANCES, record, tmp_path, tuning)
    again = untuned(load_suite(file))
    assert {grid.first_seed for grid in again.grids} == {0}
    keys = [{job.key for job in plan_tuning(one, tuning)} for one in (INSTANCES, again)]
    assert keys[0] == keys[1]
    before = {cell.key: cell for cell in plan(load_suite(file))}
    write_suite(again, record, tmp_path, tuning)
    assert {cell.key: cell for cell in plan(load_suite(file))} == before
    assert load_suite(file).name == "family-tuned"


def test_a_part_of_a_suite_can_be_tuned() -> None:
    part = part_of(INSTANCES, ["random_quadratic[dim=2]"])
    assert [grid.tasks for grid in part.grids] == [FAMILY]
    assert part_of(INSTANCES, []) == INSTANCES
    with pytest.raises(DescriptionError, match="dirac_gan"):
        part_of(INSTANCES, ["dirac_gan"])
