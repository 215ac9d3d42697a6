"""Families of games: their instances are what they are said to be, and rates follow."""

import cvxpy as cp
import dsp
import numpy as np
import pytest
import torch
from saddle_points import saddle_point
from torch.autograd.functional import hessian

from mmbench.algorithms import ALGORITHMS
from mmbench.core.game import Game
from mmbench.core.oracle import Oracle
from mmbench.core.oracle_state import OracleState
from mmbench.core.vectors import Joint
from mmbench.metrics.base import Point
from mmbench.metrics.rate import estimate_rate
from mmbench.tasks import TASKS
from mmbench.tasks._random_matrices import random_rotation, random_spectrum
from mmbench.testing.step_matrices import radius, step_matrix
from mmbench.testing.tools import PLACEMENT


def jacobian(game: Game, z: torch.Tensor | None = None) -> np.ndarray:
    """Return the Jacobian of the field, from second derivatives of the losses."""
    split = game.dim_x

    def loss(at: torch.Tensor, player: int) -> torch.Tensor:
        sample = game.all_terms() if game.terms else None
        if sample is not None:
            sample = type(sample)(*(member[None] for member in sample))
        return game.losses(at[None, :split], at[None, split:], sample)[player][0]

    z = torch.zeros(game.dim, dtype=torch.float64) if z is None else z
    of_x, of_y = (hessian(lambda at, p=p: loss(at, p), z) for p in (0, 1))
    return torch.cat((of_x[:split], of_y[split:])).numpy()


QUADRATICS = [
    "dim=1",
    "dim=3,rotation=0",
    "dim=4,conditioning=100,rotation=0.9,instance=3",
    "dim=5,conditioning=1,rotation=0.2,noise=0.1",
]


@pytest.mark.parametrize("words", QUADRATICS)
def test_random_quadratics_have_what_their_fields_state(words: str) -> None:
    """The conditioning, the share of rotation and the Lipschitz constant."""
    task = TASKS.build(f"random_quadratic[{words}]")
    j = jacobian(task.build(PLACEMENT))
    symmetric, other = (j + j.T) / 2, (j - j.T) / 2
    eigenvalues = np.linalg.eigvalsh(symmetric)
    np.testing.assert_allclose(
        eigenvalues[-1] / eigenvalues[0], task.conditioning, rtol=1e-12
    )
    assert eigenvalues[0] > 0
    share = np.linalg.norm(other) ** 2 / np.linalg.norm(j) ** 2
    assert share == pytest.approx(task.rotation, abs=1e-14)
    assert np.linalg.norm(j, 2) == pytest.approx(1, rel=1e-12)


def test_instances_of_random_quadratics_differ_and_repeat() -> None:
    """An instance is one game, with other eigenvalues than another instance."""
    one, again, other = (
        jacobian(TASKS.build(f"random_quadratic[instance={i}]").build(PLACEMENT))
        for i in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, again)
    spectra = (np.linalg.eigvalsh(j + j.T) for j in (one, other))
    assert not np.allclose(*spectra)


def test_a_general_sum_instance_couples_the_players_by_two_matrices() -> None:
    """Its own parts are positive definite, and the couplings have one norm."""
    task = TASKS.build("random_quadratic[dim=4,zero_sum=false]")
    j = jacobian(task.build(PLACEMENT))
    upper, lower = j[:4, 4:], j[4:, :4]
    assert np.linalg.norm(upper + lower.T) > 0.1
    assert np.linalg.norm(upper) == pytest.approx(np.linalg.norm(lower), rel=1e-12)
    for own in (j[:4, :4], j[4:, 4:]):
        assert np.linalg.eigvalsh(own)[0] > 0


def companion(j: np.ndarray, eta: float) -> np.ndarray:
    """Return the matrix of an optimistic step on (z, the last field)."""
    one = np.eye(len(j))
    return np.block([[one - 2 * eta * j, eta * one], [j, 0 * one]])


