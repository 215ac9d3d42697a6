"""Events of forgetting in a sequence of covered modes."""

import numpy as np
from measuring import summarise


def test_forgetting_counts_falls() -> None:
    """Each record lower than the one before is one event; nothing measured is none."""
    values = np.array([[0, 1, 2, 1, 1, 4, 2, 3, 0], [4] * 9, range(9)], dtype=float).T
    assert summarise("forgetting", values, tuple(range(9))).tolist() == [3, 0, 0]
    nothing = np.full((9, 1), np.nan)
    assert np.isnan(summarise("forgetting", nothing, tuple(range(9)))).all()


def test_a_record_without_a_count_is_no_event() -> None:
    """Counts beside a missing one still count; only a run without any has no number."""
    values = np.array([[4, np.nan, 3], [4, 3, np.nan], [np.nan, np.nan, np.nan]]).T
    found = summarise("forgetting", values, (0, 10, 20))
    np.testing.assert_array_equal(found, [0, 1, np.nan])
