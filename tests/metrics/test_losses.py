"""Tests of the loss of each player."""

import pytest
import torch
from measuring import measure

from mmbench.core.oracle import Oracle
from mmbench.core.oracle_state import OracleState
from mmbench.tasks import TASKS
from mmbench.testing.tools import PLACEMENT, SEEDS, start_runs

DIGITS = "digits01[hidden=8,batch=16]"


def test_losses_are_those_of_the_game() -> None:
    """On xy they are xy and its negative; without data one value is all there is."""
    z = torch.tensor([[3.0, -4.0], [2.0, 0.5]], dtype=torch.float64)
    game = TASKS.build("bilinear").build(PLACEMENT)
    assert measure("losses", game, z) == {"loss_x": [-12.0, 1.0], "loss_y": [12.0, -1]}


def test_losses_are_means_over_minibatches() -> None:
    """The mean of so many minibatches of the evaluation stream, dropout off."""
    game, (_, z) = TASKS.build(DIGITS).build(PLACEMENT), start_runs(TASKS.build(DIGITS))
    oracle, losses = Oracle(OracleState(game, SEEDS, "evaluation")), []
    for _ in range(5):
        oracle.resample()
        x, y = oracle.split(z)
        losses.append(torch.stack(game.losses(x, y, oracle._state.sample, train=False)))
    found = measure("losses[minibatches=5]", game, z)
    loss_x, loss_y = (sum(losses) / 5).tolist()
    assert found["loss_x"] == pytest.approx(loss_x, rel=1e-12)
    assert found["loss_y"] == pytest.approx(loss_y, rel=1e-12)
