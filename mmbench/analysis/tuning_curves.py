"""Scores of trials from 0 to 1, and the best that so many are expected to have.

The points of random search are independent, so that the distribution of a trial's score
has a confidence band, and with it the expected best of any number of trials, for all
numbers together (Lourie, Cho and He 2024, whose package `opda` computes it).
"""

import json
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from opda.nonparametric import EmpiricalDistribution

from mmbench.core.status import Status
from mmbench.runner.tuning_winners import better_of, trial_scores
from mmbench.store.tuning_record import TuningRecord

CONFIDENCE = 0.95
LEFT, RANK = "budget left", "rank"  # what a score between 0 and 1 means


def scored_trials(record: TuningRecord) -> pd.DataFrame:
    """Return the trials with a score from 0 to 1.

    On a task whose target some trial of some method reached, it is the mean over the
    tuning seeds of the share of the budget that was left when the target was reached,
    0 for a seed that missed. On other tasks it is the share of all the task's trials
    that are worse, or as good and counted half.

    Returns:
        The rows of `trial_scores` with the columns score and meaning ("budget left" or
        "rank"), died (the share of the tuning seeds), and those of the hyperparameters
        step_size_x and step_size_y, NaN where there is none.
    """
    trials, about = record
    scores = trial_scores(trials, better_of(about))
    names = ["task", "label", "repetition", "trial"]
    budget = trials["task"].map({k: v["budget"] for k, v in about["tasks"].items()})
    left = (1 - trials["cost_to_target"] / budget).clip(0, 1).fillna(0)
    died = trials["status"].isin([one for one in Status if one.is_failure])
    means = (
        trials.assign(score=left, died=died)
        .groupby(names, sort=False, as_index=False)[["score", "died"]]
        .mean()
    )
    scores = scores.merge(means, on=names)
    reached = scores.groupby("task")["reached"].transform("max") > 0
    rank = scores.groupby("task")["value"].rank(method="average")
    count = scores.groupby("task")["value"].transform("size")
    scores["meaning"] = np.where(reached, LEFT, RANK)
    scores["score"] = scores["score"].where(reached, 1 - (rank - 0.5) / count)
    sizes = pd.DataFrame(
        [_step_sizes(values) for values in scores["hyperparameters"]],
        columns=["step_size_x", "step_size_y"],
        index=scores.index,
        dtype=float,
    )
    return scores.join(sizes)


def _step_sizes(hyperparameters: str) -> list[Any]:
    given = json.loads(hyperparameters)
    both = given.get("step_size")
    return [given.get(name, both) for name in ("step_size_x", "step_size_y")]


def tuning_curve(scores: np.ndarray, trials: int) -> pd.DataFrame:
    """Return the expected best score of 1, 2, ... trials, with its band.

    Args:
        scores: from 0 to 1, of independent trials. Where some are equal, the band
            covers more often than it says.
        trials: the greatest number of trials.

    Returns:
        One row for each number: trials, expected, low and high. The true curve lies
        between low and high everywhere, in 95 % of records.
    """
    counts = np.arange(1, trials + 1)
    ordered = np.concatenate([[0.0], np.sort(np.asarray(scores, float)), [1.0]])
    # Low values of the distribution function are those of high scores.
    high, expected, low = (
        EmpiricalDistribution(ordered, ws=weights, a=0.0, b=1.0).average_tuning_curve(
            counts
        )
        for weights in _band_weights(len(scores))
    )
    return pd.DataFrame(
        {"trials": counts, "expected": expected, "low": low, "high": high}
    )


@cache
def _band_weights(count: int) -> tuple[np.ndarray, ...]:
    """Return the weights of 0, the scores in order, and 1, in a band and its middle.

    They depend on the number of scores alone, and take seconds for some hundreds.
    """
    scores = np.arange(1, count + 1) / (count + 1)
    bands = EmpiricalDistribution.confidence_bands(
        scores,
        CONFIDENCE,
        a=0.0,
        b=1.0,
        method="ld_equal_tailed",
        generator=np.random.default_rng(0),  # the same record gives the same bytes
        n_jobs=1,
    )
    places = np.concatenate([[0.0], scores, [1.0]])
    return tuple(np.diff(one.cdf(places), prepend=0.0) for one in bands)
