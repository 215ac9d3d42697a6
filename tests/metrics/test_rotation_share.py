"""The share of rotation, exact and estimated."""

import numpy as np
import pytest
import torch
from measuring import measure
from quadratic_games import TwoLosses

from mmbench.core.game import Game
from mmbench.metrics import rotation_share
from mmbench.tasks import TASKS
from mmbench.testing.tools import PLACEMENT


def share(game: str | Game, dim: int = 2, words: str = "rotation_share") -> float:
    """Return the share at one point."""
    built = TASKS.build(game).build(PLACEMENT) if isinstance(game, str) else game
    z = torch.ones(1, dim, dtype=torch.float64)
    return measure(words, built, z)["rotation_share"][0]


def test_share_of_quadratic_games() -> None:
    """From 0 without a mixed term to 1 without others: 2b² / (4a² + 2b² + 4c²)."""
    assert share("quadratic[a=1,b=0,c=-2]") == 0
    assert share("bilinear[dim=3]", 6) == pytest.approx(1, abs=1e-12)
    assert share("quadratic") == pytest.approx(200 / 208, abs=1e-12)
    assert np.isnan(share("quadratic[a=0,b=0,c=0]"))


@pytest.mark.parametrize("is_zero_sum", [False, True])
def test_estimates_are_near_the_share_of_numpy(
    is_zero_sum: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exact share agrees to rounding, and 40 random signs to a few percent."""
    task = TwoLosses(dim_x=6, dim_y=7, is_zero_sum=is_zero_sum)
    jacobian = task.jacobian().numpy()
    turning = (jacobian - jacobian.T) / 2
    expected = (turning**2).sum() / (jacobian**2).sum()
    game = task.build(PLACEMENT)
    assert share(game, 13) == pytest.approx(expected, abs=1e-12)
    monkeypatch.setattr(rotation_share, "EXACT_DIM", 12)
    found = share(game, 13, "rotation_share[probes=40]")
    assert found == pytest.approx(expected, abs=0.06)
    assert share("bilinear[dim=7]", 14) == pytest.approx(1, abs=1e-12)
