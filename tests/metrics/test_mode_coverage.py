"""Rules of mode coverage on samples of known modes."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from planar_samplers import Sampler, measure_samples, mixture


def exactly(near: list[int], radius: float) -> Callable:
    """Return a sampler of counts at a distance from each mode, the rest far away."""

    def draw(_: torch.Generator, count: int) -> torch.Tensor:
        modes = Sampler([]).modes.double()
        placed = modes.repeat_interleave(torch.tensor(near), dim=0) * (1 + radius)
        rest = torch.full((count - len(placed), 2), 9.0, dtype=torch.float64)
        return torch.cat((placed, rest))

    return draw


def test_perfect_and_collapsed_samplers() -> None:
    """The data cover all modes, with 98.889 % within 3 sd; one mode covers one."""
    perfect, collapsed = mixture([0.4, 0.2, 0.2, 0.2]), mixture([0, 0, 1, 0.0])
    found = measure_samples("mode_coverage[samples=20000]", perfect, collapsed)
    for rule in ("modes", "modes_strict", "modes_loose", "modes_lenient"):
        assert found[rule] == [4, 1], rule
    assert found["near_mode"] == [1, 1]
    # 1 - exp(-9/2), the mass of a planar normal within 3 standard deviations.
    np.testing.assert_allclose(found["high_quality"], 0.98889, atol=3e-3)
    assert found["mode_tv"][0] < 0.02
    assert found["mode_tv"][1] == pytest.approx(0.8, abs=1e-6)


def test_equal_shares_are_not_the_released_ones() -> None:
    """Nearest-mode total variation is taken to the data's own weights."""
    found = measure_samples("mode_coverage[samples=20000]", mixture([1.0] * 4))
    assert found["mode_tv"][0] == pytest.approx(0.15, abs=0.02)


def test_rules_differ_on_blurred_modes() -> None:
    """Modes ten times too wide count by the visual rule and not by the strict one."""
    blurred = mixture([0.25] * 4, spread=0.1)
    found = measure_samples("mode_coverage[samples=20000]", blurred)
    assert found["modes"] == [4]
    assert found["modes_strict"] == [0]
    assert found["modes_loose"] == [4]
    # 1 - exp(-r²/2s²): within 0.03 and within 0.3 at a spread of 0.1.
    assert found["high_quality"][0] == pytest.approx(1 - math.exp(-0.045), abs=5e-3)
    assert found["near_mode"][0] == pytest.approx(1 - math.exp(-4.5), abs=5e-3)


@pytest.mark.parametrize(
    ("rule", "radius", "enough"),
    [
        ("modes", 0.29, [125] * 4),  # 5 % of 2500 samples, within 0.3
        ("modes_strict", 0.029, [250, 125, 125, 125]),  # a quarter of each share
        ("modes_loose", 0.029, [1] * 4),
        ("modes_lenient", 0.34, [25] * 4),  # 1 % within 0.35
    ],
)
def test_thresholds_are_inclusive(rule: str, radius: float, enough: list[int]) -> None:
    """The threshold counts; one sample less does not, nor do samples too far away."""
    less, far = [count - 1 for count in enough], radius + 0.02
    found = measure_samples(
        "mode_coverage[samples=2500]",
        exactly(enough, radius),
        exactly(less, radius),
        exactly(enough, far),
    )
    assert found[rule] == [4, 0, 0]


def test_samples_of_a_run_that_broke_down_cover_nothing() -> None:
    """NaN and infinite samples count as no mode and raise nothing."""
    broken = [
        lambda _, count, value=value: torch.full((count, 2), value, dtype=torch.float64)
        for value in (math.nan, math.inf, 1e200)
    ]
    found = measure_samples("mode_coverage[samples=50]", *broken)
    assert found["modes"] == found["modes_loose"] == [0, 0, 0]
    assert found["high_quality"] == found["near_mode"] == [0, 0, 0]
    assert np.isnan(found["mode_tv"]).tolist() == [True, True, False]


def test_one_broken_sample_is_nearest_to_no_mode() -> None:
    """It is in no count, and the shares of nearest modes are not known."""

    def one_broken(_: torch.Generator, count: int) -> torch.Tensor:
        points = Sampler([]).modes.double()[torch.arange(count) % 4]
        points[0] = torch.nan
        return points

    found = measure_samples("mode_coverage[samples=40]", one_broken)
    assert found["modes"] == [4]
    assert found["near_mode"] == pytest.approx([39 / 40])
    assert np.isnan(found["mode_tv"]).all()
