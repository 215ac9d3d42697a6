"""Theory of methods on linear games, and the check of measured steps against it.

The games are quadratics of two variables, f = a x²/2 + b xy + c y²/2, given by their
second derivatives a = f_xx, b = f_xy, c = f_yy. A prediction gives the multipliers of a
step, the eigenvalues of its matrix, from these and from the step sizes p of x and q of
y. It is derived by hand from the published rule and shares nothing with the method's
code, so that a mistake of the code is not repeated in it.

The multipliers of many methods are functions of μ, the eigenvalues of
diag(p, q) J = [[p a, p b], [−q b, −q c]], the game's Jacobian times the step sizes.
"""

import cmath
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from mmbench.algorithms import ALGORITHMS
from mmbench.algorithms._directions import Direction, Plain
from mmbench.algorithms.base import Algorithm, needs_of
from mmbench.core.capability import Capability
from mmbench.core.description import name_of, nested
from mmbench.tasks import TASKS
from mmbench.testing.step_matrices import radius, step_matrix

TOLERANCE = 1e-9  # of a radius, relative to the predicted one
EXACT = 1e-15  # relative residual of inner systems while steps are measured

Multipliers = Sequence[complex]


class Planar(NamedTuple):
    """The second derivatives of a quadratic game, and the step sizes.

    Args:
        a: f_xx.
        b: f_xy.
        c: f_yy.
        p: step size of x.
        q: step size of y.
    """

    a: float
    b: float
    c: float
    p: float
    q: float

    @property
    def mu(self) -> Multipliers:
        """The eigenvalues of the Jacobian times the step sizes."""
        a, b, c, p, q = self
        return eigenvalues(p * a - q * c, p * q * (b * b - a * c))


def eigenvalues(trace: float, determinant: float) -> Multipliers:
    """Return the eigenvalues of a matrix of two rows."""
    return roots(-trace, determinant)


def roots(linear: complex, constant: complex) -> Multipliers:
    """Return the roots of λ² + linear λ + constant."""
    half = cmath.sqrt(linear * linear / 4 - constant)
    return -linear / 2 + half, -linear / 2 - half


def eigenvalues_of(
    first: tuple[float, float], second: tuple[float, float]
) -> Multipliers:
    """Return the eigenvalues of a matrix, by its rows."""
    (m, n), (r, s) = first, second
    return eigenvalues(m + s, m * s - n * r)


# ---- predictions: None where the options have none ----


def _gda(_method: Any, game: Planar) -> Multipliers:
    return [1 - mu for mu in game.mu]


def _alternating(method: Any, game: Planar) -> Multipliers | None:
    if method.first == "both":
        return None
    return _x_then_y(method.k, game)


def _x_then_y(k: int, game: Planar) -> Multipliers:
    """Return the multipliers of one step of x and k of y, in either order."""
    a, b, c, p, q = game
    growth = 1 + q * c
    total = sum(growth**i for i in range(k))
    trace = 1 - p * a + growth**k - p * q * b * b * total
    return eigenvalues(trace, (1 - p * a) * growth**k)


def _optimistic(method: Any, game: Planar) -> Multipliers:
    omega = getattr(method, "optimism", 1.0)
    return [
        root for mu in game.mu for root in roots(-(1 - (1 + omega) * mu), -omega * mu)
    ]


def _extragradient(method: Any, game: Planar) -> Multipliers | None:
    if getattr(method, "decay", None) is not None:
        return None
    ratio = getattr(method, "ratio", 1.0)
    return [1 - ratio * mu * (1 - mu) for mu in game.mu]


def _unrolled(method: Any, game: Planar) -> Multipliers:
    a, b, c, p, q = game
    growth = 1 + q * c
    by_x = q * b * sum(growth**i for i in range(method.k))  # dy_k/dx
    by_y = growth**method.k  # dy_k/dy
    slope_x = a + b * by_x + by_x * (b + c * by_x)  # of df(x, y_k(x))/dx
    slope_y = (b + c * by_x) * by_y
    return eigenvalues_of((1 - p * slope_x, -p * slope_y), (q * b, growth))


def _cgd(_method: Any, game: Planar) -> Multipliers:
    a, b, c, p, q = game
    damping = 1 + p * q * b * b
    trace = 2 + (q * c - p * a - 2 * p * q * b * b) / damping
    return eigenvalues(trace, (1 - p * a) * (1 + q * c) / damping)


def _acgd(method: Any, game: Planar) -> Multipliers:
    scale = 1 / (math.sqrt(SECOND) + method.epsilon)
    return _cgd(method, game._replace(p=scale * game.p, q=scale * game.q))


