"""Computations that decide claims about formulas, without runs.

Each takes a second or two, and its arguments are for tests alone, which show that it
fails for what is wrong.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.linalg import expm
from scipy.optimize import linprog
from scipy.stats import norm, wasserstein_distance
from torch import Tensor

from mmbench.algorithms import ALGORITHMS
from mmbench.core.cost import spent
from mmbench.core.oracle import Oracle
from mmbench.core.oracle_state import OracleState
from mmbench.core.placement import Placement
from mmbench.core.streams import generator
from mmbench.engine.compiled.tensor_nests import list_tensors
from mmbench.metrics.point_class import is_nash, is_stable
from mmbench.tasks import TASKS

_PLACEMENT = Placement(dtype=torch.float64)
_LOG_2 = math.log(2)


class Computation(NamedTuple):
    """What a computation found.

    Args:
        holds: whether the claim holds.
        measured: what was computed, in a sentence.
    """

    holds: bool
    measured: str


# ---- divergences ----


class Generator(NamedTuple):
    """The convex function f of an f-divergence, E_q f(p/q).

    Args:
        f: the function.
        slope: its derivative.
        conjugate: f†(t), the greatest ut − f(u) over u.
        at_zero: its limit at 0.
        at_infinity: the limit of f(u)/u.
    """

    f: Callable[[Any], Any]
    slope: Callable[[Any], Any]
    conjugate: Callable[[Any], Any]
    at_zero: float
    at_infinity: float


# As in the lecture's table, but for the Jensen-Shannon divergence, which is half of it.
GENERATORS = {
    "Kullback-Leibler": Generator(
        lambda u: u * np.log(u),
        lambda u: 1 + np.log(u),
        lambda t: np.exp(t - 1),
        0.0,
        math.inf,
    ),
    "reverse Kullback-Leibler": Generator(
        lambda u: -np.log(u),
        lambda u: -1 / u,
        lambda t: -1 - np.log(-t),
        math.inf,
        0.0,
    ),
    "Pearson": Generator(
        lambda u: (u - 1) ** 2,
        lambda u: 2 * (u - 1),
        lambda t: t + t * t / 4,
        1.0,
        math.inf,
    ),
    "squared Hellinger": Generator(
        lambda u: (np.sqrt(u) - 1) ** 2,
        lambda u: 1 - 1 / np.sqrt(u),
        lambda t: t / (1 - t),
        1.0,
        1.0,
    ),
    "Jensen-Shannon": Generator(
        lambda u: (u * np.log(u) - (u + 1) * np.log((u + 1) / 2)) / 2,
        lambda u: np.log(2 * u / (u + 1)) / 2,
        lambda t: -np.log(2 - np.exp(2 * t)) / 2,
        _LOG_2 / 2,
        _LOG_2 / 2,
    ),
}
Generators = dict[str, Generator]


def _draws() -> np.random.Generator:
    """Return the random numbers of a computation, the same each time."""
    return np.random.default_rng(0)


def _divergence(one: Generator, p: np.ndarray, q: np.ndarray) -> float:
    """Return E_q f(p/q) of two distributions on the same cells."""
    both = (p > 0) & (q > 0)
    found = float((q[both] * one.f(p[both] / q[both])).sum())
    for mass, limit in (
        (q[p == 0].sum(), one.at_zero),
        (p[q == 0].sum(), one.at_infinity),
    ):
        found += float(mass * limit) if mass else 0.0
    return found


def _jensen_shannon(p: np.ndarray, q: np.ndarray) -> float:
    """Return the Jensen-Shannon divergence by its definition."""

    def relative(r: np.ndarray) -> float:
        some = r > 0
        return float((r[some] * np.log(2 * r[some] / (p + q)[some])).sum())

    return (relative(p) + relative(q)) / 2


def disjoint_supports(generators: Generators = GENERATORS) -> Computation:
    """Disjoint supports have the greatest divergence, at every distance."""
    draws, holds, shannon = _draws(), True, []
    overlapping = [draws.dirichlet(np.ones(60), 2) for _ in range(200)]
    for one in generators.values():
        apart = []
        for gap in (0, 1, 10, 100):
            p, q = np.zeros((2, 40 + gap))
            p[:20], q[20 + gap :] = draws.dirichlet(np.ones(20), 2)
            apart.append(_divergence(one, p, q))
            shannon.append(_jensen_shannon(p, q))
        greatest = max(_divergence(one, p, q) for p, q in overlapping)
        known = one.at_zero + one.at_infinity
        holds &= np.allclose(apart, known, rtol=1e-12) and greatest < known
    own = _divergence(generators["Jensen-Shannon"], p, q)
    holds &= np.allclose([own, *shannon], _LOG_2, rtol=1e-12)
    return Computation(
        bool(holds),
        f"{len(generators)} divergences at four distances, each its greatest value; "
        f"Jensen-Shannon {own:.6f}, log 2 = {_LOG_2:.6f}",
    )


def perfect_discriminator(radius: float = 1e-7) -> Computation:
    """Raised at the data alone, a discriminator has no error against any density."""
    draws = _draws()
    data = draws.standard_normal(50)
    errors, distances = [], []
    for centre in (0.0, 3.0, 100.0):
        fake = centre + draws.standard_normal(10_000)
        logit = np.where(np.abs(fake[:, None] - data).min(1) < radius, 40.0, -40.0)
        errors.append(math.log1p(math.exp(-40)) + np.logaddexp(0, logit).mean())
        distances.append(float(wasserstein_distance(data, fake)))
    return Computation(
        max(errors) < 1e-12,
        f"loss of the discriminator at most {max(errors):.1e} against generators at "
        f"Wasserstein distances of {', '.join(f'{one:.2f}' for one in distances)}",
    )


def best_discriminator(
    formula: Callable[[Any, Any], Any] = lambda p, q: p / (p + q),
) -> Computation:
    """At p/(p + q) the payoff is greatest, and 2 JSD − log 4 for the generator."""
    return _best(formula, "p/(p + q)")


def best_discriminator_as_printed(
    formula: Callable[[Any, Any], Any] = lambda p, q: 2 * p / (p + q),
) -> Computation:
    """The same of the slide's formula."""
    return _best(formula, "2p/(p + q)")


