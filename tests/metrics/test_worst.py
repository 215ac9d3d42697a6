"""The worst value of the last tenth of a run."""

import numpy as np
from measuring import STEPS, summarise


def test_worst_is_of_the_last_tenth() -> None:
    """Largest over steps 900 to 1000; what came before does not count."""
    values = np.ones((len(STEPS), 2))
    values[STEPS.index(875), 0] = 9
    values[STEPS.index(900), 1] = 5
    assert summarise("worst", values).tolist() == [1.0, 5.0]
