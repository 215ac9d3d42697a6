"""Games of mixed strategies and entropic methods, against linear programs and bounds.

What is expected is computed here in numpy and scipy: values by linear programming,
steps in the logarithms of the probabilities, Kuhn poker by playing its tree.
"""

import math
from collections.abc import Iterator
from itertools import permutations, product

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from scipy.special import softmax

from mmbench.algorithms import ALGORITHMS
from mmbench.core.oracle import Oracle
from mmbench.core.oracle_state import OracleState
from mmbench.tasks import TASKS
from mmbench.tasks._simplex import SimplexGame, project_on_simplex
from mmbench.tasks.kuhn_poker import payoffs as kuhn_payoffs
from mmbench.tasks.matrix_game import payoffs
from mmbench.tasks.ratio_game import MATRICES
from mmbench.testing.tools import PLACEMENT, start_runs

PENNIES = "matrix_game[matrix=matching_pennies]"
RANDOM = "matrix_game[matrix=random,size=5,instance=3]"
KUHN, RATIO = "kuhn_poker", "ratio_game"
INTERIOR = "ratio_game[equilibrium=interior]"
Array = np.ndarray


def build(words: str) -> SimplexGame:
    """Return the game of a spec, in float64."""
    game = TASKS.build(words).build(PLACEMENT)
    assert isinstance(game, SimplexGame)
    return game


def matrix_of(words: str) -> Array:
    """Return the payoffs to y."""
    return (kuhn_payoffs() if words == KUHN else payoffs(TASKS.build(words))).numpy()


def sizes(game: SimplexGame) -> list[int]:
    """Return the number of entries of each simplex."""
    return [size for count, size in game._simplices for _ in range(count)]


def mixed(game: SimplexGame, runs: int = 20) -> torch.Tensor:
    """Return random mixed strategies."""
    random = torch.Generator().manual_seed(1)
    return game.normalise(
        torch.rand(runs, game.dim, generator=random, dtype=torch.float64)
    )


def follow(algorithm: str, game: str, steps: int) -> Iterator[tuple[Array, Array]]:
    """Yield iterates and answers of three runs, the start first."""
    method, (oracle, z) = ALGORITHMS.build(algorithm), start_runs(TASKS.build(game))
    state = method.init(oracle, z)
    yield z.numpy(), method.answer(z, state).numpy()
    for _ in range(steps):
        z, state = method.step(oracle, z, state)
        yield z.numpy(), method.answer(z, state).numpy()


# ---- geometry ----


@pytest.mark.parametrize("scale", [0.3, 1, 1e3])
def test_projections_are_the_nearest_points(scale: float) -> None:
    """Optimality conditions: v − p is τ where p is positive, and at most τ else."""
    random = torch.Generator().manual_seed(0)
    for size in (1, 2, 3, 8):
        v = scale * torch.randn(50, size, generator=random, dtype=torch.float64)
        p = project_on_simplex(v)
        assert p.min() >= 0
        assert (p.sum(1) - 1).abs().max() < 1e-14
        tau = torch.where(p > 0, v - p, -math.inf).amax(1, keepdim=True)
        slack = torch.where(p > 0, (v - p - tau).abs(), v - tau)
        assert slack.max() < 1e-14 * max(1, scale)


def test_points_on_the_simplex_are_kept() -> None:
    """Projection changes no bit of a mixed strategy, whatever its zeros."""
    p = mixed(build(KUHN))
    assert torch.equal(build(KUHN).project(p), p)
    corner = torch.tensor([[0.0, 1.0, 0.0], [0.1, 0.9, 0.0]])
    assert torch.equal(project_on_simplex(corner), corner)


@pytest.mark.parametrize("game", [RANDOM, KUHN])
def test_an_entropic_step_is_its_closed_form(game: str) -> None:
    """Every simplex gets zᵢ exp(stepᵢ) over its sum, to 1e-12."""
    built = build(game)
    z = mixed(built)
    step = 3 * torch.randn(
        z.shape, generator=torch.Generator().manual_seed(2), dtype=z.dtype
    )
    weights = np.split((z * step.exp()).numpy(), np.cumsum(sizes(built))[:-1], axis=1)
    expected = np.hstack([one / one.sum(1, keepdims=True) for one in weights])
    np.testing.assert_allclose(built.mirror(z, step).numpy(), expected, rtol=1e-12)


