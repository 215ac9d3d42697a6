"""The path angle on games with a linear field, which is known along any line."""

import math

import numpy as np
import pytest
import torch

from mmbench.metrics import METRICS
from mmbench.metrics.base import Point
from mmbench.tasks import TASKS
from mmbench.testing.tools import PLACEMENT


def found(a: float, b: float, c: float, start: tuple, end: tuple) -> tuple:
    """Return switch and bump on the game ax² + bxy + cy²."""
    game = TASKS.build(f"quadratic[a={a},b={b},c={c}]").build(PLACEMENT)
    first, last = (torch.tensor([z], dtype=torch.float64) for z in (start, end))
    columns = METRICS.build("path_angle").measure(Point(game, last, (0,), first))
    return columns["path_switch"].item(), columns["path_bump"].item()


def bump(a: float, b: float, c: float, start: tuple, end: tuple) -> float:
    """Return the bump from cosines with the field Jz, by numpy."""
    jacobian = np.array([[2 * a, b], [-b, -2 * c]])
    path = np.subtract(end, start)
    size = []
    for share in np.linspace(0.8, 1.2, 41):
        field = jacobian @ (start + share * path)
        cosine = -path @ field / np.linalg.norm(path) / np.linalg.norm(field)
        size.append(abs(cosine))
    return max(size) - max(size[0], size[-1])


NEAR = (0.03, -0.02)


def test_attraction_switches_without_a_bump() -> None:
    """In a potential with equal curvature −F points at the centre from anywhere."""
    assert found(1, 0, -1, (1, 2), (0, 0)) == pytest.approx((1, 0), abs=1e-12)
    switch, height = found(1, 0, -1, (1, 2), NEAR)
    assert switch == 1
    assert height == pytest.approx(bump(1, 0, -1, (1, 2), NEAR), abs=1e-9)
    assert height < 0.02


def test_rotation_has_a_bump_without_a_switch() -> None:
    """On xy −F is across any line through (0, 0), and along one that passes by."""
    switch, height = found(0, 1, 0, (1, 2), NEAR)
    assert switch == 0
    assert height == pytest.approx(bump(0, 1, 0, (1, 2), NEAR), abs=1e-9)
    assert height > 0.9
    assert found(0, 1, 0, (1, 2), (0, 0)) == pytest.approx((0, 0), abs=1e-12)


def test_a_spiral_has_both() -> None:
    """Attraction and rotation of the same size."""
    switch, height = found(1, 2, -1, (1, 2), NEAR)
    assert switch == 1
    assert height == pytest.approx(bump(1, 2, -1, (1, 2), NEAR), abs=1e-9)
    assert height > 0.2


def test_repulsion_does_not_switch() -> None:
    """The sign rises from negative to positive values."""
    assert found(-1, 0, 1, (1, 2), (0, 0))[0] == 0


def test_there_is_no_path_at_the_start() -> None:
    """Both columns are NaN where the run has not moved."""
    assert all(map(math.isnan, found(1, 1, 1, (1, 2), (1, 2))))
