"""The ICR projection game, against numpy and an optimiser of scipy."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch.autograd.functional import hessian

from mmbench.algorithms import ALGORITHMS
from mmbench.tasks import TASKS
from mmbench.tasks.icr_projection import ICRProjectionGame
from mmbench.testing.tools import PLACEMENT, start_runs

TARGET = np.array([2.0, 2.0])


def build(words: str = "") -> ICRProjectionGame:
    """Return the game of a spec."""
    return TASKS.build(f"icr_projection[{words}]").build(PLACEMENT)


def weights(runs: int, size: int, scale: float = 1.0) -> np.ndarray:
    """Return normal weights."""
    return scale * np.random.default_rng(0).standard_normal((runs, size))


def point_of(x: np.ndarray) -> np.ndarray:
    """Return the output of one generator, by matrix products."""
    hidden = np.arctan(x[4:20].reshape(4, 4) @ np.arctan(x[:4]))
    t, o = x[20:].reshape(2, 4) @ hidden
    s = np.arctan(o) / np.pi
    return np.array([np.exp(s + t), np.exp(s - t)])


def judge(y: np.ndarray, v: np.ndarray) -> float:
    """Return the output of one discriminator, by matrix products."""
    hidden = np.arctan(y[8:24].reshape(4, 4) @ np.arctan(y[:8].reshape(4, 2) @ v))
    return float(np.arctan(y[24:] @ hidden))


@pytest.mark.parametrize("scaling", [(1.0, 0.01), (1.0, 1.0), (100.0, 1.0)])
def test_losses_are_those_of_the_paper(scaling: tuple[float, float]) -> None:
    """f = D(ηP) − D(ηθ), with networks written with numpy."""
    game = build(f"scaling=({scaling[0]},{scaling[1]})")
    z = weights(5, 56)
    loss_x, loss_y = game.losses(*torch.tensor(z).split(28, dim=1), None)
    for run, (x, y) in enumerate(zip(z[:, :28], z[:, 28:], strict=True)):
        f = judge(y, scaling * TARGET) - judge(y, scaling * point_of(x))
        assert float(loss_x[run]) == pytest.approx(f, abs=1e-14)
        assert float(loss_y[run]) == pytest.approx(-f, abs=1e-14)


def test_each_player_has_28_weights_and_uses_all() -> None:
    """The field depends on 28 and 28 weights, and no gradient is zero for all runs."""
    game = build()
    assert (game.dim_x, game.dim_y) == (28, 28)
    z = torch.tensor(weights(3, 56), requires_grad=True)
    loss_x, _ = game.losses(*z.split(28, dim=1), None)
    (gradient,) = torch.autograd.grad(loss_x.sum(), z)
    assert gradient.ne(0).any(0).all()


def test_no_weights_make_the_data() -> None:
    """The product of the coordinates lies between 1/e and e, so (2, 2) is out of reach.

    Large weights come as close to the bounds as arctan lets them.
    """
    product = build().point(torch.tensor(weights(2000, 28, 30.0))).prod(1)
    assert float(product.max()) < math.e
    assert float(product.min()) > 1 / math.e
    assert float(product.max()) > 0.97 * math.e


@pytest.mark.parametrize(
    ("scaling", "nearest"),
    [((1.0, 0.01), (1.9999564, 1.3591705)), ((1.0, 1.0), (math.e**0.5, math.e**0.5))],
)
def test_nearest_points_are_those_documented(
    scaling: tuple[float, float], nearest: tuple[float, float]
) -> None:
    """An optimiser over s in [−1/2, 1/2] and t finds the stated projections."""

    def distance(st: np.ndarray) -> float:
        theta = np.array([np.exp(st[0] + st[1]), np.exp(st[0] - st[1])])
        return float(np.sum((scaling * (theta - TARGET)) ** 2))

    found = [
        minimize(
            distance,
            start,
            bounds=((-0.5, 0.5), (-3, 3)),
            method="L-BFGS-B",
            options={"ftol": 1e-16, "gtol": 1e-14, "maxiter": 10_000},
        )
        for start in [(0.0, 0.0), (0.4, 1.0), (-0.4, -1.0)]
    ]
    s, t = min(found, key=lambda one: one.fun).x
    assert s == 0.5
    assert np.exp([s + t, s - t]) == pytest.approx(nearest, abs=1e-7)


def test_distance_of_the_projection_with_equal_factors() -> None:
    """It is √2 (2 − √e), which seeds of other programs have as 0.4967831."""
    assert math.dist(TARGET, (math.e**0.5,) * 2) == pytest.approx(0.4967831, abs=1e-7)


def test_mixed_derivatives_have_rank_two() -> None:
    """The players meet in two numbers θ, so that f_xy is a product through them."""
    game = build("scaling=(1,1)")

    def f(z: torch.Tensor) -> torch.Tensor:
        return game.losses(z[None, :28], z[None, 28:], None)[0][0]

    for z in torch.tensor(weights(3, 56)):
        mixed = np.asarray(hessian(f, z))[:28, 28:]
        values = np.linalg.svd(mixed, compute_uv=False)
        assert values[1] > 1e-6 * values[0]
        assert values[2] < 1e-14 * values[0]


def test_competitive_steps_need_at_most_three_inner_iterations() -> None:
    """The identity plus a matrix of rank two has three eigenvalues at most."""
    task, cgd = TASKS.build("icr_projection"), ALGORITHMS.build("cgd[step_size=0.2]")
    oracle, z = start_runs(task)
    state = cgd.init(oracle, z)
    for _ in range(5):
        before = state.iterations
        z, state = cgd.step(oracle, z, state)
        assert int((state.iterations - before).max()) <= 3


def test_starts_have_the_stated_deviation() -> None:
    """The weights of many runs have mean 0 and the chosen standard deviation."""
    task = TASKS.build("icr_projection[deviation=0.7]")
    game = task.build(PLACEMENT)
    starts = [task.start(game, torch.Generator().manual_seed(i)) for i in range(400)]
    drawn = torch.stack(starts)
    assert float(drawn.mean()) == pytest.approx(0, abs=0.02)
    assert float(drawn.std()) == pytest.approx(0.7, abs=0.02)
    assert float(drawn.std(0).min()) > 0.6  # of each weight
