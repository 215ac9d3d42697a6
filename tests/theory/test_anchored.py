"""Anchored methods keep the bounds of their theorems, and follow hand recursions."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from quadratic_games import TwoLosses

from mmbench.algorithms import ALGORITHMS
from mmbench.core.oracle import Oracle
from mmbench.core.oracle_state import OracleState
from mmbench.tasks import TASKS
from mmbench.tasks.base import Task
from mmbench.testing.step_matrices import radius, step_matrix
from mmbench.testing.tools import PLACEMENT


@dataclass(frozen=True, kw_only=True)
class Monotone(TwoLosses):
    """A random convex-concave quadratic game whose Jacobian has the norm 1.

    Args:
        curvature: weight of the players' own second derivatives, which are singular.
    """

    dim_x: int = 3
    dim_y: int = 4
    is_zero_sum: bool = True
    curvature: float = 0.1

    def matrices(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return P and Q = -P in float64."""
        random = torch.Generator().manual_seed(self.seed)
        size, n = self.dim_x + self.dim_y, self.dim_x
        a, b = torch.randn(2, size, size, generator=random, dtype=torch.float64)
        a[:, :2] = 0
        p = b + b.T
        p[:n, :n] = self.curvature * a[:n, :n] @ a[:n, :n].T
        p[n:, n:] = -self.curvature * a[n:, n:] @ a[n:, n:].T
        jacobian = torch.cat((p[:n], -p[n:]))
        assert torch.linalg.eigvalsh(jacobian + jacobian.T)[0] > -1e-9
        p = p / torch.linalg.matrix_norm(jacobian, ord=2)
        return p, -p


def path(words: str, task: Task, starts: list[list[float]], steps: int) -> np.ndarray:
    """Return the iterates from some starts, shape (steps + 1, starts, dim)."""
    game, algorithm = task.build(PLACEMENT), ALGORITHMS.build(words)
    z = torch.tensor(starts, dtype=PLACEMENT.dtype)
    oracle = Oracle(OracleState(game, tuple(range(len(z)))))
    state, zs = algorithm.init(oracle, z), [z]
    for _ in range(steps):
        oracle.resample()
        z, state = algorithm.step(oracle, z, state)
        zs.append(z)
    return torch.stack(zs).numpy()


# ---- on xy: with w = x + iy, F is multiplication by -i ----


def rotated(eta: float, steps: int, start: complex) -> np.ndarray:
    """EAG with a constant step size on xy, in complex numbers."""
    zs = [start]
    for k in range(steps):
        drawn = zs[-1] + (start - zs[-1]) / (k + 2)
        zs.append(drawn + 1j * eta * (drawn + 1j * eta * zs[-1]))
    return np.array(zs)


def test_eag_on_xy() -> None:
    """k ‖F‖ tends to ‖z₀‖/η, and k ‖F(z at k + 1)‖ is as published.

    From (1, 0.7) at η = 0.3 it is 3.97, 4.06 and 4.07 at k = 1e2, 1e3 and 1e4.
    """
    expected = rotated(0.3, 10_001, 1 + 0.7j)
    found = path("eag[step_size=0.3]", TASKS.build("bilinear"), [[1, 0.7]], 60)[:, 0]
    assert found @ [1, 1j] == pytest.approx(expected[:61], rel=0, abs=1e-13)
    for k, value in ((100, 3.97), (1000, 4.06), (10_000, 4.07)):
        assert k * abs(expected[k + 1]) == pytest.approx(value, abs=5e-3)
    assert 1e4 * abs(expected[-1]) == pytest.approx(abs(1 + 0.7j) / 0.3, rel=5e-4)


def test_feg_is_exactly_its_bound_on_xy() -> None:
    """On L xy at η = 1/L, z is (0, 1/(2l + 1)) at step 4l + 2, as in the authors'
    Example 2.
    """
    game = TASKS.build("bilinear[smallest=2,largest=2,dim=1]")
    found = path("feg[step_size=0.5]", game, [[1, 0]], 42)[:, 0]
    for step in range(2, 43, 4):
        assert found[step] == pytest.approx([0, 2 / step], abs=1e-14)


