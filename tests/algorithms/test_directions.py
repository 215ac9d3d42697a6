"""Directions against torch's optimisers and recursions by hand."""

import pytest
import torch

from mmbench.algorithms import ALGORITHMS, DIRECTIONS
from mmbench.algorithms._directions import Direction, step_size_pair
from mmbench.tasks import TASKS
from mmbench.testing.tools import start_runs

STEPS, RUNS, SIZE = 20, 3, 5


def gradients(dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Return gradients whose entries differ much in size; one is always zero."""
    random = torch.Generator().manual_seed(5)
    drawn = torch.randn(STEPS, RUNS, SIZE, generator=random, dtype=torch.float64)
    drawn = drawn * torch.tensor([1.0, 1e-6, 1e4, 1e-9, 0.0])
    return drawn.to(dtype)


def apply_to_all(direction: Direction, sequence: torch.Tensor) -> list[torch.Tensor]:
    """Return the directions of a sequence of gradients."""
    state, directions = direction.init(sequence[0]), []
    for gradient in sequence:
        d, state = direction.step(gradient, state)
        directions.append(d)
    return directions


def torch_moves(
    optimiser: type, sequence: torch.Tensor, **options
) -> list[torch.Tensor]:
    """Return what an optimiser of torch subtracts at step size 1."""
    point = torch.zeros_like(sequence[0]).requires_grad_()
    optimiser = optimiser([point], lr=1.0, **options)
    moves = []
    for gradient in sequence:
        before = point.detach().clone()
        point.grad = gradient.clone()
        optimiser.step()
        moves.append(before - point.detach())
    return moves


@pytest.mark.parametrize(("beta1", "beta2"), [(0.9, 0.999), (0.5, 0.9), (0.0, 0.99)])
@pytest.mark.parametrize("epsilon", [1e-8, 1e-3])
def test_adam_is_torchs(beta1: float, beta2: float, epsilon: float) -> None:
    """With epsilon at the corrected moment, Adam is that of torch."""
    spec = f"adam[beta1={beta1},beta2={beta2},epsilon={epsilon}]"
    ours = apply_to_all(DIRECTIONS.build(spec), gradients())
    theirs = torch_moves(
        torch.optim.Adam, gradients(), betas=(beta1, beta2), eps=epsilon
    )
    for d, expected in zip(ours, theirs, strict=True):
        # torch's moves are differences of points, which rounds them.
        torch.testing.assert_close(d, expected, rtol=1e-10, atol=1e-13)


def test_adam_in_single_precision() -> None:
    """In float32 the bias corrections are exact to rounding."""
    positive = gradients().abs()  # so that nothing cancels in their mean
    ours = apply_to_all(DIRECTIONS.build("adam"), positive.float())
    exact = apply_to_all(DIRECTIONS.build("adam"), positive)
    for d, expected in zip(ours, exact, strict=True):
        torch.testing.assert_close(d.double(), expected, rtol=2e-6, atol=0)


@pytest.mark.parametrize("epsilon", [1e-7, 0.1])
def test_raw_epsilon_is_added_before_the_correction(epsilon: float) -> None:
    """The raw form is that of TensorFlow: η √(1−β₂ᵗ)/(1−β₁ᵗ) · m / (√v + ε)."""
    beta1, beta2 = 0.5, 0.999
    spec = f"adam[beta1={beta1},epsilon={epsilon},epsilon_at=raw]"
    ours = apply_to_all(DIRECTIONS.build(spec), gradients())
    m = v = torch.zeros(RUNS, SIZE, dtype=torch.float64)
    for t, (gradient, directions) in enumerate(
        zip(gradients(), ours, strict=True), start=1
    ):
        m = beta1 * m + (1 - beta1) * gradient
        v = beta2 * v + (1 - beta2) * gradient**2
        rate = (1 - beta2**t) ** 0.5 / (1 - beta1**t)
        torch.testing.assert_close(
            directions, rate * m / (v.sqrt() + epsilon), rtol=1e-11, atol=1e-14
        )


def test_epsilons_differ_where_it_matters() -> None:
    """At the first step, a large epsilon has more weight in the raw form."""
    sequence = torch.ones(1, 1, 1, dtype=torch.float64)
    corrected, raw = (
        apply_to_all(
            DIRECTIONS.build(f"adam[epsilon=0.1,epsilon_at={form}]"), sequence
        )[0].item()
        for form in ("corrected", "raw")
    )
    assert corrected == pytest.approx(1 / 1.1)
    assert raw == pytest.approx(0.001**0.5 / (0.001**0.5 + 0.1))


def test_rmsprop_is_torchs() -> None:
    """RMSProp makes the moves of torch.optim.RMSprop."""
    ours = apply_to_all(DIRECTIONS.build("rmsprop[beta=0.9,epsilon=1e-5]"), gradients())
    theirs = torch_moves(torch.optim.RMSprop, gradients(), alpha=0.9, eps=1e-5)
    for d, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(d, expected, rtol=1e-10, atol=1e-13)


def test_rmsprop_by_hand() -> None:
    """RMSProp is g / (√v + ε) with v = β v + (1−β) g²."""
    directions = apply_to_all(DIRECTIONS.build("rmsprop[beta=0.75]"), gradients())
    v = torch.zeros(RUNS, SIZE, dtype=torch.float64)
    for gradient, d in zip(gradients(), directions, strict=True):
        v = 0.75 * v + 0.25 * gradient**2
        torch.testing.assert_close(d, gradient / (v.sqrt() + 1e-8), rtol=1e-12, atol=0)


def test_plain_is_the_gradient() -> None:
    """The plain direction does not change gradients."""
    assert all(
        map(
            torch.equal,
            apply_to_all(DIRECTIONS.build("plain"), gradients()),
            gradients(),
        )
    )


@pytest.mark.parametrize("spec", ["adam", "adam[epsilon_at=raw]", "rmsprop"])
def test_derivative_is_finite_at_zero(spec: str) -> None:
    """The derivative at zero is finite, although that of a root is not."""
    direction = DIRECTIONS.build(spec)
    gradient = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    d, state = direction.step(gradient, direction.init(gradient))
    d, _ = direction.step(gradient, state)
    (slope,) = torch.autograd.grad(d.sum(), gradient)
    assert torch.isfinite(slope).all()


def test_step_sizes_of_the_players() -> None:
    """A number is the step size of both players, a pair has one for each."""
    assert step_size_pair(0.3) == (0.3, 0.3)
    assert step_size_pair((0.1, 0.2)) == (0.1, 0.2)


def test_raw_epsilon_makes_extra_adam() -> None:
    """Extragradient with `adam[epsilon_at=raw]` makes the steps of ExtraAdam's authors.

    Their code divides the mean by √v + ε, multiplies by η √(1 − β₂ᵗ) / (1 − β₁ᵗ), and
    counts t in both half-steps; ε at the corrected moments makes other steps.
    """
    eta, beta1, beta2, epsilon = 0.01, 0.9, 0.999, 3e-4
    oracle, start = start_runs(TASKS.build("bilinear[dim=3,smallest=0.01]"))
    z, mean, square, t = start, 0 * start, 0 * start, 0

    def authors_move(field: torch.Tensor) -> torch.Tensor:
        nonlocal mean, square, t
        t += 1
        mean = beta1 * mean + (1 - beta1) * field
        square = beta2 * square + (1 - beta2) * field * field
        size = eta * (1 - beta2**t) ** 0.5 / (1 - beta1**t)
        return size * mean / (square.sqrt() + epsilon)

    for _ in range(20):
        ahead = z - authors_move(oracle.field(z))
        z = z - authors_move(oracle.field(ahead))

    def steps_of(direction: str) -> torch.Tensor:
        spec = f"extragradient[step_size={eta},direction={direction}]"
        algorithm, point = ALGORITHMS.build(spec), start
        state = algorithm.init(oracle, point)
        for _ in range(20):
            point, state = algorithm.step(oracle, point, state)
        return point

    raw = steps_of(f"adam[epsilon={epsilon},epsilon_at=raw]")
    torch.testing.assert_close(raw, z, rtol=1e-12, atol=1e-12)
    corrected = steps_of(f"adam[epsilon={epsilon}]")
    assert (corrected - z).abs().max() > 1e-5