def _one_sided(method: Any, game: Planar) -> Multipliers:
    a, b, c, p, q = game
    damping = 1 + p * q * b * b
    own = -p * (a + q * b * b) if method.player == "x" else q * (c - p * b * b)
    return 1, 1 + own / damping


def _alone(method: Any, game: Planar) -> Multipliers:
    return 1, 1 - game.p * game.a if method.player == "x" else 1 + game.q * game.c


def _accept_reject(method: Any, game: Planar) -> Multipliers | None:
    return _x_then_y(method.k, game) if method.rule == "text" else None


def _consensus(method: Any, game: Planar) -> Multipliers:
    (a, b, c, p, q), gamma = game, method.gamma
    mixed = gamma * b * (a + c)
    return eigenvalues_of(
        (1 - p * (a + gamma * (a * a + b * b)), -p * (b + mixed)),
        (-q * (mixed - b), 1 - q * (gamma * (b * b + c * c) - c)),
    )


def _shaped(of_x: float, of_y: float, game: Planar) -> Multipliers:
    """Return the multipliers of f_x + of_y f_xy f_y for x and alike for y."""
    a, b, c, p, q = game
    return eigenvalues_of(
        (1 - p * (a + of_y * b * b), -p * (b + of_y * b * c)),
        (q * (b - of_x * a * b), 1 + q * (c - of_x * b * b)),
    )


def _sga(method: Any, game: Planar) -> Multipliers | None:
    if method.field_weight != 1:
        return None
    return _shaped(method.weight, method.weight, game)


def _hamiltonian(_method: Any, game: Planar) -> Multipliers:
    a, b, c, p, q = game
    mixed = b * (a + c)
    return eigenvalues_of(
        (1 - p * (a * a + b * b), -p * mixed), (-q * mixed, 1 - q * (b * b + c * c))
    )


def _gradient_regularised(method: Any, game: Planar) -> Multipliers:
    return _shaped(0.0, 2 * method.penalty, game)


def _discretisation_drift(method: Any, game: Planar) -> Multipliers:
    a, b, c, p, q = game
    (s_x, s_y), (c_x, c_y) = _pair(method.own), _pair(method.interaction)
    c_x *= 1 - 2 * q / p if method.first == "y" else 1
    c_y *= 1 - 2 * p / q if method.first == "x" else 1
    in_x = p / 2 * (s_x * a * a - c_x * b * b), p / 2 * b * (s_x * a - c_x * c)
    in_y = q / 2 * b * (s_y * c - c_y * a), q / 2 * (s_y * c * c - c_y * b * b)
    of_x = 1 - p * (a + in_x[0]), -p * (b + in_x[1])
    of_y = q * (b - in_y[0]), 1 + q * (c - in_y[1])
    if method.first == "x":
        of_y = of_y[0] * of_x[0], of_y[0] * of_x[1] + of_y[1]
    elif method.first == "y":
        of_x = of_x[0] + of_x[1] * of_y[0], of_x[1] * of_y[1]
    return eigenvalues_of(of_x, of_y)


def _lola(method: Any, game: Planar) -> Multipliers:
    of_x, of_y = (game.p, game.q) if method.alpha is None else _pair(method.alpha)
    factor = 2 if method.shaping == "both" else 1
    return _shaped(factor * of_x, factor * of_y, game)


def _ridge(method: Any, game: Planar) -> Multipliers | None:
    """Return the multipliers of follow-the-ridge and of Stackelberg gradients.

    The first step is triangular in x and the distance y + (b/c) x from the ridge, the
    second in x and y. Where c is zero, both are GDA's.
    """
    a, b, c, p, q = game
    if method.damping:
        return None
    if c == 0:
        return _gda(method, game)
    return 1 - p * (a - b * b / c), 1 + q * c


def _lss(method: Any, game: Planar) -> Multipliers | None:
    if method.damping:
        return None
    a, b, c, p, q = game
    jacobian, half = np.array([[a, b], [-b, -c]]), np.diag([p, q]) / 2
    square, identity = method.solution_step_size * jacobian.T @ jacobian, np.eye(2)
    of_z = identity - half @ jacobian, -half @ jacobian.T
    return list(np.linalg.eigvals(np.block([[*of_z], [square, identity - square]])))


def _proximal(method: Any, game: Planar) -> Multipliers | None:
    return [1 / (1 + mu) for mu in game.mu] if method.solver == "newton" else None


def _runge_kutta(method: Any, game: Planar) -> Multipliers | None:
    if method.penalty:
        return None
    terms = range(method.order + 1)
    return [sum((-mu) ** i / math.factorial(i) for i in terms) for mu in game.mu]