# ---- bounds of ‖F(z)‖² at step k, over ‖z₀ - z*‖² = 1, where L = 1 ----

K = np.arange(1, 61)


def last_share(first: float) -> float:
    """The limit of EAG-V's step size times the Lipschitz constant."""
    alpha = first
    for k in range(100_000):
        alpha *= 1 - alpha**2 / ((1 - alpha**2) * (k + 1) * (k + 3))
    return alpha


def test_varying_step_has_the_published_limit_and_constant() -> None:
    """From 0.618 the step size falls to about 0.437, which makes the constant 27."""
    limit = last_share(0.618)
    assert limit == pytest.approx(0.437, abs=1e-3)
    assert 4 * (1 + 0.618 * limit) / limit**2 == pytest.approx(27, abs=0.5)


def eag_bound(alpha: float) -> np.ndarray:
    """Return the bound of EAG-C, which is 260/(k + 1)² at α = 1/8."""
    return 4 * (1 + alpha + alpha**2) / (alpha**2 * (1 + alpha)) / (K + 1) ** 2


BOUNDS = [
    ("eag[step_size=0.125]", eag_bound(0.125)),
    (
        "eag[step_size=0.618,lipschitz_step=0.618]",
        4 * (1 + 0.618 * 0.437) / 0.437**2 / ((K + 1) * (K + 2)),
    ),
    ("feg[step_size=1]", 4 / K**2),
]


@pytest.mark.parametrize(("words", "bound"), BOUNDS, ids=["EAG-C", "EAG-V", "FEG"])
def test_bounds_hold_on_monotone_games(words: str, bound: np.ndarray) -> None:
    """‖F(z)‖² is below the theorem's bound at every step, on two games."""
    for seed, curvature in ((0, 0.0), (1, 0.3)):
        task = Monotone(seed=seed, curvature=curvature)
        starts = np.random.default_rng(seed).standard_normal((16, 7))
        starts /= np.linalg.norm(starts, axis=1, keepdims=True)
        zs = path(words, task, starts.tolist(), len(K))[1:]
        squares = ((zs @ task.jacobian().numpy().T) ** 2).sum(2).max(1)
        assert (squares <= bound).all()
        assert squares[-1] > bound[-1] / 100


def test_bound_holds_where_the_field_is_not_monotone() -> None:
    """With ρ = -0.3 and L = 1, ‖F‖² is below 4/((1 + 2ρ) k)²; extragradient diverges.

    On f = a xy + b x²/2 - b y²/2 with b = ρ and a² = 1 - ρ², F is 1-Lipschitz and
    exactly ρ-comonotone.
    """
    rho = -0.3
    words = f"quadratic[a={rho / 2},b={np.sqrt(1 - rho**2)},c={-rho / 2}]"
    task, start = TASKS.build(words), [[0.6, 0.8]]
    zs = path(f"feg[step_size=1,comonotonicity={rho}]", task, start, len(K))[1:, 0]
    squares = (zs**2).sum(1)  # F keeps lengths
    assert (squares <= 4 / ((1 + 2 * rho) * K) ** 2).all()
    assert squares[-1] * K[-1] ** 2 > 1
    diverged = path("extragradient[step_size=1]", task, start, len(K))[-1, 0]
    assert np.linalg.norm(diverged) > 1e3


def test_anchored_proximal_point_keeps_its_bound() -> None:
    """‖z - T(z)‖ ≤ 2 ‖z₀ - z*‖/(k + 1) for T = (I + ηJ)⁻¹, at a large step size."""
    task = Monotone(seed=3)
    start = np.random.default_rng(3).standard_normal((4, 7))
    start /= np.linalg.norm(start, axis=1, keepdims=True)
    words = "halpern[base=proximal_point[step_size=5,newton_steps=1,tolerance=1e-12]]"
    zs = path(words, task, start.tolist(), 30)
    resolvent = np.linalg.inv(np.eye(7) + 5 * task.jacobian().numpy())
    k = np.arange(31)[:, None]
    residuals = np.linalg.norm(zs - zs @ resolvent.T, axis=2)
    assert (residuals <= 2 / (k + 1)).all()
    recursion = start / (k[1:, None] + 1) + (1 - 1 / (k[1:, None] + 1)) * (
        zs[:-1] @ resolvent.T
    )
    assert zs[1:] == pytest.approx(recursion, rel=0, abs=1e-11)


