"""Tuning: what is planned, computed once, and written as a suite."""

import json
import sys
import time
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
from mmbench.runner.tuning import Job, Tuning, plan_tuning, tune, write_suites
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
            "got 10000 to 10003, and 10003 to 10006",
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


def test_the_same_call_goes_on_where_it_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute, calls = module.compute_job, 0

    def killed(job: Job, placement: Placement) -> pd.DataFrame:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return compute(job, placement)

    monkeypatch.setattr(module, "compute_job", killed)
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
    with pytest.raises(DescriptionError, match="2 of its methods have others"):
        tuned(tmp_path)


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
    first, second = write_suites(SUITE, record, tmp_path, tuning)
    best = winners(record)
    for repetition, file in enumerate((first, second)):
        suite = load_suite(file)
        expected = best[best["repetition"] == repetition]["algorithm"].tolist()
        cells = plan(suite)
        assert [text(cell.algorithm) for cell in cells] == expected
        assert [cell.label for cell in cells] == ["Adam", "EG", "curvature_eg"] * 2
        assert {cell.track for cell in cells} == {"tuned"}
        assert {(len(cell.seeds), cell.seeds[0]) for cell in cells} == {(4, 0)}
        assert {(cell.budget, cell.records) for cell in cells} == {(40, 4)}
        assert Path(suite.tuned).samefile(tmp_path / "tuning.parquet")
    assert load_suite(first).name == "mine-tuned"
    assert load_suite(second).name == "mine-tuned-1"