def _best(formula: Callable[[Any, Any], Any], words: str) -> Computation:
    draws, holds, worst = _draws(), True, 0.0
    for _ in range(50):
        p, q = draws.dirichlet(np.ones(20), 2)
        d = formula(p, q)
        worst = max(worst, float(d.max()))
        if not ((d > 0) & (d < 1)).all():
            holds = False
            continue
        value = float((p * np.log(d) + q * np.log1p(-d)).sum())
        others = draws.uniform(0, 1, (200, 20)) * 0.02 - 0.01 + d
        others = others.clip(1e-9, 1 - 1e-9)
        values = (p * np.log(others) + q * np.log1p(-others)).sum(1)
        expected = 2 * _jensen_shannon(p, q) - math.log(4)
        holds &= abs(value - expected) < 1e-10 and bool((values <= value + 1e-12).all())
    return Computation(
        bool(holds),
        f"{words} is at most {worst:.3f} on 50 pairs of distributions"
        + ("; its payoff is 2 JSD − log 4" if holds else ", not always the best"),
    )


def _normals() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return two normal densities and the weights of a sum over the line."""
    at = np.linspace(-14, 14, 28_001)
    return norm.pdf(at), norm.pdf(at, 0.5, 1.2), np.full_like(at, at[1] - at[0])


def _printed(name: str, f: Callable, integrand: Callable) -> tuple[bool, str]:
    """Return whether a row of the table is right, and both of its values."""
    p, q, weights = _normals()
    found, printed = (
        float((weights * values).sum()) for values in (q * f(p / q), integrand(p, q))
    )
    equal = abs(found - printed) < 1e-8
    return equal, f"{name} {found:.5f}, beside it {printed:.5f}"


def table_of_divergences(generators: Generators = GENERATORS) -> Computation:
    """Three rows of the table are right, on two normal densities."""
    integrands: dict[str, Callable] = {
        "Kullback-Leibler": lambda p, q: p * np.log(p / q),
        "reverse Kullback-Leibler": lambda p, q: q * np.log(q / p),
        "squared Hellinger": lambda p, q: (np.sqrt(p) - np.sqrt(q)) ** 2,
    }
    rows = [_printed(name, generators[name].f, one) for name, one in integrands.items()]
    return Computation(all(row[0] for row in rows), "; ".join(row[1] for row in rows))


def pearson_as_printed(
    integrand: Callable = lambda p, q: (q - p) ** 2 / p,
) -> Computation:
    """The row of Pearson's divergence."""
    return Computation(*_printed("Pearson", GENERATORS["Pearson"].f, integrand))


def jensen_shannon_as_printed(half: float = 1.0) -> Computation:
    """The row of the Jensen-Shannon divergence.

    Args:
        half: factor of the printed generator.
    """

    def f(u: np.ndarray) -> np.ndarray:
        return half * (-(u + 1) * np.log((1 + u) / 2) + u * np.log(u))

    def integrand(p: np.ndarray, q: np.ndarray) -> np.ndarray:
        return (p * np.log(2 * p / (p + q)) + q * np.log(2 * q / (p + q))) / 2

    return Computation(*_printed("Jensen-Shannon", f, integrand))