def test_entropic_steps_survive_what_overflows() -> None:
    """Huge steps and vanished probabilities give mixed strategies, and none is lost."""
    game = build(PENNIES)
    z = torch.tensor([[1.0, 0.0, 0.5, 0.5]], dtype=torch.float64)
    huge = game.mirror(z, torch.tensor([[0, 1e4, -1e5, 1e5]], dtype=torch.float64))
    assert huge.tolist() == [[0, 1, 0, 1]]


def dilated_entropy(x: torch.Tensor) -> torch.Tensor:
    """Return the dilated entropy of x in Kuhn poker, over all sequences.

    At each decision it is the entropy of the actions times the probability to be there.
    """
    bet, fold, call = x.unbind(-1)
    check = fold + call
    first = bet * bet.log() + check * check.log()
    second = check * (fold / check * (fold / check).log())
    second = second + check * (call / check * (call / check).log())
    return (first + second).sum()


def test_entropic_steps_of_kuhn_poker_are_those_of_the_dilated_entropy() -> None:
    """∇ψ(z⁺) − ∇ψ(z) is the step, up to a constant on each card's simplex."""
    game = build(KUHN)
    z = mixed(game)
    step = torch.randn(
        z.shape, generator=torch.Generator().manual_seed(3), dtype=z.dtype
    )
    slopes = []
    for point in (z, game.mirror(z, step)):
        x = game.blocks(point)[0].clone().requires_grad_()
        slopes.append(*torch.autograd.grad(dilated_entropy(x), x))
    rest = slopes[1] - slopes[0] - game.blocks(step)[0]
    assert (rest - rest.mean(2, keepdim=True)).abs().max() < 1e-12


# ---- values and equilibria ----


def optimum(
    a: Array, x: tuple[int, int], y: tuple[int, int], along: Array | None = None
) -> tuple[float, Array]:
    """Minimise over x the payoff of the best answer, as a linear program.

    Args:
        a: payoffs to y.
        x: number of simplices of x and number of entries of each.
        y: the same of y.
        along: direction in which an optimal x is to be extreme; none finds any.

    Returns:
        The value, or how far optimal x reach in the direction, and such an x.
    """
    of_x, of_y = (np.kron(np.eye(count), np.ones(size)) for count, size in (x, y))
    cost = np.r_[np.zeros(len(a)), np.ones(y[0])]  # one payoff for each simplex of y
    below, bounds = (
        np.hstack((a.T, -of_y.T)),
        [(0, None)] * len(a) + [(None, None)] * y[0],
    )
    sums = np.hstack((of_x, np.zeros((x[0], y[0]))))
    rest = {"A_eq": sums, "b_eq": np.ones(x[0]), "bounds": bounds}
    found = linprog(cost, below, np.zeros(len(below)), **rest)
    if along is None:
        return found.fun, found.x[: len(a)]
    below, most = np.vstack((below, cost)), np.r_[np.zeros(len(below)), found.fun]
    found = linprog(-np.r_[along, np.zeros(y[0])], below, most, **rest)
    return -found.fun, found.x[: len(a)]


@pytest.mark.parametrize("game", [PENNIES, "matrix_game", RANDOM, KUHN])
def test_the_gap_is_zero_at_solutions_of_the_linear_program(game: str) -> None:
    """Both players' programs have one value, and their solutions the gap 0."""
    built, a = build(game), matrix_of(game)
    of_x, of_y = built._simplices
    (value, x), (other, y) = optimum(a, of_x, of_y), optimum(-a.T, of_y, of_x)
    z = torch.tensor(np.r_[x, y])[None]
    assert value == pytest.approx(-other, abs=1e-9)
    assert value == pytest.approx(
        built.losses(*z.split([len(x), len(y)], 1), None)[0].item()
    )
    assert built.gap(z, 1.0).item() == pytest.approx(0, abs=1e-9)
    if built._solutions is not None:
        assert value == pytest.approx(1 / 18 if game == KUHN else 0, abs=1e-9)
        assert built.distance(z, "nash").item() < 1e-7


def test_all_equilibria_of_kuhn_poker_are_declared() -> None:
    """In each direction the optimal strategies reach as far as the declared segment."""
    a, (of_x, of_y) = matrix_of(KUHN), build(KUHN)._simplices
    ends, random = build(KUHN)._solutions.numpy(), np.random.default_rng(0)
    for _ in range(10):
        along = random.normal(size=21)
        reached = optimum(a, of_x, of_y, along[:9])[0]
        assert reached == pytest.approx((ends[:, :9] @ along[:9]).max(), abs=1e-6)
        reached = optimum(-a.T, of_y, of_x, along[9:])[0]
        assert reached == pytest.approx((ends[:, 9:] @ along[9:]).max(), abs=1e-6)


