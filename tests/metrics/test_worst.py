"""The worst value of the last tenth of a run."""

import numpy as np
from measuring import STEPS, summarise


def test_worst_is_of_the_last_tenth() -> None:
    """Largest over steps 900 to 1000; what came before does not count."""
    values = np.ones((len(STEPS), 2))
    values[STEPS.index(875), 0] = 9
    values[STEPS.index(900), 1] = 5
    assert summarise("worst", values).tolist() == [1.0, 5.0]


def test_worst_is_of_the_steps_and_not_of_the_records() -> None:
    """With uneven steps the last tenth holds more, or fewer, than a tenth of records.

    Here eight of ten records are in the last tenth of the steps: all but steps 0, 50.
    """
    steps = (0, 50, 91, 92, 93, 95, 96, 97, 98, 100)
    values = np.ones((10, 2))
    values[1, 0] = 9  # step 50
    values[2, 1] = 5  # step 91
    assert summarise("worst", values, steps).tolist() == [1.0, 5.0]


def test_a_missing_value_in_the_last_tenth_is_told() -> None:
    """A NaN among the records is not passed over by the largest number."""
    values = np.ones((len(STEPS), 2))
    values[STEPS.index(950), 0] = np.nan
    values[STEPS.index(500), 1] = np.nan
    np.testing.assert_array_equal(summarise("worst", values), [np.nan, 1.0])