# ---- proximal point and reflected gradient ----


@pytest.mark.parametrize("is_zero_sum", [True, False])
@pytest.mark.parametrize(
    ("words", "pair"),
    [("newton,newton_steps=1", (2.0, 0.5)), ("fixed_point", (0.05, 0.03))],
    ids=["newton", "fixed_point"],
)
def test_proximal_point_is_the_resolvent(
    words: str, pair: tuple[float, float], is_zero_sum: bool
) -> None:
    """The matrix of a step is (I + ηJ)⁻¹, with a step size of each player."""
    task = TwoLosses(seed=1, is_zero_sum=is_zero_sum)
    step_size = f"({pair[0]},{pair[1]})"
    words = f"proximal_point[solver={words},step_size={step_size},tolerance=1e-14]"
    found = step_matrix(ALGORITHMS.build(words), task)
    row = np.r_[np.full(2, pair[0]), np.full(3, pair[1])][:, None]
    expected = np.linalg.inv(np.eye(5) + row * task.jacobian().numpy())
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-10)


def test_proximal_point_on_xy_is_cgd() -> None:
    """Its radius there is 1/√(1 + η²)."""
    words = "proximal_point[step_size=1.5,tolerance=1e-14]"
    found = radius(step_matrix(ALGORITHMS.build(words), TASKS.build("bilinear")))
    assert found == pytest.approx(1 / np.sqrt(1 + 1.5**2), rel=1e-12)


def test_proximal_point_solves_a_nonlinear_equation() -> None:
    """Both inner loops end where z⁺ = z − η F(z⁺), on the DiracGAN."""
    task = TASKS.build("dirac_gan")
    oracle = Oracle(OracleState(task.build(PLACEMENT), (0,)))
    for solver in ("newton,newton_steps=5", "fixed_point"):
        words = f"proximal_point[solver={solver},step_size=0.5,tolerance=1e-14]"
        z, moved = path(words, task, [[1.0, 2.0]], 1)
        field = oracle.field(torch.tensor(moved)).numpy()
        assert moved == pytest.approx(z - 0.5 * field, rel=0, abs=1e-12)


def test_one_fixed_point_iteration_is_gda_and_two_are_extragradient() -> None:
    """The methods are the first approximations of the proximal point."""
    task, start = TASKS.build("quadratic"), [[1.0, -0.5]]
    for count, other in ((1, "gda"), (2, "extragradient")):
        words = f"proximal_point[solver=fixed_point,iterations={count}]"
        ours, theirs = path(words, task, start, 5), path(other, task, start, 5)
        assert np.array_equal(ours, theirs)


def test_reflected_gradient_is_its_formula() -> None:
    """The matrix of a step on (z, z⁻) is that of its rule."""
    task = TwoLosses(seed=2)
    found = step_matrix(ALGORITHMS.build("reflected_gradient[step_size=0.2]"), task)
    identity, jacobian = np.eye(5), 0.2 * task.jacobian().numpy()
    expected = np.block(
        [[identity - 2 * jacobian, jacobian], [identity, np.zeros((5, 5))]]
    )
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_reflected_points_are_those_of_optimistic_descent() -> None:
    """Without constraints, 2z - z⁻ moves as OMD does, after its first step."""
    task, start = TASKS.build("quadratic"), [[1.0, -0.5]]
    zs = path("reflected_gradient[step_size=0.03]", task, start, 12)[:, 0]
    reflected = 2 * zs[1:] - zs[:-1]
    expected = path("omd[step_size=0.03,first=zero]", task, start, 12)[1:, 0]
    assert reflected == pytest.approx(expected, rel=0, abs=1e-12)


