"""Descent on ½‖F‖² from minibatches, against exact expectations."""

import pytest
import torch
from term_pairs import step_of_all_pairs

from mmbench.tasks import TASKS
from mmbench.testing.tools import start_runs

N, ETA = 5, 0.3


@pytest.mark.parametrize(
    ("words", "gamma"), [("hamiltonian[{}]", None), ("consensus[gamma=0.7,{}]", 0.7)]
)
def test_two_minibatches_give_an_unbiased_direction(
    words: str, gamma: float | None
) -> None:
    """Over all pairs of terms they do not deviate in the mean; one minibatch does.

    The mean of the terms is (xᵢ yᵢ + ...)/n, so that Jᵀ(u, v) = (−v, u)/n.
    """
    words = words.format(f"step_size={ETA},minibatch={{}}")
    z, moved = step_of_all_pairs(words.format("fresh"), N, "1")
    oracle, _ = start_runs(
        TASKS.build(f"finite_sum_bilinear[terms={N},linear=1]"), (0,)
    )
    at_x, at_y = oracle.split(oracle.full_field(z[:1]))
    descent = oracle.join(-at_y, at_x) / N
    moves = descent if gamma is None else oracle.join(at_x, at_y) + gamma * descent
    expected = z[0] - ETA * moves[0]
    torch.testing.assert_close(moved.mean(0), expected, rtol=1e-12, atol=1e-14)
    pairs = moved.view(N, N, -1)  # neither minibatch is preferred
    torch.testing.assert_close(pairs, pairs.transpose(0, 1), rtol=1e-12, atol=1e-14)
    _, biased = step_of_all_pairs(words.format("same"), N, "1")
    assert (biased.mean(0) - expected).norm() > 0.1
