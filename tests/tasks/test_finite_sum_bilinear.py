"""The finite-sum bilinear game: its solution, its terms and what it refuses."""

import pytest
import torch

from mmbench.core.errors import DescriptionError
from mmbench.core.oracle import Oracle
from mmbench.core.oracle_state import OracleState
from mmbench.tasks import TASKS
from mmbench.testing.tools import PLACEMENT


@pytest.mark.parametrize("words", ["terms=6", "terms=6,batch=6,instance=3"])
def test_the_field_over_all_terms_is_zero_at_the_solution(words: str) -> None:
    """The declared equilibrium is where both full gradients vanish, and only there."""
    game = TASKS.build(f"finite_sum_bilinear[{words}]").build(PLACEMENT)
    z = game._solution[None]
    oracle = Oracle(OracleState(game, (0,)))
    assert oracle.full_field(z).abs().max() < 1e-15
    assert game.distance(z, "declared").item() == 0
    moved = z + torch.eye(12, dtype=z.dtype)[:1]
    assert oracle.full_field(moved).norm() == pytest.approx(1 / 6)


def test_instances_differ_and_repeat() -> None:
    """An instance is the same in both dtypes' games, and another for another seed."""
    first, again, other = (
        TASKS.build(f"finite_sum_bilinear[instance={i}]").build(PLACEMENT)
        for i in (1, 1, 2)
    )
    assert torch.equal(first._a, again._a)
    assert not torch.equal(first._a, other._a)
    single = PLACEMENT._replace(dtype=torch.float32)
    game = TASKS.build("finite_sum_bilinear[instance=1]").build(single)
    assert torch.equal(game._a, first._a.float())


def test_a_minibatch_must_be_a_part() -> None:
    """More terms in a minibatch than there are is refused."""
    with pytest.raises(DescriptionError, match="batch must be at most terms=3; got 4"):
        TASKS.build("finite_sum_bilinear[terms=3,batch=4]")