def _lookahead(method: Any, game: Planar) -> Multipliers | None:
    found = _of_base(method, game, without_memory=True)
    if found is None or method.slow_from != "start":
        return None
    return [1 - method.alpha + method.alpha * one**method.k for one in found]


def _averaged(method: Any, game: Planar) -> Multipliers | None:
    return _of_base(method, game)


def _scheduled(method: Any, game: Planar) -> Multipliers | None:
    if name_of(type(method.schedule)) != "rsqrt" or name_of(type(method.base)) != "gda":
        return None
    factors = [1 / math.sqrt(1 + t) for t in range(SCHEDULED_STEPS)]
    return [math.prod((1 - s * mu for s in factors), start=1 + 0j) for mu in game.mu]


def _smoothed(method: Any, game: Planar) -> Multipliers:
    (a, b, c, p, q), identity = game, np.eye(4)
    (hold_x, hold_y), (beta_x, beta_y) = method.penalty, method.averaging
    x, y, u, v = identity  # rows that pick an entry of (x, y, u, v)
    x_next = x - p * (a * x + b * y + hold_x * (x - u))
    y_next = y + q * (b * x_next + c * y - hold_y * (y - v))
    u_next, v_next = u + beta_x * (x_next - u), v + beta_y * (y_next - v)
    return list(np.linalg.eigvals(np.stack((x_next, y_next, u_next, v_next))))


def _bcseg(method: Any, game: Planar) -> Multipliers | None:
    decay = method.decay
    if name_of(type(decay)) != "power":
        return None
    found = []
    for mu in game.mu:
        m = before = ahead = 1 + 0j  # after no step
        for t in range(ANCHORED_STEPS):
            alpha = method.ratio * (1 + t / decay.offset) ** -decay.exponent
            ahead = (1 - mu) * m + (1 - alpha) * (ahead - before + mu * before)
            before, m = m, m - alpha * mu * ahead
        found.append(m)
    return found


def _eag(method: Any, game: Planar) -> Multipliers:
    found = []
    for mu in game.mu:
        m, share = 1 + 0j, 1.0  # after no step
        for k in range(ANCHORED_STEPS):
            drawn = m + (1 - m) / (k + 2)
            m = drawn - share * mu * (drawn - share * mu * m)
            square = (share * method.lipschitz_step) ** 2
            share *= 1 - square / ((1 - square) * (k + 1) * (k + 3))
        found.append(m)
    return found


def _feg(method: Any, game: Planar) -> Multipliers:
    found, r = [], method.comonotonicity
    for mu in game.mu:
        m = 1 + 0j
        for k in range(ANCHORED_STEPS):
            beta = 1 / (k + 1)
            drawn = m + beta * (1 - m)
            ahead = drawn - (1 - beta) * (1 + 2 * r) * mu * m
            m = drawn - mu * ahead - (1 - beta) * 2 * r * mu * m
        found.append(m)
    return found


def _halpern(method: Any, game: Planar) -> Multipliers | None:
    base = _of_base(method, game, without_memory=True)
    if base is None:
        return None
    found = []
    for one in base:
        m = 1 + 0j
        for k in range(ANCHORED_STEPS):
            m = (1 + (k + 1) * one * m) / (k + 2)
        found.append(m)
    return found


def _of_base(
    method: Any, game: Planar, *, without_memory: bool = False
) -> Multipliers | None:
    """Return the multipliers of a wrapper's base method."""
    prediction = PREDICTIONS.get(name_of(type(method.base)))
    if prediction is None or not prediction.is_of_one_step:
        return None
    if without_memory and prediction.multipliers in {_optimistic, _lss, _smoothed}:
        return None
    return prediction.multipliers(method.base, game)


def _pair(value: Any) -> tuple[float, float]:
    return value if isinstance(value, tuple) else (value, value)


# ---- the registry ----


SCHEDULED_STEPS = 3
ANCHORED_STEPS = 5
SECOND = 0.25  # ACGD's second moment, held


@dataclass(frozen=True)
class Prediction:
    """The multipliers of a method's step, and how the step is measured.

    Args:
        multipliers: from the method and the game; None where its options have none.
        source: publication of the rule that the formula is derived from.
        case: options of the exact special case that is measured, by name.
        words: the special case in words.
        steps: number of steps that are measured, or the method's field that holds it.
        prepare: changes the first state.
    """

    multipliers: Callable[[Any, Planar], Multipliers | None]
    source: str
    case: tuple[tuple[str, Any], ...] = ()
    words: str = ""
    steps: int | Literal["k"] = 1
    prepare: Callable[[Any], Any] = lambda state: state

    @property
    def is_of_one_step(self) -> bool:
        """Whether the multipliers are those of an ordinary single step."""
        return not self.case and not self.words


