"""Metrics, measured at a point or along a trajectory."""

import numpy as np
import torch

from mmbench.core.game import Game
from mmbench.metrics import METRICS
from mmbench.metrics.base import IterateMetric, Point


def measure(metric: str, game: Game, z: torch.Tensor) -> dict[str, list[float]]:
    """Return the columns of a metric at a point of runs with seeds 0, 1, ..."""
    built = METRICS.build(metric)
    assert isinstance(built, IterateMetric)
    point = Point(game, z, tuple(range(len(z))))
    return {name: values.tolist() for name, values in built.measure(point).items()}


STEPS = tuple(range(0, 1001, 25))


def summarise(metric: str, values: np.ndarray, steps: tuple = STEPS) -> np.ndarray:
    """Return the only column of a trajectory metric."""
    (column,) = METRICS.build(metric).summarise(steps, values).values()
    return column
