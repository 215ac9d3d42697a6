"""Directions against torch's optimisers and hand recursions."""

import pytest
import torch

from mmbench.algorithms import DIRECTIONS
from mmbench.algorithms._directions import Direction, step_size_pair

STEPS, RUNS, SIZE = 20, 3, 5


def gradients(dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """A sequence of gradients of very different sizes, one entry always zero."""
    random = torch.Generator().manual_seed(5)
    drawn = torch.randn(STEPS, RUNS, SIZE, generator=random, dtype=torch.float64)
    drawn = drawn * torch.tensor([1.0, 1e-6, 1e4, 1e-9, 0.0])
    return drawn.to(dtype)


def followed(direction: Direction, every: torch.Tensor) -> list[torch.Tensor]:
    """Directions that a sequence of gradients is turned into."""
    state, turned = direction.init(every[0]), []
    for gradient in every:
        d, state = direction.step(gradient, state)
        turned.append(d)
    return turned


def torch_moves(optimiser: type, every: torch.Tensor, **options) -> list[torch.Tensor]:
    """What an optimiser of torch subtracts at step size 1."""
    point = torch.zeros_like(every[0]).requires_grad_()
    optimiser = optimiser([point], lr=1.0, **options)
    moves = []
    for gradient in every:
        before = point.detach().clone()
        point.grad = gradient.clone()
        optimiser.step()
        moves.append(before - point.detach())
    return moves


@pytest.mark.parametrize(("beta1", "beta2"), [(0.9, 0.999), (0.5, 0.9), (0.0, 0.99)])
@pytest.mark.parametrize("epsilon", [1e-8, 1e-3])
def test_adam_is_torchs(beta1: float, beta2: float, epsilon: float) -> None:
    """With epsilon at the corrected moment, Adam moves as torch.optim.Adam."""
    words = f"adam[beta1={beta1},beta2={beta2},epsilon={epsilon}]"
    ours = followed(DIRECTIONS.build(words), gradients())
    theirs = torch_moves(
        torch.optim.Adam, gradients(), betas=(beta1, beta2), eps=epsilon
    )
    for one, other in zip(ours, theirs, strict=True):
        # torch's moves are differences of points, which rounds them.
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-13)


def test_adam_in_single_precision() -> None:
    """In float32 the bias corrections lose no more than rounding."""
    every = gradients().abs()  # of one sign, so that their mean cancels nothing
    ours = followed(DIRECTIONS.build("adam"), every.float())
    exact = followed(DIRECTIONS.build("adam"), every)
    for one, other in zip(ours, exact, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=2e-6, atol=0)


@pytest.mark.parametrize("epsilon", [1e-7, 0.1])
def test_raw_epsilon_is_added_before_the_correction(epsilon: float) -> None:
    """The form of TensorFlow: η √(1−β₂ᵗ)/(1−β₁ᵗ) · m / (√v + ε)."""
    beta1, beta2 = 0.5, 0.999
    words = f"adam[beta1={beta1},epsilon={epsilon},epsilon_at=raw]"
    ours = followed(DIRECTIONS.build(words), gradients())
    m = v = torch.zeros(RUNS, SIZE, dtype=torch.float64)
    for t, (gradient, turned) in enumerate(
        zip(gradients(), ours, strict=True), start=1
    ):
        m = beta1 * m + (1 - beta1) * gradient
        v = beta2 * v + (1 - beta2) * gradient**2
        rate = (1 - beta2**t) ** 0.5 / (1 - beta1**t)
        torch.testing.assert_close(
            turned, rate * m / (v.sqrt() + epsilon), rtol=1e-11, atol=1e-14
        )


def test_epsilons_differ_where_it_matters() -> None:
    """At the first step, a large epsilon weighs more in the raw form."""
    every = torch.ones(1, 1, 1, dtype=torch.float64)
    corrected, raw = (
        followed(DIRECTIONS.build(f"adam[epsilon=0.1,epsilon_at={form}]"), every)[
            0
        ].item()
        for form in ("corrected", "raw")
    )
    assert corrected == pytest.approx(1 / 1.1)
    assert raw == pytest.approx(0.001**0.5 / (0.001**0.5 + 0.1))


def test_rmsprop_is_torchs() -> None:
    """RMSProp moves as torch.optim.RMSprop."""
    ours = followed(DIRECTIONS.build("rmsprop[beta=0.9,epsilon=1e-5]"), gradients())
    theirs = torch_moves(torch.optim.RMSprop, gradients(), alpha=0.9, eps=1e-5)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-13)


def test_rmsprop_by_hand() -> None:
    """g / (√v + ε) with v = β v + (1−β) g²."""
    turned = followed(DIRECTIONS.build("rmsprop[beta=0.75]"), gradients())
    v = torch.zeros(RUNS, SIZE, dtype=torch.float64)
    for gradient, d in zip(gradients(), turned, strict=True):
        v = 0.75 * v + 0.25 * gradient**2
        torch.testing.assert_close(d, gradient / (v.sqrt() + 1e-8), rtol=1e-12, atol=0)


def test_plain_is_the_gradient() -> None:
    """The plain direction changes nothing."""
    assert all(
        map(torch.equal, followed(DIRECTIONS.build("plain"), gradients()), gradients())
    )


@pytest.mark.parametrize("words", ["adam", "adam[epsilon_at=raw]", "rmsprop"])
def test_derivative_stays_finite_at_zero(words: str) -> None:
    """The derivative of a root at zero would be infinite; unrolling needs it finite."""
    direction = DIRECTIONS.build(words)
    gradient = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    d, state = direction.step(gradient, direction.init(gradient))
    d, _ = direction.step(gradient, state)
    (slope,) = torch.autograd.grad(d.sum(), gradient)
    assert torch.isfinite(slope).all()


def test_sizes_of_the_players() -> None:
    """One step size serves both players, a pair serves them in order."""
    assert step_size_pair(0.3) == (0.3, 0.3)
    assert step_size_pair((0.1, 0.2)) == (0.1, 0.2)
