"""Scores of trials and tuning curves, against what is computed by hand."""

import json

import numpy as np
import pandas as pd
import pytest
from opda.nonparametric import EmpiricalDistribution

from mmbench.analysis.tuning_curves import scored_trials, tuning_curve
from mmbench.store.tuning_record import TuningRecord

NAN = float("nan")


def record(rows: list[tuple[str, int, int, str, float, float]]) -> TuningRecord:
    """Return a record of rows of task, trial, seed, status, cost to target, value."""
    names = ["task", "trial", "seed", "status", "cost_to_target", "value"]
    trials = pd.DataFrame(rows, columns=names).assign(
        label="m", repetition=0, algorithm="m"
    )
    sizes = [
        {"step_size_x": 0.1 + trial, "step_size_y": 2.0} for trial in trials["trial"]
    ]
    trials["hyperparameters"] = list(map(json.dumps, sizes))
    facts = {"better": "higher", "budget": 100}
    tasks = dict.fromkeys(trials["task"], facts)
    return TuningRecord(trials, {"tasks": tasks})


def test_a_score_is_the_budget_that_is_left() -> None:
    found = scored_trials(
        record(
            [
                ("t", 0, 1, "converged", 20, 1),
                ("t", 0, 2, "finished", NAN, 1),
                ("t", 1, 1, "diverged", NAN, 1),
                ("t", 1, 2, "converged", 101, 1),  # overspent by a part of a step
            ]
        )
    )
    assert found["score"].tolist() == [0.4, 0]
    assert found["died"].tolist() == [0, 0.5]
    assert set(found["meaning"]) == {"budget left"}
    assert found["step_size_x"].tolist() == [0.1, 1.1]


def test_where_none_reached_the_target_a_score_is_a_rank() -> None:
    values = (3.0, 9.0, 3.0, NAN)
    rows = [("t", trial, 1, "finished", NAN, at) for trial, at in enumerate(values)]
    found = scored_trials(record(rows))
    assert found["score"].tolist() == [0.5, 0.875, 0.5, 0.125]
    assert set(found["meaning"]) == {"rank"}


def test_a_curve_is_the_mean_of_the_best_of_random_draws() -> None:
    random = np.random.default_rng(3)
    scores = np.round(random.random(12), 1)  # with ties
    curve = tuning_curve(scores, 5)
    assert curve["trials"].tolist() == [1, 2, 3, 4, 5]
    best = [
        random.choice(scores, (200_000, count)).max(1).mean() for count in range(1, 6)
    ]
    assert curve["expected"].tolist() == pytest.approx(best, abs=0.005)
    assert curve.equals(tuning_curve(scores, 5))
    for name in ("low", "expected", "high"):
        assert curve[name].between(0, 1).all()
        assert (curve[name].diff().dropna() >= 0).all()


@pytest.mark.filterwarnings("ignore:Duplicates detected")
@pytest.mark.parametrize("digits", [1, 9])
def test_a_band_is_that_of_opda(digits: int) -> None:
    """It is computed once for each number of scores, and moved to them."""
    scores = np.round(np.random.default_rng(4).random(15), digits)
    bands = EmpiricalDistribution.confidence_bands(
        scores,
        0.95,
        a=0.0,
        b=1.0,
        method="ld_equal_tailed",
        generator=np.random.default_rng(0),
        n_jobs=1,
    )
    curve = tuning_curve(scores, 15)
    for name, one in zip(("high", "expected", "low"), bands, strict=True):
        known = one.average_tuning_curve(np.arange(1, 16))
        assert curve[name].tolist() == pytest.approx(known, rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("shares", [[1.0], [0.8, 0.1, 0.05, 0.05]])
def test_a_band_covers_the_whole_curve(shares: list[float]) -> None:
    """In 95 % of records, and more often where scores are equal."""
    values = np.linspace(0, 1, len(shares) if len(shares) > 1 else 500)
    if len(shares) == 1:
        shares = [1 / 500] * 500
    below = np.cumsum(shares)
    counts = np.arange(1, 9)[:, None]
    truth = (values * (below**counts - (below - shares) ** counts)).sum(1)
    random, covered = np.random.default_rng(0), 0
    for _ in range(200):
        curve = tuning_curve(random.choice(values, 8, p=shares), 8)
        inside = (curve["low"] - 1e-9 <= truth) & (truth <= curve["high"] + 1e-9)
        covered += bool(inside.all())
    assert covered >= 181  # of 95 %, 99.9 % of samples have as many
