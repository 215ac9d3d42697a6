"""The ring of eight modes and the grid of twenty-five, and their coverage."""

import pytest
import torch

from mmbench.core.streams import generator
from mmbench.metrics import METRICS
from mmbench.metrics.base import Point
from mmbench.tasks import TASKS
from mmbench.testing.tools import PLACEMENT

LAYOUTS = {"ring": (8, 0.01, 0.7653669), "grid": (25, 0.05, 2.0)}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_modes_and_data_are_those_of_the_source(layout: str) -> None:
    """Number, distance, shares and spread of the modes."""
    count, deviation, apart = LAYOUTS[layout]
    game = TASKS.build(f"gaussian_mixture[layout={layout}]").build(PLACEMENT)
    assert game.modes.shape == (count, 2)
    torch.testing.assert_close(game.modes.sum(0), torch.zeros(2), rtol=0, atol=1e-5)
    distances = torch.cdist(game.modes.double(), game.modes.double())
    nearest = distances.fill_diagonal_(9).min(1).values
    torch.testing.assert_close(
        nearest, torch.full_like(nearest, apart), rtol=1e-6, atol=0
    )
    points = game.draw_real(generator(0, "data"), 60).flatten(0, 1)
    lengths, which = torch.cdist(points, game.modes.double()).min(1)
    shares = which.bincount(minlength=count) / len(points)
    torch.testing.assert_close(shares, game.mode_weights, rtol=0, atol=0.01)
    spread = lengths.square().mean().sqrt().item()
    assert spread == pytest.approx(deviation * 2**0.5, rel=0.02)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_perfect_samples_cover_all_modes_and_a_half_covers_its_own(
    layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By each rule; a mode with less than a fifth of its share counts by no share."""
    count = LAYOUTS[layout][0]
    game = TASKS.build(f"gaussian_mixture[layout={layout}]").build(PLACEMENT)
    real = game.draw_real(generator(1, "data"), 20).flatten(0, 1)
    which = torch.cdist(real, game.modes.double()).argmin(1)
    half = real[which < count // 2]
    sampled = torch.stack((real[:4000], half[:4000]))
    monkeypatch.setattr(game, "generate", lambda z, samples, seeds: sampled)
    z = torch.zeros(2, game.dim, dtype=PLACEMENT.dtype)
    found = METRICS.build("mode_coverage[samples=4000]").measure(Point(game, z, (0, 1)))
    for rule in ("modes", "modes_strict", "modes_loose", "modes_lenient"):
        assert found[rule].tolist() == [count, count // 2], rule
    assert found["high_quality"][0].item() == pytest.approx(0.98889, abs=6e-3)
    assert found["mode_tv"][1].item() == pytest.approx(
        1 - (count // 2) / count, abs=0.02
    )
    task = TASKS.build(f"gaussian_mixture[layout={layout}]")
    assert task.target.holds(found).tolist() == [True, False]