def variational_bound(offset: float = 0.0) -> Computation:
    """No t exceeds the divergence, and t = f'(p/q) reaches it.

    Args:
        offset: what is added to each conjugate.
    """
    draws, most, least = _draws(), -math.inf, 0.0
    for one in GENERATORS.values():
        for _ in range(50):
            p, q = draws.dirichlet(np.ones(20), 2)
            p, q = (0.9 * r + 0.1 / 20 for r in (p, q))
            divergence = _divergence(one, p, q)
            # Every derivative of f is a value at which its conjugate is finite.
            ratios = np.vstack((p / q, np.exp(draws.standard_normal((40, 20)))))
            t = one.slope(ratios)
            bounds = (p * t - q * (one.conjugate(t) + offset)).sum(1) - divergence
            least = max(least, abs(float(bounds[0])))
            most = max(most, float(bounds.max()))
    return Computation(
        least < 1e-10 and most < 1e-10,
        f"five divergences: at f'(p/q) the bound is off by {least:.1e}; at other t it "
        f"exceeds the divergence by at most {max(most, 0):.1e}",
    )


def integral_metrics(slope: float = 1.0) -> Computation:
    """The dual forms of two metrics have their known values, and both are distances.

    Args:
        slope: the greatest slope of the functions.
    """
    draws, worst = _draws(), 0.0
    at = np.sort(draws.uniform(0, 3, 8))
    kernel = np.exp(-((at[:, None] - at) ** 2))
    root = np.linalg.cholesky(kernel + 1e-12 * np.eye(8))

    def wasserstein(p: np.ndarray, q: np.ndarray) -> float:
        rows = np.eye(8)[:, None] - np.eye(8)
        limits = slope * np.abs(at[:, None] - at)
        found = linprog(
            q - p,
            A_ub=rows.reshape(-1, 8),
            b_ub=limits.ravel(),
            bounds=[(0, 0), *[(None, None)] * 7],
        )
        return -float(found.fun)

    def discrepancy(p: np.ndarray, q: np.ndarray) -> float:
        # Functions of the unit ball are the root times vectors of length one.
        return float(np.linalg.norm(root.T @ (p - q)))

    is_distance = True
    for _ in range(20):
        p, q, r = draws.dirichlet(np.ones(8), 3)
        transport = wasserstein_distance(at, at, p, q)
        squared = float((p - q) @ kernel @ (p - q))
        worst = max(
            worst,
            abs(wasserstein(p, q) - transport),
            abs(discrepancy(p, q) - math.sqrt(squared)),
        )
        for metric in (wasserstein, discrepancy):
            there, back = metric(p, q), metric(q, p)
            is_distance &= abs(there - back) < 1e-8 and metric(p, p) < 1e-8
            is_distance &= 0 < there <= metric(p, r) + metric(r, q) + 1e-8
    return Computation(
        bool(worst < 1e-6 and is_distance),
        f"on 20 triples the suprema differ by at most {worst:.1e} from the cost of "
        "transport and from the kernel's formula",
    )


def warp_of_a_texture(image: np.ndarray | None = None) -> Computation:
    """A shift by one pixel against a grey square over a sixteenth of an image."""
    if image is None:
        image = _draws().uniform(size=(64, 64))
    square = image.copy()
    square[24:40, 24:40] = 0.5
    warped, drawn = (
        float(np.linalg.norm(image - other)) for other in (np.roll(image, 1), square)
    )
    return Computation(warped > drawn, f"warp {warped:.2f}, square {drawn:.2f}")


# ---- steps near a stationary point ----


def _oracle(task: str, runs: int) -> Oracle:
    """Return an oracle of a task's game, with a minibatch if it has any."""
    oracle = Oracle(
        OracleState(TASKS.build(task).build(_PLACEMENT), tuple(range(runs)))
    )
    oracle.resample()
    return oracle


def _step(method: str, task: str, z: Tensor) -> Tensor:
    """Return where the first step of a method leads from some points."""
    algorithm, oracle = ALGORITHMS.build(method), _oracle(task, len(z))
    return algorithm.step(oracle, z, algorithm.init(oracle, z))[0]


def _matrix(method: str, task: str) -> np.ndarray:
    """Return the matrix of a method's first step on a quadratic game of the plane."""
    return _step(method, task, torch.eye(2, dtype=torch.float64)).T.numpy()


def _radius(matrix: np.ndarray) -> Any:
    """Return the spectral radius of a matrix, or of each of a stack."""
    return np.abs(np.linalg.eigvals(matrix)).max(-1)


