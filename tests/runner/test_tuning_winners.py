"""Scores of trials, from rows that are made by hand."""

import numpy as np
import pandas as pd
import pytest

from mmbench.runner.tuning_winners import trial_scores, winners
from mmbench.store.tuning_record import TuningRecord

NAN, INF = float("nan"), float("inf")

# Of each trial: cost to the target, status and value of its three seeds.
Runs = list[tuple[float, str, float]]


def record(*trials: Runs, better: str = "lower", repetition: int = 0) -> TuningRecord:
    """Return a record of one method on one task."""
    rows = [
        {
            "task": "t",
            "label": "m",
            "repetition": repetition,
            "trial": number,
            "algorithm": f"m[k={number}]",
            "hyperparameters": "{}",
            "seed": seed,
            "status": status,
            "cost_to_target": cost,
            "value": value,
        }
        for number, runs in enumerate(trials)
        for seed, (cost, status, value) in enumerate(runs)
    ]
    return TuningRecord(pd.DataFrame(rows), {"tasks": {"t": {"better": better}}})


def hit(cost: float, value: float = 0.0) -> tuple[float, str, float]:
    """Return a run that reached the target."""
    return cost, "converged", value


def missed(value: float, status: str = "finished") -> tuple[float, str, float]:
    """Return a run that did not."""
    return NAN, status, value


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        # A greater share that reached the target, whatever its cost and its values.
        ([hit(90, 3), hit(90, 3)], [hit(10), missed(0)]),
        # Then a lower median cost; a seed that missed counts as infinite.
        ([hit(10, 3), hit(30, 3)], [hit(20), hit(40)]),
        ([hit(10), hit(20), missed(9)], [hit(10), hit(30), missed(0)]),
        # Then the median of the metric, where a run that died is worst.
        ([missed(0.2), missed(0.3)], [missed(0.1), missed(0.5)]),
        ([missed(7), missed(8), missed(9)], [missed(0), *[missed(0, "diverged")] * 2]),
        ([missed(7), missed(8), missed(9)], [missed(0), missed(NAN), missed(NAN)]),
        # Then the number of the trial.
        ([missed(0.2)], [missed(0.2)]),
        ([missed(0, "nonfinite")], [missed(1, "diverged")]),
    ],
)
def test_the_better_trial_wins(better: Runs, worse: Runs) -> None:
    assert winners(record(better, worse))["trial"].tolist() == [0]
    is_tied = trial_scores(record(better, worse).trials, {"t": "lower"})
    scores = is_tied[["reached", "cost_to_target", "value"]]
    if not scores.iloc[0].equals(scores.iloc[1].rename(0)):
        assert winners(record(worse, better))["trial"].tolist() == [1]


def test_higher_values_may_be_better() -> None:
    low, high = [missed(0.2)], [missed(0.9)]
    assert winners(record(low, high))["trial"].tolist() == [0]
    assert winners(record(low, high, better="higher"))["trial"].tolist() == [1]
    dead = [missed(5.0, "diverged")]
    assert winners(record(dead, low, better="higher"))["trial"].tolist() == [1]


def test_scores_have_their_numbers() -> None:
    found = trial_scores(
        record([hit(10, 1), hit(30, 2)], [hit(8, 4), missed(6)]).trials,
        {"t": "lower"},
    )
    assert found["reached"].tolist() == [1, 0.5]
    assert found["cost_to_target"].tolist() == [20, INF]
    assert found["value"].tolist() == [1.5, 5]
    assert found["place"].tolist() == [1, 2]


def test_a_task_without_a_metric_is_judged_by_its_target() -> None:
    rows = record([missed(NAN)], [hit(5, NAN)]).trials
    assert trial_scores(rows, {"t": "lower"})["place"].tolist() == [2, 1]


def test_every_repetition_has_its_winner() -> None:
    first = record([missed(1)], [missed(0)])
    second = record([missed(0)], [missed(1)], repetition=1)
    both = TuningRecord(pd.concat([first.trials, second.trials]), first.about)
    found = winners(both)
    assert found["repetition"].tolist() == [0, 1]
    assert found["trial"].tolist() == [1, 0]
    assert np.isfinite(found["value"]).all()
