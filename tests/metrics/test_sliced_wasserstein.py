"""The sliced Wasserstein distance on known samples."""

import math
from collections.abc import Callable

import numpy as np
import torch
from planar_samplers import Sampler, measure_samples, mixture

from mmbench.core.streams import generator


def test_sliced_wasserstein_of_a_shift() -> None:
    """The data moved by s are the mean of |s · θ| away; unmoved, nothing."""
    shift = torch.tensor([0.3, -0.4], dtype=torch.float64)

    def moved(by: torch.Tensor) -> Callable:
        def draw(_: torch.Generator, count: int) -> torch.Tensor:
            batches = math.ceil(count / 64)
            real = Sampler([]).draw_real(generator(0, "evaluation"), batches)
            return real.flatten(0, 1)[:count] + by

        return draw

    found = measure_samples(
        "sliced_wasserstein[samples=1000]",
        moved(0 * shift),
        moved(shift),
        moved(-2 * shift),
    )["sliced_wasserstein"]
    angles = np.arange(16) * np.pi / 16
    expected = np.abs(0.3 * np.cos(angles) - 0.4 * np.sin(angles)).mean()
    np.testing.assert_allclose(found, [0, expected, 2 * expected], atol=1e-7)


def test_sliced_wasserstein_of_a_perfect_sampler_is_small() -> None:
    """Fresh data are nearer to the data than a collapsed sampler."""
    found = measure_samples(
        "sliced_wasserstein", mixture([0.4, 0.2, 0.2, 0.2]), mixture([1, 0, 0, 0.0])
    )["sliced_wasserstein"]
    assert found[0] < 0.05
    assert found[1] > 0.5