def _gda(steps: Any, blocks: Any) -> np.ndarray:
    """Return Id − M of step sizes and second derivatives, from their formula.

    Args:
        steps: ηₓ and ηᵧ, numbers or arrays.
        blocks: f_xx, f_xy and f_yy.
    """
    (p, q), (a, b, c) = steps, blocks
    rows = np.array([[p * a, p * b], [-q * b, -q * c]])
    return np.eye(2) - np.moveaxis(rows, (0, 1), (-2, -1))


def _blocks(draws: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw pairs of step sizes, and second derivatives for each."""
    return 10 ** draws.uniform(-3, 0, (count, 2)), draws.uniform(-5, 5, (count, 3))


def _spec(p: float, q: float) -> str:
    return f"step_size=({float(p)!r},{float(q)!r})"


def _quadratic(a: float, b: float, c: float) -> str:
    """Return the task with these second derivatives."""
    return f"quadratic[a={float(a / 2)!r},b={float(b)!r},c={float(c / 2)!r}]"


def icr_criterion(sign: float = 1.0) -> Computation:
    """Where the criterion holds, eigenvalues are positive and small steps stable.

    Args:
        sign: factor of f_yy in the first condition.
    """
    steps, blocks = _blocks(_draws(), 4000)
    (p, q), (a, b, c) = steps.T, blocks.T
    holds = (p * a > sign * q * c) & (b * b > a * c)
    steps, blocks = steps[holds], blocks[holds]
    m = np.eye(2) - _gda(steps.T, blocks.T)
    least = float(np.linalg.eigvals(m).real.min())
    small = 1e-7  # the second order of a step is as much smaller than the first
    largest = float(_radius(np.eye(2) - small * m).max())
    made = _matrix(
        f"gda[{_spec(*(small * steps[0]))}]", _quadratic(*(float(x) for x in blocks[0]))
    )
    is_ours = np.allclose(made, np.eye(2) - small * m[0], rtol=0, atol=1e-14)
    return Computation(
        bool(is_ours and least > 0 and largest < 1),
        f"{len(m)} games and step sizes: least real part {least:.1e}; made smaller by "
        f"1e-7, the greatest spectral radius is 1 − {1 - largest:.1e}",
    )


def _agreement(criterion: Callable[[np.ndarray], Any]) -> Computation:
    """Return whether steps of GDA end at (0, 0) where a number is below one."""
    steps, blocks = _blocks(_draws(), 300)
    agree = decided = 0
    for (p, q), (a, b, c) in zip(steps, blocks, strict=True):
        number = criterion(_gda((p, q), (a, b, c)))
        made = _matrix(f"gda[{_spec(p, q)}]", _quadratic(a, b, c))
        if abs(_radius(made) - 1) < 1e-4:  # it takes more steps to tell
            continue
        far = np.linalg.matrix_power(made, 200_000) @ np.ones(2)
        decided += 1
        agree += bool(np.linalg.norm(far) < 1e-3) == bool(number < 1)
    return Computation(
        agree == decided, f"right for {agree} of {decided} games and step sizes"
    )


def stability_of_steps(
    criterion: Callable[[np.ndarray], Any] = _radius,
) -> Computation:
    """The spectral radius of Id − M tells where steps of GDA end."""
    with np.errstate(over="ignore", invalid="ignore"):
        return _agreement(criterion)


def stability_as_printed(
    criterion: Callable[[np.ndarray], Any] = lambda step: _radius(step - np.eye(2)),
) -> Computation:
    """The same of the Jacobian of F, where a step is z + F(z)."""
    return stability_of_steps(criterion)


def _share_stable(scale: float, mixed: float) -> float:
    """Return the share of pairs of step sizes at which GDA reaches (0, 0)."""
    sizes = np.geomspace(1e-3, 1, 60)
    p, q = (axis.ravel() for axis in np.meshgrid(sizes, sizes))
    return float((_radius(_gda((p, q), (2 * scale, mixed, 2 * scale))) < 1).mean())


def icr_weakens_with_curvature(
    growth: float = 0.0,
) -> Computation:
    """No pair of step sizes is stable once both curvatures are large.

    Args:
        growth: power of α with which the mixed term grows.
    """
    shares = {
        scale: _share_stable(scale, 10 * scale**growth) for scale in (1, 2, 4, 10, 100)
    }
    return Computation(
        shares[1] > 0 == shares[10] == shares[100],
        "share of 3600 pairs of step sizes from 0.001 to 1: "
        + ", ".join(f"{share:.3f} at {scale}" for scale, share in shares.items()),
    )


def slow_y_is_stabler(task: str = "quadratic") -> Computation:
    """The spectral radius of a step grows with ηᵧ/ηₓ at a fixed product."""
    radii = [
        float(_radius(_matrix(f"gda[{_spec(0.03 / root, 0.03 * root)}]", task)))
        for root in np.geomspace(1 / 3, 3, 9)
    ]
    return Computation(
        all(low < high for low, high in pairwise(radii)),
        f"from {radii[0]:.4f} at ηᵧ/ηₓ = 1/9 over {radii[4]:.4f} at 1 to "
        f"{radii[-1]:.4f} at 9",
    )


def one_critical_point(task: str = "quadratic") -> Computation:
    """The field is linear with an invertible matrix, and zero at (0, 0)."""
    points = torch.from_numpy(_draws().uniform(-9, 9, (40, 2)))
    matrix = -(_matrix("gda[step_size=1.0]", task) - np.eye(2))
    fields = _oracle(task, len(points)).field(points).numpy()
    at_zero = _oracle(task, 1).field(torch.zeros(1, 2, dtype=torch.float64))
    is_linear = np.allclose(fields, points.numpy() @ matrix.T, atol=1e-9)
    determinant = float(np.linalg.det(matrix))
    return Computation(
        bool(is_linear and not at_zero.any() and abs(determinant) > 1e-9),
        f"{'linear' if is_linear else 'not linear'}, determinant {determinant:.4g}",
    )


def cgd_region(method: str = "cgd[tolerance=1e-15,{}]") -> Computation:
    """CGD is stable wherever GDA is, and beyond."""
    sizes = np.geomspace(1e-3, 0.5, 12)
    stable = {
        spec: np.array(
            [
                _radius(_matrix(spec.format(_spec(p, q)), "quadratic")) < 1 - 1e-12
                for p in sizes
                for q in sizes
            ]
        )
        for spec in ("gda[{}]", method)
    }
    of_gda, of_cgd = stable["gda[{}]"], stable[method]
    return Computation(
        bool((of_cgd | ~of_gda).all() and of_cgd.sum() > of_gda.sum()),
        f"of 144 pairs of step sizes from 0.001 to 0.5: {of_gda.sum()} stable for "
        f"simultaneous steps, {of_cgd.sum()} for competitive ones, "
        f"{(of_gda & of_cgd).sum()} for both",
    )


def low_momentum(turn: float = 1.0) -> Computation:
    """The radius of an alternating heavy-ball step on xy, by its momentum.

    Args:
        turn: factor of the momentum.
    """
    eta, radii = 0.5, {}
    for beta in (-0.5, -0.25, 0.0, 0.25, 0.5, 0.9):
        b = turn * beta
        # (x, y, last x, last y); y answers to the new x.
        x = np.array([1 + b, -eta, -b, 0.0])
        y = np.array([0, 1 + b, 0, -b]) + eta * x
        radii[beta] = float(_radius(np.vstack((x, y, np.eye(4)[:2]))))
    found = list(radii.values())
    return Computation(
        all(low < high for low, high in pairwise(found)),
        ", ".join(f"{radius:.3f} at {beta:g}" for beta, radius in radii.items()),
    )


# ---- the competitive step ----


def _starts(task: str, runs: int) -> Tensor:
    """Return the starts of some runs."""
    built = TASKS.build(task)
    game = built.build(_PLACEMENT)
    found = [built.start(game, generator(seed, "start")) for seed in range(runs)]
    return torch.stack(found)


def cgd_is_nash(
    method: str = "cgd[step_size=(0.3,0.5),tolerance=1e-14]",
) -> Computation:
    """Each player's move is the best answer to the other's in the local game."""
    task, (p, q) = "icr_projection", (0.3, 0.5)
    z = _starts(task, 5)
    moved = _step(method, task, z)
    worst = 0.0
    for at, to in zip(z, moved, strict=True):
        x, y = (part[None].clone().requires_grad_() for part in at.split(28))
        f = TASKS.build(task).build(_PLACEMENT).losses(x, y, None)[0].sum()
        f_x, f_y = torch.autograd.grad(f, (x, y), create_graph=True)
        mixed = torch.stack(
            [torch.autograd.grad(one, y, retain_graph=True)[0][0] for one in f_x[0]]
        )
        dx, dy = (to - at).split(28)
        # The local game is convex in x and concave in y, so that slopes decide.
        f_x, f_y = f_x.detach()[0], f_y.detach()[0]
        of_x = f_x + mixed @ dy + dx / p
        of_y = f_y + mixed.T @ dx - dy / q
        size = torch.cat((f_x, f_y)).norm()
        worst = max(worst, float(torch.cat((of_x, of_y)).norm() / size))
    return Computation(
        worst < 1e-9,
        f"on five starts of icr_projection the slopes of the local game are at most "
        f"{worst:.1e} of the field",
    )


def acgd_is_cgd(epsilon: float = 1e9) -> Computation:
    """With one step size for all entries, the first step of ACGD is that of CGD.

    Args:
        epsilon: ε of ACGD, beside which the mean square of the field vanishes.
    """
    task, beta, eta = "icr_projection", 0.99, 0.3
    size = eta * epsilon / math.sqrt(1 - beta)
    method = f"acgd[step_size={size!r},epsilon={epsilon!r},tolerance=1e-14]"
    z = _starts(task, 5)
    ours = _step(method, task, z) - z
    theirs = _step(f"cgd[step_size={eta},tolerance=1e-14]", task, z) - z
    worst = float((ours - theirs).norm() / theirs.norm())
    return Computation(worst < 1e-6, f"steps differ by {worst:.1e} of their length")


def extra_loss(task: str = "quadratic") -> Computation:
    """What a move of y costs more for a simultaneous move of x is 10 ε δ."""
    moves = _draws().uniform(0, 1, (50, 2))
    epsilon, delta = torch.from_numpy(moves).T
    oracle, zero, one = _oracle(task, 50), torch.zeros(50), torch.ones(50)

    def loss_of_y(x: Tensor, y: Tensor) -> Tensor:
        return oracle.losses(torch.stack((x, y), dim=1).double())[1]

    together = loss_of_y(-epsilon, 1 + delta) - loss_of_y(-epsilon, one)
    alone = loss_of_y(zero, 1 + delta) - loss_of_y(zero, one)
    off = float((together - alone - 10 * epsilon * delta).abs().max())
    return Computation(off < 1e-12, f"off by at most {off:.1e} for 50 pairs of moves")


# ---- accept-reject ----


def _ascend(task: str, z: Tensor, step: float) -> Tensor:
    """Return points after 600 steps of ascent of y, in the game's constraints."""
    oracle = _oracle(task, len(z))
    for _ in range(600):
        x, y = oracle.split(z)
        z = oracle.project(oracle.join(x, y - step * oracle.grad_y(z)))
    return z


def ascent_raises_f(step: float = 0.02) -> Computation:
    """f(x + v, y) ≤ h(x + v, y), and h(x, y) = f(x, y) at a stationary y.

    Args:
        step: step size of the ascent.
    """
    task, draws = "escaping_saddles", _draws()
    oracle = _oracle(task, 200)
    start = torch.from_numpy(draws.uniform(-3, 3, (200, 2)))
    z = _ascend(task, start, step)
    move = torch.from_numpy(draws.uniform(-1, 1, (200, 1)))
    beside = oracle.join(oracle.split(z)[0] + move, oracle.split(z)[1])
    f, h_there = oracle.payoff(z), oracle.payoff(_ascend(task, beside, step))
    f_there, h = oracle.payoff(beside), oracle.payoff(_ascend(task, z, step))
    falls = h_there < h - 1e-9
    holds = (
        bool((f_there <= h_there + 1e-9).all())
        and torch.allclose(h, f, atol=1e-6)
        and bool((f_there < f)[falls].all())
    )
    return Computation(
        holds,
        f"h falls in {int(falls.sum())} of 200 moves, and f in "
        f"{int((f_there < f)[falls].sum())} of these",
    )


def random_steps_are_orthogonal(mean: float = 0.0) -> Computation:
    """The cosine of normal steps with a direction falls as 1/√d.

    Args:
        mean: mean of every entry of a step.
    """
    draws, found = _draws(), {}
    for size in (2, 100, 10_000):
        steps = mean + draws.standard_normal((200, size))
        cosines = steps.sum(1) / (math.sqrt(size) * np.linalg.norm(steps, axis=1))
        found[size] = float(np.abs(cosines).mean())
    return Computation(
        found[10_000] < 0.02 < found[100] < found[2],
        "mean |cos| "
        + ", ".join(f"{value:.4f} in {size}" for size, value in found.items())
        + " dimensions",
    )


def gradient_may_raise_h(step: float = 0.1) -> Computation:
    """On xy in a box, some steps of x along −∇ₓ f raise h.

    Args:
        step: step size of x.
    """
    task = "bilinear[box=5]"
    x = torch.linspace(-4.9, 4.9, 50, dtype=torch.float64)  # none at 0
    z = _ascend(task, torch.stack((x, torch.sign(x)), dim=1), 1.0)
    moved = _step(f"alone[player=x,step_size={step}]", task, z)
    oracle = _oracle(task, len(z))
    h = oracle.payoff(_ascend(task, z, 1.0))
    raised = oracle.payoff(_ascend(task, moved, 1.0)) > h + 1e-6
    return Computation(
        bool(raised.any()), f"{int(raised.sum())} of 50 steps of {step:g} raise h"
    )


def search_stops_after_rejections(patience: int = 20) -> Computation:
    """Runs of the search stop after many proposals in a row that moved nothing.

    Args:
        patience: the method's own number of them.
    """
    spec = f"accept_reject_search[step_size=(0.2,5.0),patience={patience},ascents=20]"
    task, method = "bilinear[box=1]", ALGORITHMS.build(spec)
    z = _starts(task, 40)
    oracle = _oracle(task, len(z))
    state = method.init(oracle, z)
    idle, at_end = torch.zeros(40), torch.full((40,), -1.0)
    for _ in range(100):
        after, state = method.step(oracle, z, state)
        idle = torch.where((after == z).all(1), idle + 1, 0.0)
        z, done = after, method.done(state)
        assert done is not None
        at_end = torch.where(done & (at_end < 0), idle, at_end)
        if (at_end >= 0).all():
            break
    stopped = at_end >= 0
    return Computation(
        bool(stopped.all() and (at_end >= 10).all()),
        f"{int(stopped.sum())} of 40 runs stop, after {int(at_end[stopped].min())} or "
        "more rejections in a row",
    )


_NET = "four_gaussians[hidden=4,noise=2,batch=8]"
# Accept-reject as in the experiments of its authors, and a game like theirs.
_ACCEPT_REJECT = {
    "text": ("accept_reject[k=6]", _NET),
    "notebook": ("accept_reject[k=6,rule=notebook,acceptance=every[r=4]]", _NET),
    "digits": (
        "accept_reject[k=1,reference=reestimate,restore=players]",
        "digits01[hidden=4,noise=2,batch=8]",
    ),
}


def cost_of_accept_reject(answers: Sequence[int] = (6, 6, 1)) -> Computation:
    """The cost of a step of accept-reject over that of GDA, counted.

    Args:
        answers: the steps of y with which GDA is compared.
    """
    ratios = {
        name: _cost(*rule) / _cost(f"alternating_gda[k={k}]", rule[1])
        for (name, rule), k in zip(_ACCEPT_REJECT.items(), answers, strict=True)
    }
    alone = _cost(*_ACCEPT_REJECT["text"]) / _cost("gda", _NET)
    return Computation(
        max(ratios.values()) <= 2,
        ", ".join(f"{ratio:.2f} ({name})" for name, ratio in ratios.items())
        + f" times that of descent-ascent; the text's {alone:.2f} times that of one "
        "with a single step of the discriminator",
    )


def memory_of_accept_reject(moments: str = ",direction=adam") -> Computation:
    """The numbers that a run of accept-reject keeps over those that one of GDA keeps.

    Args:
        moments: the directions of GDA's players; those of accept-reject are of Adam.
    """
    ratios = {
        name: _kept(spec.replace("[", "[direction=adam,", 1), task)
        / _kept(f"alternating_gda[k=1{moments}]", task)
        for name, (spec, task) in _ACCEPT_REJECT.items()
    }
    return Computation(
        max(ratios.values()) <= 2,
        ", ".join(f"{ratio:.2f} ({name})" for name, ratio in ratios.items())
        + " times those of descent-ascent, between two steps",
    )


def _kept(spec: str, task: str) -> int:
    """Return how many numbers a run keeps after four steps: iterate and state."""
    z, state, _ = _four_steps(spec, task)
    return sum(tensor.numel() for tensor in (z, *list_tensors(state)))


def _cost(spec: str, task: str) -> float:
    """Return the gradient-equivalents of a step, counted over four."""
    _, _, charged = _four_steps(spec, task)
    return float(spent(charged.counts, "gradient-equivalents")[0]) / 4


def _four_steps(spec: str, task: str) -> tuple[Tensor, Any, OracleState]:
    """Return what a run is after four steps, and what it was charged."""
    built, method = TASKS.build(task), ALGORITHMS.build(spec)
    z = _starts(task, 1)
    charged = OracleState(built.build(_PLACEMENT), (0,))
    oracle = Oracle(charged)
    state = method.init(oracle, z)
    for _ in range(4):
        oracle.resample()
        z, state = method.step(oracle, z, state)
    return z, state, charged


# ---- points of games ----


def saturating_gradients(confidence: float = 20.0) -> Computation:
    """The generator's gradient on the DiracGAN, by its loss.

    Args:
        confidence: the discriminator's logit for the generated point.
    """
    z = torch.tensor([[confidence, 1.0]], dtype=torch.float64)
    saturating, other = (
        float(_oracle(f"dirac_gan[loss={loss}]", 1).grad_x(z).abs())
        for loss in ("saturating", "nonsaturating")
    )
    return Computation(
        saturating < 1e-6 and other > 0.9,
        f"at a logit of {confidence:g}: {saturating:.1e} and {other:.3f}",
    )


def dirac_gan_rotates(options: str = "") -> Computation:
    """The field is zero at (0, 0), and its eigenvalues there are imaginary.

    Args:
        options: options of the task.
    """
    holds, found, small = True, [], 1e-5
    for loss in ("saturating", "nonsaturating", "wasserstein"):
        oracle = _oracle(f"dirac_gan[loss={loss}{options}]", 5)
        basis = small * torch.eye(2, dtype=torch.float64)
        fields = oracle.field(torch.cat((basis, -basis, 0 * basis[:1])))
        jacobian = ((fields[:2] - fields[2:4]) / (2 * small)).T
        eigenvalues = torch.linalg.eigvals(jacobian)
        real, imaginary = eigenvalues.real.abs().max(), eigenvalues.imag.abs().min()
        holds &= bool(fields[4].eq(0).all() and real < 1e-8 and imaginary > 0.1)
        found.append(f"{loss} ±{float(imaginary):.3f}i, real part {float(real):.1e}")
    return Computation(holds, "; ".join(found))


def kinds_of_points(turned: float = -1.0) -> Computation:
    """Stable is where the flow is drawn in; Nash points are stable, others as well.

    Args:
        turned: factor of y's rows: −1 of y's loss, 1 of a Hessian of f.
    """
    draws = _draws()
    drawn = draws.standard_normal((1000, 4, 4))
    drawn[:300] = drawn[:300] @ drawn[:300].transpose(0, 2, 1)  # convex in x
    drawn[:300, 2:, 2:] *= -1  # concave in y
    hessian = drawn + drawn.transpose(0, 2, 1)
    rows = np.array([1, 1, -1, -1])[:, None]
    jacobian, shown = (
        rows * hessian,
        np.array([1, 1, turned, turned])[:, None] * hessian,
    )
    nash = is_nash(torch.from_numpy(jacobian), 2).numpy()
    stable = is_stable(torch.from_numpy(shown), 2, 1.0).numpy()
    agree = [
        _flow_ends(one) == is_there
        for one, is_there in zip(jacobian, stable, strict=True)
        # Others are drawn in too slowly to tell.
        if np.abs(np.linalg.eigvals(one).real).min() > 0.01 * np.linalg.norm(one)
    ]
    return Computation(
        bool(all(agree) and stable[nash].all() and (stable & ~nash).any()),
        f"{nash.sum()} of 1000 random points are Nash, {(nash & stable).sum()} of them "
        f"stable; {(stable & ~nash).sum()} others are stable; the flow agrees in "
        f"{sum(agree)} of {len(agree)}",
    )


def _flow_ends(jacobian: np.ndarray) -> bool:
    """Return whether the flow ż = −Jz is drawn to zero from every start."""
    unit = expm(-jacobian / np.linalg.norm(jacobian))
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.abs(np.linalg.matrix_power(unit, 2000)).max() < 1e-3)


