"""The gap on toy games."""

import torch
from measuring import measure

from mmbench.tasks import TASKS
from mmbench.testing.tools import PLACEMENT


def test_gap_on_xy() -> None:
    """The gap over balls of radius R is R (|x| + |y|)."""
    z = torch.tensor([[3.0, -4.0], [0.0, 0.0]], dtype=torch.float64)
    game = TASKS.build("bilinear").build(PLACEMENT)
    assert measure("gap[radius=2]", game, z)["gap"] == [14.0, 0.0]
