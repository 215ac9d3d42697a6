"""The distance to a solution."""

import torch
from measuring import measure

from mmbench.tasks import TASKS
from mmbench.testing.tools import PLACEMENT


def test_distance_at_the_solution_is_zero() -> None:
    """Zero at the solution, Euclidean elsewhere."""
    z = torch.tensor([[3.0, 4.0], [0.0, 0.0]], dtype=torch.float64)
    for words in ("bilinear", "quadratic", "dirac_gan"):
        assert measure("distance", TASKS.build(words).build(PLACEMENT), z) == {
            "distance": [5.0, 0.0]
        }