def gan_without_equilibrium(penalty: float = 0.7) -> Computation:
    """At every point of a grid one player gains by moving.

    Args:
        penalty: weight of the gradient penalty.
    """
    axis = torch.linspace(-10, 10, 81, dtype=torch.float64)  # 0 and ±1 among them
    x, y = (part.ravel() for part in torch.meshgrid(axis, axis, indexing="ij"))
    task = f"dirac_gan[loss=wasserstein,penalty={penalty}]"
    oracle = _oracle(task, len(x))

    def value(x: Tensor, y: Tensor) -> Tensor:
        return oracle.payoff(torch.stack((x, y), dim=1))

    here = value(x, y)
    gain = here - value(x - torch.sign(y), y)
    for other in axis:
        gain = torch.maximum(gain, value(x, other.expand_as(y)) - here)
    least = float(gain.min())
    return Computation(
        least > 1e-9, f"the least gain on a grid of {len(x)} points is {least:.3f}"
    )


COMPUTATIONS: dict[str, Callable[[], Computation]] = {
    one.__name__: one
    for one in (
        disjoint_supports,
        perfect_discriminator,
        best_discriminator,
        best_discriminator_as_printed,
        table_of_divergences,
        pearson_as_printed,
        jensen_shannon_as_printed,
        variational_bound,
        integral_metrics,
        warp_of_a_texture,
        icr_criterion,
        stability_of_steps,
        stability_as_printed,
        icr_weakens_with_curvature,
        slow_y_is_stabler,
        one_critical_point,
        cgd_region,
        low_momentum,
        cgd_is_nash,
        acgd_is_cgd,
        extra_loss,
        ascent_raises_f,
        random_steps_are_orthogonal,
        gradient_may_raise_h,
        search_stops_after_rejections,
        cost_of_accept_reject,
        memory_of_accept_reject,
        saturating_gradients,
        dirac_gan_rotates,
        kinds_of_points,
        gan_without_equilibrium,
    )
}
