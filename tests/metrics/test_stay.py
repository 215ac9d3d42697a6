"""How long a column stays near a value."""

import numpy as np
import torch
from measuring import measure

from mmbench.metrics import METRICS
from mmbench.tasks import TASKS
from mmbench.testing.tools import PLACEMENT

STAY = METRICS.build("stay[of=theta_1,at=2,within=0.25]")
LONGEST, TOTAL = "theta_1_longest_within_0.25", "theta_1_steps_within_0.25"


def stay(values: np.ndarray, steps: tuple[int, ...]) -> tuple[list, list]:
    """Return the longest stays and all stays of each run."""
    found = STAY.summarise(steps, values)
    return found[LONGEST].tolist(), found[TOTAL].tolist()


def test_stays_are_counted_in_points_if_every_step_is_recorded() -> None:
    """The bound itself is not near; stays may begin the run and end it."""
    runs = [
        [2, 2.1, 3, 2, 2, 1.9, 3, 2],  # stays of 2, 3 and 1 points
        [2.25, 1.75, 2.5, 0, 0, 0, 0, 0],  # at the bound, or beyond
        [2] * 8,
        [0, 0, 0, 0, 0, 0, 2, 2],
    ]
    longest, total = stay(np.array(runs).T, tuple(range(8)))
    assert longest == [3, 0, 8, 2]
    assert total == [6, 0, 8, 2]


def test_every_longest_stay_is_that_of_a_plain_loop() -> None:
    """On random columns of every step, the numbers are those of a search in text."""
    values = np.random.default_rng(0).uniform(1.5, 2.5, size=(300, 20))
    longest, total = stay(values, tuple(range(300)))
    for run in range(20):
        text = "".join("x" if abs(v - 2) < 0.25 else " " for v in values[:, run])
        assert longest[run] == max(map(len, text.split()))
        assert total[run] == text.count("x")


def test_points_between_records_are_counted_if_both_records_are_near() -> None:
    """From step 10 to step 40 are 31 points; a single record is one point."""
    values = np.array([[3, 2, 2, 2, 3, 2]], dtype=float).T
    assert stay(values, (0, 10, 20, 40, 45, 50)) == ([31], [32])


def test_a_missing_value_is_not_near() -> None:
    """It interrupts a stay; a column that was never finite has no stay."""
    values = np.array([[2, np.nan, 2, 2], [np.nan] * 4]).T
    longest, total = stay(values, (0, 1, 2, 3))
    np.testing.assert_array_equal(longest, [2, np.nan])
    np.testing.assert_array_equal(total, [3, np.nan])


def test_several_tolerances_have_columns_of_their_own() -> None:
    """A cell can have the metric more than once."""
    names = [
        column.name
        for within in ("0.02", "0.1")
        for column in METRICS.build(f"stay[within={within}]").columns
    ]
    assert len(set(names)) == 4


def test_the_generated_point_is_the_generators_output() -> None:
    """With zero weights both coordinates are one, at which 2 is far."""
    game = TASKS.build("icr_projection").build(PLACEMENT)
    z = torch.zeros(2, 56, dtype=torch.float64)
    z[1, 20:24], z[1, 4:20], z[1, :4] = 1.0, 1.0, 1.0  # o₁ = 4 arctan(4 arctan 1)
    found = measure("generated_point", game, z)
    t = 4 * np.arctan(4 * np.arctan(1))
    np.testing.assert_allclose(found["theta_1"], [1, np.exp(t)], rtol=1e-14)
    np.testing.assert_allclose(found["theta_2"], [1, np.exp(-t)], rtol=1e-14)