def _hold_second_moment(state: Any) -> Any:
    """Return a state of ACGD whose second moment stands and has forgotten its start."""
    return state._replace(
        second=torch.full_like(state.second, SECOND), time=state.time + 10**18
    )


PREDICTIONS: dict[str, Prediction] = {
    "gda": Prediction(_gda, "Arrow, Hurwicz and Uzawa 1958"),
    "alternating_gda": Prediction(_alternating, "Gidel et al. 2019"),
    "omd": Prediction(_optimistic, "Daskalakis et al. 2018"),
    "extragradient": Prediction(_extragradient, "Korpelevich 1976"),
    "past_extragradient": Prediction(_optimistic, "Popov 1980"),
    "unrolled": Prediction(_unrolled, "Metz et al. 2017"),
    "cgd": Prediction(_cgd, "Schäfer and Anandkumar 2019"),
    "acgd": Prediction(
        _acgd,
        "Schäfer and Anandkumar 2019",
        case=(("beta", math.nextafter(1, 0)), ("floor", 1e-300)),
        words="with a constant second moment, which is cgd",
        prepare=_hold_second_moment,
    ),
    "accept_reject": Prediction(
        _accept_reject, "Gidel et al. 2019", words="first step, which is accepted"
    ),
    "alone": Prediction(_alone, "Schäfer et al. 2020"),
    "one_sided_cgd": Prediction(_one_sided, "Schäfer and Anandkumar 2019"),
    "consensus": Prediction(_consensus, "Mescheder et al. 2017"),
    "sga": Prediction(
        _sga,
        "Balduzzi et al. 2018",
        case=(("is_aligned", False),),
        words="without alignment, which is not linear",
    ),
    "hamiltonian": Prediction(_hamiltonian, "Balduzzi et al. 2018"),
    "gradient_regularised": Prediction(
        _gradient_regularised, "Nagarajan and Kolter 2017"
    ),
    "discretisation_drift": Prediction(_discretisation_drift, "Rosca et al. 2021"),
    "lss": Prediction(_lss, "Mazumdar, Jordan and Sastry 2019"),
    "stackelberg": Prediction(_ridge, "Fiez, Chasnov and Ratliff 2020"),
    "reflected_gradient": Prediction(_optimistic, "Malitsky 2015"),
    "proximal_point": Prediction(_proximal, "Rockafellar 1976"),
    "lola": Prediction(_lola, "Schäfer and Anandkumar 2019"),
    "follow_the_ridge": Prediction(_ridge, "Wang, Zhang and Ba 2020"),
    "runge_kutta": Prediction(_runge_kutta, "Qin et al. 2020"),
    "svre": Prediction(
        _extragradient,
        "Korpelevich 1976",
        words="on a sum of one term, where it is extragradient",
    ),
    "smoothed_gda": Prediction(_smoothed, "Zhang et al. 2020"),
    "bcseg": Prediction(
        _bcseg,
        "Pethick et al. 2023",
        words=f"{ANCHORED_STEPS} steps",
        steps=ANCHORED_STEPS,
    ),
    "eag": Prediction(
        _eag,
        "Yoon and Ryu 2021",
        words=f"{ANCHORED_STEPS} steps",
        steps=ANCHORED_STEPS,
    ),
    "feg": Prediction(
        _feg,
        "Lee and Kim 2021",
        words=f"{ANCHORED_STEPS} steps",
        steps=ANCHORED_STEPS,
    ),
    "halpern": Prediction(
        _halpern,
        "Halpern 1967",
        words=f"{ANCHORED_STEPS} steps",
        steps=ANCHORED_STEPS,
    ),
    "lookahead": Prediction(
        _lookahead,
        "Chavdarova et al. 2021",
        words="k steps and the return",
        steps="k",
    ),
    "averaged": Prediction(_averaged, "Bruck 1977"),
    "scheduled": Prediction(
        _scheduled,
        "Robbins and Monro 1951",
        words=f"first {SCHEDULED_STEPS} steps",
        steps=SCHEDULED_STEPS,
    ),
}


# ---- measured against predicted ----


class LinearGame(NamedTuple):
    """A quadratic game of the literature, and the step sizes that are tried on it.

    Args:
        title: its name in the literature.
        task: spec of its task.
        second: f_xx, f_xy and f_yy.
        pairs: step sizes of x and y.
    """

    title: str
    task: str
    second: tuple[float, float, float]
    pairs: tuple[tuple[float, float], ...]