METHODS = {
    "gda": lambda j, eta: np.eye(len(j)) - eta * j,
    "extragradient": lambda j, eta: np.eye(len(j)) - eta * j + eta**2 * j @ j,
    "omd": companion,
    "runge_kutta": lambda j, eta: sum(
        np.linalg.matrix_power(-eta * j, n) / np.prod(np.arange(1, n + 1.0))
        for n in range(5)
    ),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rotation", [0.1, 0.9])
def test_radius_on_random_quadratics(method: str, rotation: float) -> None:
    """One step has the spectral radius of a polynomial in the Jacobian."""
    task = TASKS.build(f"random_quadratic[dim=4,rotation={rotation},instance=7]")
    found = radius(step_matrix(ALGORITHMS.build(f"{method}[step_size=0.4]"), task))
    expected = radius(METHODS[method](jacobian(task.build(PLACEMENT)), 0.4))
    assert found == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(
    "method", ["gda", pytest.param("extragradient", marks=pytest.mark.slow)]
)
def test_fitted_rate_on_random_quadratics(method: str) -> None:
    """The rate fitted to a run is the spectral radius, to what a fit can tell."""
    words = "random_quadratic[dim=2,rotation=0.3,conditioning=4,instance=2]"
    task = TASKS.build(words)
    z = torch.ones(1, 4, dtype=torch.float64)
    distances = track(f"{method}[step_size=0.5]", words, z, 150)[:, 0]
    fitted = estimate_rate(np.arange(len(distances)), distances.numpy())
    expected = radius(METHODS[method](jacobian(task.build(PLACEMENT)), 0.5))
    assert fitted == pytest.approx(expected, rel=5e-3)


def track(words: str, game: str, z: Joint, steps: int) -> torch.Tensor:
    """Return the distance of each run after each step, shape (steps, runs)."""
    algorithm, built = ALGORITHMS.build(words), TASKS.build(game).build(PLACEMENT)
    oracle = Oracle(OracleState(built, tuple(range(len(z)))))
    state, distances = algorithm.init(oracle, z), []
    for _ in range(steps):
        oracle.resample()
        z, state = algorithm.step(oracle, z, state)
        distances.append(built.distance(z, "declared"))
    return torch.stack(distances)


VARIANCE = 2.0  # of the whole noise of bilinear[noise=1]


def noisy(gamma: float, eta: float, z: Joint, steps: int) -> torch.Tensor:
    """Return squared distances on noisy xy, exploring with γ and updating with η."""
    words = f"extragradient[step_size={gamma},ratio={eta / gamma},minibatch=fresh]"
    return track(words, "bilinear[noise=1]", z, steps) ** 2


def test_noise_of_a_step_of_extragradient() -> None:
    """A step from (0, 0) has the mean square η² S (1 + γ²): two independent noises."""
    z = torch.zeros(4000, 2, dtype=torch.float64)
    mean = float(noisy(0.9, 0.3, z, 1).mean())
    # The square of two normal numbers has its mean as standard deviation.
    assert mean == pytest.approx(0.3**2 * VARIANCE * (1 + 0.9**2), rel=0.06)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("gamma", "eta"), [(0.1, 0.1), (0.3, 0.3), (0.5, 0.1), (0.5, 0.02)]
)
def test_noise_keeps_extragradient_away(gamma: float, eta: float) -> None:
    """The stationary mean square is η² S (1 + γ²)/(2γη − γ²η² − η²).

    For γ = η this is S (1 + η²)/(1 − η²), which tends to S as η does to 0, while a
    smaller η brings it to 0.
    """
    expected = eta**2 * VARIANCE * (1 + gamma**2)
    expected /= 2 * gamma * eta - gamma**2 * eta**2 - eta**2
    if gamma == eta:
        exact = VARIANCE * (1 + eta**2) / (1 - eta**2)
        assert expected == pytest.approx(exact, rel=1e-12)
    random = torch.Generator().manual_seed(0)
    z = torch.randn(1000, 2, generator=random, dtype=torch.float64)
    squares = noisy(gamma, eta, (expected / 2) ** 0.5 * z, 200)
    # 1000 runs are independent: the mean is off by at most 3 percent, typically less.
    assert float(squares[50:].mean()) == pytest.approx(expected, rel=0.08)