def test_distances_are_to_the_segment() -> None:
    """They are 0 between the ends, and those to an end beyond it."""
    game = build(KUHN)
    first, last = game._solutions
    shares = torch.tensor([0, 0.4, 1, 1.5, -2], dtype=first.dtype)[:, None]
    found = game.distance(first + shares * (last - first), "nash")
    length = (last - first).norm()
    expected = length * torch.tensor([0, 0, 0, 0.5, 2], dtype=length.dtype)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("game", [RANDOM, KUHN, RATIO, INTERIOR])
def test_the_gap_is_that_of_the_best_pure_answers(game: str) -> None:
    """It is what all pure answers, played one by one, can gain."""
    built = build(game)
    pure_x, pure_y = (
        torch.tensor(np.array([*product(np.eye(size), repeat=count)])).flatten(1)
        for count, size in built._simplices
    )
    z = mixed(built, 5)
    for x, y in zip(*z.split([built.dim_x, built.dim_y], 1), strict=True):
        best = built.losses(x.expand(len(pure_y), -1), pure_y, None)[0].max()
        least = built.losses(pure_x, y.expand(len(pure_x), -1), None)[0].min()
        found = built.gap(torch.cat((x, y))[None], 1.0).item()
        assert found == pytest.approx(float(best - least), abs=1e-14)


def kuhn_loss(x: Array, y: Array) -> float:
    """Play all six deals of Kuhn poker, and return what the first player loses a hand.

    Args:
        x: bet, check-fold and check-call by card.
        y: check or bet after a check, then fold or call after a bet, by card.
    """
    lost = 0.0
    for mine, theirs in permutations(range(3), 2):
        bet, fold, call = x[mine]
        (checks, raises), (folds, calls) = y[theirs, :2], y[theirs, 2:]
        won = 1 if mine > theirs else -1  # in antes, at a showdown
        lost -= bet * (folds + calls * 2 * won)
        lost -= (fold + call) * checks * won + raises * (2 * won * call - fold)
    return lost / 6


def test_kuhn_poker_is_played_by_its_rules() -> None:
    """The bilinear payoff is that of the game tree, to rounding."""
    game = build(KUHN)
    z = mixed(game)
    found = game.losses(z[:, :9], z[:, 9:], None)[0]
    x, y = z[:, :9].reshape(-1, 3, 3).numpy(), z[:, 9:].reshape(-1, 3, 4).numpy()
    expected = [kuhn_loss(*one) for one in zip(x, y, strict=True)]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-15)


@pytest.mark.parametrize("game", [RATIO, INTERIOR])
def test_ratio_games_have_one_equilibrium_that_is_no_minty_solution(game: str) -> None:
    """The gap is 0 there alone, and the field points away from it at some points."""
    built = build(game)
    star = built._solutions
    assert built.gap(star, 1.0).abs().item() < 1e-13
    grid = torch.cartesian_prod(*[torch.linspace(0, 1, 101, dtype=star.dtype)] * 2)
    x, y = grid[:, :1], grid[:, 1:]
    z = torch.cat((x, 1 - x, y, 1 - y), dim=1)
    far = (z - star).norm(dim=1) > 0.05
    assert built.gap(z[far], 1.0).min() > 1e-3
    r, s = (
        torch.tensor(one, dtype=star.dtype)
        for one in MATRICES[TASKS.build(game).equilibrium]
    )
    x, y = z[:, :2], z[:, 2:]
    pays, stops = ((x @ one * y).sum(1, keepdim=True) for one in (r, s))
    at_x = (y @ r.T * stops - pays * (y @ s.T)) / stops**2
    at_y = (x @ r * stops - pays * (x @ s)) / stops**2
    products = (torch.cat((at_x, -at_y), dim=1) * (z - star)).sum(1)
    assert products.min() < -0.01
    oracle = Oracle(OracleState(built, tuple(range(len(z)))))
    torch.testing.assert_close(oracle.field(z), torch.cat((at_x, -at_y), dim=1))


# ---- methods ----


