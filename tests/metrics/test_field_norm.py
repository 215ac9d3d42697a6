"""The norm of the field on toy games."""

import torch
from measuring import measure

from mmbench.tasks import TASKS
from mmbench.testing.tools import PLACEMENT


def test_field_norm_is_the_norm_of_the_field() -> None:
    """On xy the field (y, -x) is as long as the iterate; on a box steps are cut."""
    z = torch.tensor([[3.0, 4.0], [0.0, 0.0]], dtype=torch.float64)
    free = TASKS.build("bilinear").build(PLACEMENT)
    assert measure("field_norm", free, z)["field_norm"] == [5.0, 0.0]
    boxed = TASKS.build("bilinear[box=5]").build(PLACEMENT)
    corner = torch.tensor([[-5.0, 5.0], [5.0, 5.0]], dtype=torch.float64)
    # From (-5, 5) x wants to fall and y wants to fall: only y may move, by 5.
    assert measure("field_norm", boxed, corner)["field_norm"] == [5.0, 5.0]