def test_halpern_is_exactly_its_bound() -> None:
    """‖z - T(z)‖ is 2 ‖z₀ - z*‖/(k + 1) at even k, and never more.

    On x²/2 - y²/2 F is the identity, and a step of GDA with η = 2 changes z's sign.
    """
    task = TASKS.build("quadratic[a=0.5,b=0,c=-0.5]")
    words = "halpern[base=gda[step_size=2]]"
    zs = path(words, task, [[0.6, 0.8]], len(K))[1:, 0]
    residuals = 2 * np.linalg.norm(zs, axis=1)
    assert (residuals <= 2 / (K + 1) + 1e-14).all()
    assert residuals[1::2] == pytest.approx(2 / (K[1::2] + 1), rel=1e-12)


# ---- smoothed GDA ----


def test_smoothed_gda_is_its_formula() -> None:
    """The matrix of a step on (z, averages) is the product of its three updates."""
    task = TwoLosses(seed=4)
    words = "smoothed_gda[step_size=(0.1,0.2),penalty=(1.5,0.7),averaging=(0.3,0.4)]"
    found = step_matrix(ALGORITHMS.build(words), task)
    jacobian, of_x = task.jacobian().numpy(), np.diag([1.0, 1, 0, 0, 0])
    identity, of_y = np.eye(5), np.eye(5) - of_x
    none, penalty = np.zeros((5, 5)), 1.5 * of_x + 0.7 * of_y
    average = 0.3 * of_x + 0.4 * of_y

    def move(player: np.ndarray, step_size: float) -> np.ndarray:
        slope = np.hstack((jacobian + penalty, -penalty))
        return np.eye(10) - step_size * np.vstack((player @ slope, np.zeros((5, 10))))

    averaging = np.block([[identity, none], [average, identity - average]])
    expected = averaging @ move(of_y, 0.2) @ move(of_x, 0.1)
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_smoothing_lets_alternating_steps_converge_on_xy() -> None:
    """Alternating GDA circles there; a penalty on x alone damps it."""
    task = TASKS.build("bilinear")
    plain = ALGORITHMS.build("smoothed_gda[penalty=(0,0),step_size=0.5]")
    assert np.abs(np.linalg.eigvals(step_matrix(plain, task)))[:2].max() <= 1 + 1e-12
    smoothed = ALGORITHMS.build("smoothed_gda[step_size=0.5]")
    assert radius(step_matrix(smoothed, task)) < 0.95


# ---- CurvatureEG+ ----


def curvature_steps(task: Task, z: np.ndarray, steps: int) -> np.ndarray:
    """CurvatureEG+ as in the authors' code, with the exact norm of the Jacobian."""
    oracle = Oracle(OracleState(task.build(PLACEMENT), (0,)))

    def field(point: np.ndarray) -> np.ndarray:
        return oracle.field(torch.tensor(point[None])).numpy()[0]

    zs = [z]
    for _ in range(steps):
        h = 1e-6 * np.eye(2)
        jacobian = [(field(z + e) - field(z - e)) / 2e-6 for e in h]
        gamma, at_z = 0.99 / np.linalg.norm(jacobian, ord=2), field(z)
        ahead = z - gamma * at_z
        while gamma * np.linalg.norm(field(ahead) - at_z) > 0.99 * np.linalg.norm(
            ahead - z
        ):
            gamma /= 2
            ahead = z - gamma * at_z
        change = (ahead - gamma * field(ahead)) - (z - gamma * at_z)
        alpha = -0.495 + (ahead - z) @ change / (change @ change)
        z = z + alpha * change
        zs.append(z)
    return np.array(zs)


@pytest.mark.parametrize(
    ("game", "start"), [("forsaken", [0.7, 1.0]), ("polar[a=1]", [0.9, 0.4])]
)
def test_curvature_eg_follows_the_authors_code(game: str, start: list[float]) -> None:
    """With many power iterations its steps are those with the exact norm."""
    task = TASKS.build(game)
    found = path("curvature_eg[power=40]", task, [start], 4)[:, 0]
    expected = curvature_steps(task, np.array(start), 4)
    assert found == pytest.approx(expected, rel=0, abs=1e-7)


def test_curvature_eg_escapes_the_cycle() -> None:
    """It reaches (0, 0) where extragradient with a small step stays on a cycle."""
    task, start = TASKS.build("global_forsaken"), [[1.0, 1.0]]
    assert np.linalg.norm(path("curvature_eg[shift=-0.25]", task, start, 40)[-1]) < 1e-3
    small = path("extragradient[step_size=0.05]", task, start, 60)[-1]
    assert np.linalg.norm(small) > 1