def entropic(algorithm: str, game: str, steps: int, eta: float) -> Array:
    """Return iterates from the sums of all fields, in the logarithms of the start.

    Mirror descent without projections is a softmax of the start's logarithm less η
    times the sum of the fields, in which the corrections of optimism telescope.
    """
    built, a = build(game), matrix_of(game)
    ends = np.cumsum(sizes(built))[:-1]

    def point(dual: Array) -> Array:
        parts = [softmax(one, axis=1) for one in np.split(dual, ends, axis=1)]
        return np.hstack(parts)

    def field(z: Array) -> Array:
        x, y = z[:, : len(a)], z[:, len(a) :]
        return np.hstack((y @ a.T, -x @ a))

    start = np.log(next(follow(algorithm, game, 0))[0])
    total, found = np.zeros_like(start), [np.exp(start)]
    first = previous = field(found[0])
    for _ in range(steps):
        z = found[-1]
        if algorithm.startswith("mirror_prox"):
            ahead = point(start - eta * (total + field(z)))
            total = total + field(ahead)
            found.append(point(start - eta * total))
        else:
            previous = field(z)
            total = total + previous
            correction = previous - first if "optimism" in algorithm else 0
            found.append(point(start - eta * (total + correction)))
    return np.stack(found)


@pytest.mark.parametrize("game", [RANDOM, KUHN])
@pytest.mark.parametrize(
    "algorithm",
    [
        "mirror_descent[step_size=0.5]",
        "mirror_descent[step_size=0.5,optimism=1]",
        "mirror_prox[step_size=0.5]",
    ],
)
def test_steps_are_those_of_the_summed_fields(algorithm: str, game: str) -> None:
    """Iterates are a softmax of sums, computed in numpy, to 1e-10."""
    found = np.stack([z for z, _ in follow(algorithm, game, 20)])
    expected = entropic(algorithm, game, 20, 0.5)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def logarithms(z: Array) -> Array:
    """Return the logarithms of the odds of both players in a game of two actions."""
    return np.log(z[:, [0, 2]] / z[:, [1, 3]])


def test_mirror_descent_spirals_outward_and_mirror_prox_inward() -> None:
    """On matching pennies the divergence from the equilibrium grows, and shrinks.

    In the log-odds u and v a step of mirror descent is u⁺ = u − 2η tanh(v/2),
    v⁺ = v + 2η tanh(u/2), and the divergence Σ log cosh(·/2), over both players.
    """
    points = [z for z, _ in follow("mirror_descent[step_size=0.5]", PENNIES, 40)]
    odds = np.stack([logarithms(z) for z in points])
    turned = np.stack((-np.tanh(odds[:-1, :, 1] / 2), np.tanh(odds[:-1, :, 0] / 2)), 2)
    np.testing.assert_allclose(odds[1:], odds[:-1] + 2 * 0.5 * turned, atol=1e-12)
    assert (np.diff(divergence(points), axis=0) > 0).all()
    points = [z for z, _ in follow("mirror_prox[step_size=0.5]", PENNIES, 40)]
    assert (np.diff(divergence(points), axis=0) < 0).all()
    assert divergence(points)[-1].max() < 0.01 * divergence(points)[0].max()


def divergence(points: list[Array]) -> Array:
    """Return the divergence of the uniform strategies from each point and run."""
    return np.stack([-np.log(2 * z).sum(1) / 2 for z in points])


# Rates on xy with η, whose field the log-odds have near the equilibrium.
RATES = [
    ("mirror_descent", math.sqrt(1 + 0.3**2)),
    ("mirror_prox", math.sqrt(1 - 0.3**2 + 0.3**4)),
    ("mirror_descent[optimism=1]", max(abs(np.roots([1, 0.6j - 1, -0.3j])))),
]


@pytest.mark.parametrize(("algorithm", "rate"), RATES)
def test_rates_near_the_equilibrium_are_those_of_xy(
    algorithm: str, rate: float
) -> None:
    """A step's derivative at the equilibrium of matching pennies, by differences."""
    words = algorithm.rstrip("]").replace("[", "[step_size=0.3,")
    words = words + "]" if "[" in words else words + "[step_size=0.3]"
    method, game = ALGORITHMS.build(words), build(PENNIES)
    oracle = Oracle(OracleState(game, (0, 1)))
    odds = torch.tensor([[1e-6, 0.0], [0.0, 1e-6]], dtype=torch.float64)
    p = torch.sigmoid(odds)
    z = torch.stack((p[:, 0], 1 - p[:, 0], p[:, 1], 1 - p[:, 1]), dim=1)
    state, found = method.init(oracle, z), []
    for _ in range(4):
        found.append(logarithms(z.numpy()).T / 1e-6)
        z, state = method.step(oracle, z, state)
    if "optimism" not in algorithm:
        assert max(abs(np.linalg.eigvals(found[1]))) == pytest.approx(rate, abs=1e-9)
        return
    before, at, after, last = found  # z⁺ = Mz + Nz⁻, solved from three steps
    m, n = np.split(
        np.hstack((after, last)) @ np.linalg.inv(np.block([[at, after], [before, at]])),
        2,
        axis=1,
    )
    step = np.block([[m, n], [np.eye(2), np.zeros((2, 2))]])
    assert max(abs(np.linalg.eigvals(step))) == pytest.approx(rate, abs=1e-6)


