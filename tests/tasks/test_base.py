"""Targets of tasks."""

import numpy as np

from mmbench.tasks.base import Target


def test_targets_hold_run_by_run() -> None:
    """All bounds must hold, and NaN never does."""
    target = Target("m", at_most=(("a", 1.0),), at_least=(("b", 4),))
    columns = {
        "a": np.array([0.5, 1.0, 2.0, np.nan, 0.5]),
        "b": np.array([4.0, 5.0, 4.0, 4.0, np.nan]),
    }
    assert target.holds(columns).tolist() == [True, True, False, False, False]
    assert str(target) == "a ≤ 1 and b ≥ 4"