BILINEAR_PAIRS = ((0.1, 0.1), (0.3, 0.3), (0.9, 0.9))
# On g1 and g2, equal step sizes would make both eigenvalues of GDA equal; rounding
# moves such an eigenvalue by its root.
UNEQUAL = ((0.05, 0.04),)
GAMES = (
    LinearGame("bilinear", "bilinear", (0, 1, 0), BILINEAR_PAIRS),
    LinearGame(
        "ICR", "quadratic", (2, 10, 2), ((0.09, 0.01), (0.03, 0.03), (0.01, 0.09))
    ),
    LinearGame("g1", "quadratic[a=-3,b=4,c=-1]", (-6, 4, -2), UNEQUAL),
    LinearGame("g2", "quadratic[a=3,b=4,c=1]", (6, 4, 2), UNEQUAL),
)
# xy as a sum of one term.
ONE_TERM = LinearGame(
    "bilinear", "finite_sum_bilinear[terms=1,linear=none]", (0, 1, 0), BILINEAR_PAIRS
)


class Comparison(NamedTuple):
    """The spectral radii of a method's steps, measured and predicted.

    Args:
        radii: number of radii that were compared.
        error: largest difference, relative to the predicted radius.
        worst: game and step sizes of that difference.
        source: where the prediction is from.
        words: what was measured, where it is not one step of the method as it is.
    """

    radii: int
    error: float
    worst: str
    source: str
    words: str


class Radius(NamedTuple):
    """The spectral radius of a method's steps on a game, measured and predicted.

    Args:
        game: the game.
        pair: step sizes of x and y.
        predicted: from the formula.
        measured: from the matrix of the steps that the method makes.
    """

    game: LinearGame
    pair: tuple[float, float]
    predicted: float
    measured: float

    @property
    def error(self) -> float:
        """The difference, relative to the predicted radius."""
        return float(abs(self.measured - self.predicted) / self.predicted)


def radii_of(algorithm: Algorithm) -> list[Radius]:
    """Measure and predict the spectral radii of a method's steps on all linear games.

    Args:
        algorithm: method; its own step sizes are not used.

    Returns:
        One for each game and pair of step sizes; empty where no prediction is
        registered for the method and its options.
    """
    name = name_of(type(algorithm))
    prediction = PREDICTIONS.get(name)
    if (
        prediction is None
        or type(algorithm) is not ALGORITHMS[name]
        or any(_is_direction(part) for part in nested(algorithm))
    ):
        return []
    method: Any = _made_exact(replace(algorithm, **dict(prediction.case)))
    compared = []
    needs = needs_of(method)
    for game in (ONE_TERM,) if Capability.FINITE_SUM in needs else GAMES:
        task = TASKS.build(game.task)
        for p, q in game.pairs if needs <= task.gives else ():
            found = prediction.multipliers(method, Planar(*game.second, p, q))
            if found is None:
                return []
            matrix = step_matrix(
                method.with_step_sizes(p, q),
                task,
                steps=method.k if prediction.steps == "k" else prediction.steps,
                prepare=prediction.prepare,
            )
            predicted = float(max(map(abs, found)))
            compared.append(Radius(game, (p, q), predicted, radius(matrix)))
    return compared


def compare_with_theory(algorithm: Algorithm) -> Comparison | None:
    """Compare the spectral radii of a method's steps with its prediction.

    Args:
        algorithm: method; its own step sizes are not used.

    Returns:
        None where no prediction is registered for the method and its options.
    """
    compared = radii_of(algorithm)
    if not compared:
        return None
    # A measured NaN is the worst there is.
    worst = max(compared, key=lambda one: (math.isnan(one.error), one.error))
    p, q = worst.pair
    prediction = PREDICTIONS[name_of(type(algorithm))]
    return Comparison(
        len(compared),
        worst.error,
        f"{worst.game.title} at ({p:g}, {q:g})",
        prediction.source,
        prediction.words,
    )


def _is_direction(part: Any) -> bool:
    """Return whether a part of a method changes its gradients."""
    return isinstance(part, Direction) and not isinstance(part, Plain)


def _made_exact(algorithm: Algorithm) -> Algorithm:
    """Return a method that solves its inner systems to rounding."""
    changes: dict[str, Any] = {}
    for field in fields(algorithm):
        value = getattr(algorithm, field.name)
        if field.name == "tolerance":
            changes["tolerance"] = EXACT
        elif isinstance(value, Algorithm):
            changes[field.name] = _made_exact(value)
    return replace(algorithm, **changes)