def test_noise_is_the_same_in_both_precisions_and_absent_from_the_field() -> None:
    """Metrics of the field see the expected game."""
    task = TASKS.build("bilinear[dim=2,noise=0.5]")
    drawn = [
        task.build(PLACEMENT._replace(dtype=dtype))
        .draw(torch.Generator().manual_seed(1), 3)
        .added
        for dtype in (torch.float32, torch.float64)
    ]
    assert torch.equal(drawn[0], drawn[1].float())
    game, z = task.build(PLACEMENT), torch.zeros(1, 4, dtype=torch.float64)
    oracle = Oracle(OracleState(game, (0,)))
    oracle.resample()
    assert oracle.field(z).norm() > 0.1
    assert not Point(game, z, (0,)).field.any()


# ---- convex-concave programs, solved by another package ----


def quadratic_parts(game: Game) -> tuple[np.ndarray, np.ndarray]:
    """Return a symmetric matrix H and a vector g with f(z) = z'Hz/2 + g'z + c."""
    split = game.dim_x

    def f(z: torch.Tensor) -> torch.Tensor:
        return game.losses(z[None, :split], z[None, split:], None)[0][0]

    zero = torch.zeros(game.dim, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(f(zero), zero)
    return hessian(f, zero.detach()).numpy(), gradient.numpy()


@pytest.mark.parametrize(
    "words",
    [
        "lagrangian[dim=4,constraints=3]",
        "lagrangian[dim=4,constraints=6,kind=inequality,instance=2]",
        "robust_least_squares[rows=6,unknowns=3,penalty=1.5]",
    ],
)
def test_the_solution_is_that_of_a_conic_solver(words: str) -> None:
    """DSP-CVXPY finds the declared saddle point, from the second derivatives of f."""
    game = TASKS.build(words).build(PLACEMENT)
    h, g = quadratic_parts(game)
    n = game.dim_x
    of_y = -h[n:, n:] if h[n:, n:].any() else None

    def objective(x: cp.Variable, y: cp.Variable) -> cp.Expression:
        parts = cp.quad_form(x, cp.psd_wrap(h[:n, :n])) / 2 + g[:n] @ x + g[n:] @ y
        parts += dsp.inner(x, h[:n, n:] @ y)
        return parts if of_y is None else parts - cp.quad_form(y, cp.psd_wrap(of_y)) / 2

    def allowed(y: cp.Variable) -> list:
        return [y >= 0] if "inequality" in words else []

    found = saddle_point(objective, n, game.dim_y, allowed)
    z = torch.from_numpy(found)[None]
    assert float(game.distance(z, "declared")) < 1e-4  # what the solver can do


@pytest.mark.filterwarnings("ignore:Gy is non-positive")  # y >= 0 is asked for anyway
def test_robust_regression_is_solved_as_by_a_conic_solver() -> None:
    """DSP-CVXPY finds the weights and coefficients, from the data alone."""
    task = TASKS.build("robust_regression[rows=8,unknowns=2,divergence=0.2,error=1]")
    game = task.build(PLACEMENT)
    a, b = game._a._entries[:8, :2].numpy(), game._b.numpy()

    def objective(x: cp.Variable, y: cp.Variable) -> cp.Expression:
        fit = dsp.saddle_inner(cp.square(a @ x - b), y) / 2
        ridge = task.ridge / 2 * cp.sum_squares(x - game._c.numpy())
        return fit + ridge - task.divergence / 16 * cp.sum_squares(8 * y - 1)

    found = saddle_point(objective, 2, 8, lambda y: [y >= 0, cp.sum(y) == 1])
    assert (game._solution[2:] == 0).any(), "some data must have no weight"
    assert (game._solution[2:] > 0).sum() > 1
    distance = game.distance(torch.from_numpy(found)[None], "declared")
    assert float(distance) < 1e-4  # what the solver can do


@pytest.mark.parametrize(
    "words",
    [
        "robust_regression[divergence=0.01,instance=1]",
        "robust_regression[rows=60,unknowns=20,divergence=0.1,error=3]",
        "robust_regression[divergence=100]",
        "lagrangian[dim=30,constraints=20]",
        "lagrangian[dim=30,constraints=40,kind=inequality]",
        "robust_least_squares[conditioning=1000]",
    ],
)
def test_the_field_is_zero_at_the_solution(words: str) -> None:
    """Also on larger instances: a projected step of the field does not move it."""
    game = TASKS.build(words).build(PLACEMENT)
    z = game._solution[None]
    field = Oracle(OracleState(game, (0,))).field(z)
    assert float((z - game.project(z - field)).norm()) < 1e-12
    assert float(game.distance(z, "nash")) == 0
    moved = game.project(z + 0.1)
    assert float(game.distance(moved, "nash")) > 0.05


def test_an_instance_of_an_inequality_has_both_kinds_of_constraints() -> None:
    """Half of them hold with equality and positive multipliers, the others do not."""
    words = "lagrangian[dim=6,constraints=5,kind=inequality]"
    game = TASKS.build(words).build(PLACEMENT)
    x, y = game._solution[None].split([6, 5], dim=1)
    slack = Oracle(OracleState(game, (0,))).field(torch.cat((x, y), 1))[0, 6:]
    assert (y[0] > 0.4).tolist() == [True, True, True, False, False]
    assert (slack > 0.4).tolist() == [False, False, False, True, True]


# ---- the covariance game ----


def test_the_covariance_game_rotates_with_the_known_frequencies() -> None:
    """Around Σ^½ Q its flow has √(2(σᵢ + σⱼ)) for i ≤ j, and rests in the others."""
    game = TASKS.build("covariance_gan[dim=3,conditioning=9]").build(PLACEMENT)
    rotation = random_rotation(3, torch.Generator().manual_seed(0))
    v = (game._root @ rotation).flatten()
    j = jacobian(game, torch.cat((v, torch.zeros(9, dtype=torch.float64))))
    assert abs(j[:9, :9]).max() < 1e-14
    sigma = np.linalg.eigvalsh(game._covariance)
    pairs = [sigma[i] + sigma[k] for i in range(3) for k in range(i, 3)]
    expected = np.sort([0, 0, 0, *np.sqrt(2 * np.array(pairs))])
    found = np.sort(np.linalg.svd(j[:9, 9:], compute_uv=False))
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_all_square_roots_of_the_covariance_are_solutions() -> None:
    """Up to a rotation of the noise; and the field vanishes there for every W = −W'."""
    game = TASKS.build("covariance_gan[dim=3,batch=5]").build(PLACEMENT)
    random = torch.Generator().manual_seed(1)
    v = game._root @ random_rotation(3, random)
    w = torch.randn(3, 3, generator=random, dtype=torch.float64)
    z = torch.cat((v.flatten(), (w - w.T).flatten()))[None]
    assert float(game.distance(z, "nash")) < 1e-14
    assert float(Oracle(OracleState(game, (0,))).full_field(z).abs().max()) < 1e-14
    moved = z + 0.1 * torch.cat((torch.zeros(9), (w + w.T).flatten()))
    expected = 0.1 * float((w + w.T).norm())
    assert float(game.distance(moved, "declared")) == pytest.approx(expected)
    far = torch.cat((v.flatten() + 1e-3, z[0, 9:]))[None]
    assert 0 < float(game.distance(far, "declared")) <= 3e-3


def test_minibatches_of_the_covariance_game_have_the_moments_of_the_data() -> None:
    """Their mean is Σ, to what 4000 points can tell."""
    task = TASKS.build("covariance_gan[dim=2,batch=400]")
    game = task.build(PLACEMENT)
    points = game.draw(torch.Generator().manual_seed(0), 10).real.flatten(0, 1)
    torch.testing.assert_close(
        points.T @ points / 4000, game._covariance, atol=0.07, rtol=0
    )


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_largest_of_a_random_spectrum_is_its_conditioning(count: int) -> None:
    """So the greatest singular value is the same however many there are."""
    spectrum = random_spectrum(count, 10.0, torch.Generator().manual_seed(0))
    assert spectrum[-1] == spectrum.max() == 10
    assert count == 1 or spectrum[0] == spectrum.min() == 1