def lipschitz(game: SimplexGame, a: Array) -> float:
    """Return the spectral norm of the largest payoffs between simplices."""
    (count_x, size_x), (count_y, size_y) = game._simplices
    blocks = np.abs(a).reshape(count_x, size_x, count_y, size_y)
    return float(np.linalg.norm(blocks.max(axis=(1, 3)), 2))


@pytest.mark.parametrize("game", [RANDOM, KUHN])
def test_averages_keep_their_bounds(game: str) -> None:
    """The gaps of averages from the uniform start are at most those of the theorems.

    With D = Σ log nᵢ and payoffs up to L: D L/t for mirror-prox with η = 1/L, and
    2 L √(D/t) for mirror descent with η = √(D/t)/L.
    Source: Nemirovski 2004; Beck and Teboulle 2003, for the sum of both players.
    """
    built, steps = build(game), 50
    size = lipschitz(built, matrix_of(game))
    spread = float(np.log(sizes(built)).sum())
    words = game.rstrip("]") + ("," if "[" in game else "[") + "start_at=uniform]"
    prox = f"averaged[base=mirror_prox[result=ahead,step_size={1 / size}]]"
    for t, (_, mean) in enumerate(follow(prox, words, steps)):
        if t:
            gap = built.gap(torch.tensor(mean), 1.0).max().item()
            assert gap <= spread * size / t
    eta = math.sqrt(spread / steps) / size
    points = [z for z, _ in follow(f"mirror_descent[step_size={eta}]", words, steps)]
    mean = torch.tensor(np.mean(points[:-1], axis=0))
    gap = built.gap(mean, 1.0).max().item()
    assert gap <= 2 * size * math.sqrt(spread / steps)


@pytest.mark.parametrize(
    ("algorithm", "converges"),
    [
        ("gda[step_size=0.3]", False),
        ("extragradient[step_size=0.5]", True),
        ("past_extragradient[step_size=0.3]", True),
        ("omd[step_size=0.3]", True),
        ("mirror_descent[step_size=0.6]", False),
        ("mirror_descent[step_size=0.6,optimism=1]", True),
        ("mirror_prox[step_size=1.0]", True),
    ],
)
def test_last_iterates_converge_or_cycle(algorithm: str, converges: bool) -> None:
    """Projected and entropic methods alike solve rock-paper-scissors, or circle it."""
    (*_, (z, _)) = follow(algorithm, "matrix_game", 80)
    gap = build("matrix_game").gap(torch.tensor(z), 1.0)
    assert gap.max() < 0.05 if converges else gap.min() > 0.5


@pytest.mark.parametrize("algorithm", ["gda", "omd", "extragradient", "mirror_prox"])
def test_sequences_of_kuhn_poker_keep_their_constraints(algorithm: str) -> None:
    """Each card's sequences of x sum to 1, and both pairs of y, to 1e-12."""
    for z, answer in follow(f"{algorithm}[step_size=0.5]", KUHN, 30):
        for point in (z, answer):
            assert point.min() >= 0
            x, y = point[:, :9].reshape(-1, 3), point[:, 9:].reshape(-1, 2)
            bet, check = x[:, 0], x[:, 1:].sum(1)
            np.testing.assert_allclose(bet + check, 1, atol=1e-12)
            np.testing.assert_allclose(y.sum(1), 1, atol=1e-12)


def test_starts_are_uniform_on_the_simplex() -> None:
    """Means and second moments of an entry are those of the uniform law."""
    task = TASKS.build("matrix_game")
    game, random = task.build(PLACEMENT), torch.Generator().manual_seed(0)
    x = torch.stack([task.start(game, random) for _ in range(1000)])
    assert (x.sum(1) - 2).abs().max() < 1e-14
    # Standard errors are 0.0075 and 0.0063.
    torch.testing.assert_close(
        x.mean(0), torch.full_like(x[0], 1 / 3), atol=0.03, rtol=0
    )
    torch.testing.assert_close(
        (x**2).mean(0), torch.full_like(x[0], 1 / 6), atol=0.03, rtol=0
    )
