"""The norm of each player's gradient."""

import torch
from measuring import measure

from mmbench.tasks import TASKS
from mmbench.testing.tools import PLACEMENT


def test_norms_are_of_each_player() -> None:
    """On xy the gradient of x is y, and that of y is −x."""
    z = torch.tensor([[3.0, -4.0], [0.0, 2.0]], dtype=torch.float64)
    found = measure("gradient_norms", TASKS.build("bilinear").build(PLACEMENT), z)
    assert found == {"gradient_x": [4.0, 2.0], "gradient_y": [3.0, 0.0]}
