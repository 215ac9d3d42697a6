"""The rate of convergence on known sequences."""

import math

import numpy as np
import pytest
from measuring import STEPS, summarise


@pytest.mark.parametrize("factor", [0.9, 0.99, 0.999, 1.001, 1.02])
def test_rate_of_a_geometric_sequence(factor: float) -> None:
    """Exact on a geometric sequence, whatever its scale."""
    values = np.outer(factor ** np.array(STEPS), [1.0, 1e-5, 37.0])
    np.testing.assert_allclose(summarise("rate", values), factor, rtol=1e-9)


def test_rate_ignores_the_start_and_the_floor() -> None:
    """Neither a transient nor rounding noise at the end bends the slope."""
    steps = np.array(STEPS)
    values = 0.9**steps + np.where(steps < 50, 100, 0)
    floor = np.random.default_rng(0).uniform(1e-17, 1e-16, len(steps))
    rate = summarise("rate", np.maximum(values, floor)[:, None])
    # Most records lie on the floor, which the slope must not see.
    np.testing.assert_allclose(rate, 0.9, rtol=1e-3)


def test_rate_of_a_cycle_is_one() -> None:
    """A bounded oscillation has no rate but 1."""
    values = 2 + np.sin(np.array(STEPS) * 0.7)
    np.testing.assert_allclose(summarise("rate", values[:, None]), 1, atol=1e-3)


def test_rate_of_a_dead_run_is_that_of_its_life() -> None:
    """Records repeat after a run has died; a diverged run is not neutral."""
    values = 1.05 ** np.minimum(np.array(STEPS), 300)
    np.testing.assert_allclose(summarise("rate", values[:, None]), 1.05, rtol=1e-6)


@pytest.mark.parametrize(
    "values",
    [
        np.zeros(41),
        np.full(41, np.nan),
        np.r_[0.0, np.ones(40)],
        np.r_[1.0, np.zeros(40)],
    ],
)
def test_rate_of_odd_columns_raises_nothing(values: np.ndarray) -> None:
    """Zeros, nothing measured, and starts at a solution give no number, or a finite."""
    (rate,) = summarise("rate", values[:, None])
    assert math.isnan(rate) or rate > 0


def test_the_window_is_relative_to_the_first_value() -> None:
    """A run that first rises a thousandfold is measured below 1e-2 of its start.

    It falls by 0.9 in one step until it is below a hundredth of its start, and by 0.8
    from there on. A window relative to the largest value would hold both slopes.
    """
    steps = np.arange(200)
    rise = np.where(steps < 2, 1.0, 1000.0)
    bend = 2 + math.ceil(math.log(1e-5) / math.log(0.9))
    early, late = np.clip(steps - 2, 0, bend - 2), np.clip(steps - bend, 0, None)
    values = rise * 0.9**early * 0.8**late
    assert values[bend] < 1e-2 * values[0] < values[bend - 1]
    rate = summarise("rate", values[:, None], tuple(range(200)))
    np.testing.assert_allclose(rate, 0.8, rtol=1e-9)


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e4])
def test_the_rate_has_no_units(size: float) -> None:
    """A run that bends has one rate, whatever its distances are measured in."""
    steps = np.arange(200)
    values = 0.9 ** np.minimum(steps, 60) * 0.8 ** np.clip(steps - 60, 0, None)
    expected = summarise("rate", values[:, None], tuple(range(200)))
    rate = summarise("rate", size * values[:, None], tuple(range(200)))
    np.testing.assert_allclose(rate, expected, rtol=1e-12)
