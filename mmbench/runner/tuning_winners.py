"""Scores of trials, and the winner of each tuning: from a record alone."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from mmbench.core.status import Status
from mmbench.store.tuning_record import TuningRecord

# What a winner is looked for within.
TUNING = ["task", "label", "repetition"]
_TRIAL = [*TUNING, "trial"]


def trial_scores(trials: pd.DataFrame, better: Mapping[str, str]) -> pd.DataFrame:
    """Return the score of every trial.

    A trial is better that reaches the target with a greater share of the tuning seeds;
    then at a lower median cost, where a seed that missed counts as infinite; then with
    a better median of the primary metric at the end, where a run that died is worst.

    Args:
        trials: rows as a record has them.
        better: by task, whether "lower" or "higher" values of its primary metric are
            better.

    Returns:
        One row for each trial: task, label, repetition, trial, algorithm,
        hyperparameters, reached (a share), cost_to_target, value (both medians over
        seeds, infinite where there is none, a lower value better), and place: 1 for the
        best trial of its tuning, where equal scores are in the order of the trials.
    """
    died = trials["status"].isin([one for one in Status if one.is_failure])
    signs = {task: -1.0 if way == "higher" else 1.0 for task, way in better.items()}
    value = trials["task"].map(signs).astype(float) * trials["value"]
    value = value.mask(died | value.isna(), np.inf)
    reached = trials["cost_to_target"].notna()
    rows = trials.assign(
        reached=reached,
        cost_to_target=trials["cost_to_target"].fillna(np.inf),
        value=value,
    )
    with np.errstate(invalid="ignore"):
        scores = rows.groupby(_TRIAL, sort=False, as_index=False).agg(
            algorithm=("algorithm", "first"),
            hyperparameters=("hyperparameters", "first"),
            reached=("reached", "mean"),
            cost_to_target=("cost_to_target", _median),
            value=("value", _median),
        )
    order = scores.sort_values(
        ["reached", "cost_to_target", "value", "trial"],
        ascending=[False, True, True, True],
    )
    place = order.groupby(TUNING, sort=False).cumcount() + 1
    return scores.assign(place=place)


def winners(record: TuningRecord) -> pd.DataFrame:
    """Return the winner of every repetition, from which tests can take their unit.

    Returns:
        The rows of `trial_scores` that won: one for each task, label and repetition.
    """
    scores = trial_scores(record.trials, better_of(record.about))
    return scores[scores["place"] == 1].reset_index(drop=True)


def better_of(about: Mapping[str, Any]) -> dict[str, str]:
    """Return by task whether its primary metric is better "lower" or "higher"."""
    return {task: facts["better"] for task, facts in about["tasks"].items()}


def _median(values: pd.Series) -> float:
    """Return the median of numbers that may be infinite."""
    ordered = np.sort(values.to_numpy(float))
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return float(low if low == high else (low + high) / 2)