# ---- two step sizes, and the correction of the look-ahead's bias ----


def test_ratio_follows_its_decay() -> None:
    """On xy a step multiplies w = x + iy by 1 + i ηρ s(t) (1 + iη)."""
    words = "extragradient[step_size=0.5,ratio=0.8,decay=power[exponent=0.7,offset=3]]"
    found = path(words, TASKS.build("bilinear"), [[1.0, 0.5]], 6)[:, 0] @ [1, 1j]
    expected = [1 + 0.5j]
    for t in range(6):
        share = 0.8 * (1 + t / 3) ** -0.7
        expected.append(expected[-1] * (1 + 0.5j * share * (1 + 0.5j)))
    assert found == pytest.approx(np.array(expected), abs=1e-14)


def test_decay_brings_noise_to_zero() -> None:
    """With a constant look-ahead and a falling update, E‖z‖² falls on noisy xy.

    It follows E⁺ = (1 − 2 γη + γ²η² + η²) E + η² S (1 + γ²), which with η = 1/t is
    what the mean over 1000 runs estimates.
    """
    words = "extragradient[step_size=0.5,ratio=1,minibatch=fresh,decay=power[offset=4]]"
    zs = path(words, TASKS.build("bilinear[noise=1]"), [[0.0, 0.0]] * 1000, 12)
    mean = 0.0
    for t in range(12):
        eta = 0.5 / (1 + t / 4)
        mean *= 1 - 2 * 0.5 * eta + 0.25 * eta**2 + eta**2
        mean += eta**2 * 2.0 * (1 + 0.25)
    assert (zs[-1] ** 2).sum(1).mean() == pytest.approx(mean, rel=0.1)


def test_without_noise_the_correction_dies_out() -> None:
    """z̃ − (z − ηF(z)) is multiplied by 1 − α at each step; with α = 1 there is none."""
    task, algorithm = TASKS.build("forsaken"), ALGORITHMS.build("bcseg[ratio=0.25]")
    z = torch.tensor([[0.9, 0.4]], dtype=torch.float64)
    oracle = Oracle(OracleState(task.build(PLACEMENT), (0,)))
    state, expected = algorithm.init(oracle, z), 0.1 * oracle.field(z)
    for t in range(6):
        before = z
        z, state = algorithm.step(oracle, z, state)
        error = state.ahead - (before - 0.1 * oracle.field(before))
        expected = (1 - 0.25 / (1 + t / 100)) * expected
        torch.testing.assert_close(error, expected, rtol=1e-9, atol=1e-13)


def test_correction_averages_the_noise_of_the_look_ahead() -> None:
    """On noisy xy, BCSEG+ is a linear recursion in z, z⁻ and z̃⁻ and both noises.

    From (0, 0), E‖z‖² follows from its matrices; the mean over 1000 runs estimates it.
    """
    words = "bcseg[step_size=0.5,ratio=0.5,decay=power[offset=10]]"
    zs = path(words, TASKS.build("bilinear[noise=1]"), [[0.0, 0.0]] * 1000, 12)
    covariance = np.zeros((3, 3), dtype=complex)  # of (z, z⁻, z̃⁻) as complex numbers
    for t in range(12):
        alpha = 0.5 / (1 + t / 10)
        step = 1 + 0.5j  # I − ηF
        ahead = np.array([step, -(1 - alpha) * step, 1 - alpha])
        update = np.array([[1, 0, 0], [1, 0, 0], ahead])
        update[0] = update[0] + 0.5j * alpha * ahead
        first = -0.5 * alpha * np.array([0.5j * alpha, 0, 1])  # of the look-ahead
        second = np.array([-0.5 * alpha, 0, 0])
        covariance = update @ covariance @ update.conj().T
        covariance += 2 * np.outer(first, first.conj())
        covariance += 2 * np.outer(second, second.conj())
    mean = covariance[0, 0].real
    assert (zs[-1] ** 2).sum(1).mean() == pytest.approx(mean, rel=0.1)
