"""Measured spectral radii of one step equal their closed forms.

The matrix of a step is measured: the step is applied to a basis, all basis vectors at
once as runs, the method's own memory included. Closed forms are written here from the
eigenvalues of the game's Jacobian, not from the code under test.
"""

import cmath
import math
from collections.abc import Callable

import numpy as np
import pytest

from mmbench.algorithms import ALGORITHMS
from mmbench.tasks import TASKS
from mmbench.testing.step_matrices import dirac_matrix, radius, step_matrix

STEPS = (0.01, 0.1, 0.2, 0.3, 0.45, 0.7, 0.9, 1.0, 1.5)
EXACT = "tolerance=1e-15"
# (step of x, step of y): converges, slowly diverges, rapidly diverges under GDA.
PAIRS = ((0.09, 0.01), (0.03, 0.03), (0.01, 0.09))
ICR = (2.0, 10.0, 2.0)  # f_xx, f_xy, f_yy of x² + 10xy + y²


# ---- closed forms ----


def gda(eta: float) -> float:
    """Simultaneous steps on xy."""
    return math.sqrt(1 + eta**2)


def alternating(_: float) -> float:
    """Alternating steps on xy: a closed orbit below 2."""
    return 1.0


def extragradient(eta: float) -> float:
    """Extragradient on xy."""
    return math.sqrt(1 - eta**2 + eta**4)


def optimistic(eta: float) -> float:
    """OGDA on xy, by the roots of λ² = λ(1−2iη) + iη."""
    root = cmath.sqrt((1 - 2j * eta) ** 2 + 4j * eta)
    return max(abs((1 - 2j * eta + sign * root) / 2) for sign in (1, -1))


def proximal(eta: float) -> float:
    """CGD on xy, which is the proximal point method."""
    return 1 / math.sqrt(1 + eta**2)


def unrolled(eta: float) -> float:
    """One unrolled step on xy: determinant 1−η², trace 2(1−η²)."""
    square = cmath.sqrt((1 - eta**2) ** 2 - (1 - eta**2))
    return max(abs(1 - eta**2 + sign * square) for sign in (1, -1))


PLANAR = [
    ("gda", gda),
    ("alternating_gda", alternating),
    ("alternating_gda[first=y]", alternating),
    ("extragradient", extragradient),
    ("omd", optimistic),
    ("omd[first=zero]", optimistic),
    ("past_extragradient", optimistic),
    (f"cgd[{EXACT}]", proximal),
    (f"cgd[{EXACT},solve=y]", proximal),
    ("unrolled[k=1]", unrolled),
]


def words_with(words: str, step_size: str) -> str:
    """Words of an algorithm with a step size."""
    name, _, rest = words.partition("[")
    return f"{name}[step_size={step_size}" + (f",{rest}" if rest else "]")


@pytest.mark.parametrize("eta", STEPS)
@pytest.mark.parametrize(("words", "closed"), PLANAR)
def test_bilinear(words: str, closed: Callable[[float], float], eta: float) -> None:
    """On xy the radius is the closed form to 1e-9."""
    algorithm = ALGORITHMS.build(words_with(words, repr(eta)))
    measured = radius(step_matrix(algorithm, TASKS.build("bilinear")))
    # A nilpotent matrix: rounding moves its double eigenvalue by its square root.
    defective = words.startswith("unrolled") and eta == 1
    assert measured == pytest.approx(closed(eta), rel=1e-9, abs=1e-7 * defective)


@pytest.mark.parametrize("words", ["omd", "past_extragradient"])
def test_optimistic_at_its_defective_step(words: str) -> None:
    """At η = 1/2 two eigenvalues meet, and the radius is the best, 1/√2."""
    algorithm = ALGORITHMS.build(words_with(words, "0.5"))
    measured = radius(step_matrix(algorithm, TASKS.build("bilinear")))
    assert measured == pytest.approx(math.sqrt(0.5), abs=1e-7)
    assert optimistic(0.5) == pytest.approx(math.sqrt(0.5), abs=1e-7)


@pytest.mark.parametrize("eta", [0.1, 0.3, 0.5])
def test_optimistic_closed_form_is_the_published_one(eta: float) -> None:
    """For η ≤ 1/2 the roots give √((1+√(1−4η²))/2)."""
    published = math.sqrt((1 + math.sqrt(1 - 4 * eta**2)) / 2)
    assert optimistic(eta) == pytest.approx(published, abs=1e-7)


@pytest.mark.parametrize(
    ("words", "edge"),
    [
        ("omd", 1 / math.sqrt(3)),
        ("past_extragradient", 1 / math.sqrt(3)),
        ("extragradient", 1.0),
        ("alternating_gda", 2.0),
        ("unrolled[k=1]", 2 / math.sqrt(3)),
        ("runge_kutta", 2 * math.sqrt(2)),
        ("consensus[gamma=0.5]", 0.8),  # 2γ/(1 + γ²)
        ("sga[is_aligned=false,weight=0.5]", 0.8),
    ],
)
def test_edge_of_stability(words: str, edge: float) -> None:
    """The radius crosses 1 exactly at the known step size."""
    task = TASKS.build("bilinear")

    def at(eta: float) -> float:
        built = ALGORITHMS.build(words_with(words, repr(eta)))
        return radius(step_matrix(built, task))

    inside = 1.0 if words == "alternating_gda" else 1 - 1e-6
    assert at(edge * 0.999) <= inside + 1e-9
    assert at(edge * 1.001) > 1 + 1e-6


@pytest.mark.parametrize(
    ("words", "closed"), [pair for pair in PLANAR if pair[1] is not alternating]
)
@pytest.mark.parametrize("eta", [0.05, 0.2, 0.4])
def test_many_dimensions(
    words: str, closed: Callable[[float], float], eta: float
) -> None:
    """On x'Ay the radius is that of the worst singular value."""
    game = "bilinear[dim=5,smallest=0.5,largest=2]"
    algorithm = ALGORITHMS.build(words_with(words, repr(eta)))
    measured = radius(step_matrix(algorithm, TASKS.build(game)))
    worst = max(closed(eta * sigma) for sigma in np.linspace(0.5, 2, 5))
    assert measured == pytest.approx(worst, rel=1e-9)


# ---- a quadratic with three blocks ----


def quadratic_closed(
    name: str, steps: tuple[float, float], blocks: tuple[float, float, float]
) -> float:
    """Radius on a general quadratic, from its Jacobian or the methods' definitions."""
    (p, q), (a, b, c) = steps, blocks
    scaled = np.diag([p, q]) @ np.array([[a, b], [-b, -c]])
    mu = np.linalg.eigvals(scaled).astype(complex)
    match name:
        case "gda":
            return float(np.abs(1 - mu).max())
        case "alternating_gda":
            first = np.array([[1 - p * a, -p * b], [0, 1]])
            return radius(np.array([[1, 0], [q * b, 1 + q * c]]) @ first)
        case "extragradient":
            return float(np.abs(1 - mu + mu**2).max())
        case "omd" | "past_extragradient":
            roots = [np.roots([1, -(1 - 2 * one), -one]) for one in mu]
            return float(np.abs(roots).max())
        case "unrolled":
            at_answer = np.array([[1, 0], [q * b, 1 + q * c]])  # (x, y + q f_y)
            # d/dx f(x, y(x)) = f_x + q b f_y, both at the answer.
            row = np.array([a, b]) @ at_answer + q * b * np.array([b, c]) @ at_answer
            return radius(np.array([[1 - p * row[0], -p * row[1]], [q * b, 1 + q * c]]))
    damped = 1 / (1 + p * q * b * b)
    x_row = -p * damped * (np.array([a, b]) + q * b * np.array([b, c]))
    y_row = q * damped * (np.array([b, c]) - p * b * np.array([a, b]))
    return radius(np.eye(2) + np.array([x_row, y_row]))


# Ten digits where published so, else four or five (facts of two independent studies).
PUBLISHED = {
    "gda": (0.9624967532, 1.0423051377, 1.1164228590),
    "alternating_gda": (0.91455, 0.99820, 1.07536),
    "extragradient": (0.87911, 0.95972, 1.05853),
    "omd": (0.87403, 0.95104, 1.05824),
    "cgd": (0.8759791376, 0.9561006434, 1.0300084617),
    "unrolled": (0.8629, 0.9492, 1.0248),
}


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("name", [*PUBLISHED, "past_extragradient"])
def test_icr_quadratic(name: str, pair: tuple[float, float]) -> None:
    """On x²+10xy+y² at three step pairs: the closed form to 1e-9, and as published."""
    options = {"cgd": f",{EXACT}", "unrolled": ",k=1"}.get(name, "")
    words = f"{name}[step_size=({pair[0]},{pair[1]}){options}]"
    measured = radius(step_matrix(ALGORITHMS.build(words), TASKS.build("quadratic")))
    assert measured == pytest.approx(quadratic_closed(name, pair, ICR), abs=1e-9)
    if name in PUBLISHED:
        published = PUBLISHED[name][PAIRS.index(pair)]
        digits = len(f"{published:.10f}".rstrip("0").partition(".")[2])
        assert measured == pytest.approx(published, abs=0.6 * 10**-digits)


@pytest.mark.parametrize(
    ("game", "eta", "expected"),
    [
        # (0, 0) is a strict local minimax, unstable for GDA.
        (
            "a=-3,b=4,c=-1",
            0.05,
            {"gda": 1.1, "extragradient": 1.11, "omd": 1.11, "cgd": 1.061},
        ),
        # (0, 0) is no minimax, stable for GDA.
        (
            "a=3,b=4,c=1",
            0.05,
            {"gda": 0.9, "extragradient": 0.91, "omd": 0.91, "cgd": 0.958},
        ),
        # Optimism is stable where simultaneous steps are not.
        ("a=0.5,b=4,c=0.5", 0.05, {"gda": 1.0186, "omd": 0.9803}),
    ],
)
def test_other_quadratics(game: str, eta: float, expected: dict[str, float]) -> None:
    """Quadratics of the literature, to the digits given there."""
    task = TASKS.build(f"quadratic[{game}]")
    for name, value in expected.items():
        algorithm = ALGORITHMS.build(f"{name}[step_size={eta}]")
        measured = radius(step_matrix(algorithm, task))
        assert measured == pytest.approx(value, abs=6e-4), name


# ---- DiracGAN, linearised ----


@pytest.mark.parametrize(
    ("words", "game", "expected", "tolerance"),
    [
        ("gda[step_size=0.3]", "dirac_gan", 1.0111874208, 1e-8),
        ("gda[step_size=0.3]", "dirac_gan[loss=nonsaturating]", 1.0111874208, 1e-8),
        ("alternating_gda[step_size=0.3]", "dirac_gan", 1.0, 1e-8),
        ("alternating_gda[step_size=3.9]", "dirac_gan", 1.0, 1e-8),
        ("alternating_gda[step_size=4.1]", "dirac_gan", 1.5625, 1e-7),
        ("gda[step_size=0.3]", "dirac_gan[r1=0.3]", 0.9656604, 1e-7),
        # Critical: a double eigenvalue, which differences move by their square root.
        ("gda[step_size=0.3]", "dirac_gan[r1=1]", 0.85, 1e-4),
        ("gda[step_size=0.3]", "dirac_gan[r1=2]", 0.9598076, 1e-7),
    ],
)
def test_dirac(words: str, game: str, expected: float, tolerance: float) -> None:
    """Around its equilibrium the DiracGAN has the published radii."""
    matrix = dirac_matrix(ALGORITHMS.build(words), TASKS.build(game))
    assert radius(matrix) == pytest.approx(expected, abs=tolerance)


# Radii of (z, moments) on xy by hand; see Gidel et al. 2019, sections 4 and 5.
MOMENTUM = [
    ("alternating_gda[step_size=0.5,direction=momentum[beta=-0.5]]", 0.9625437),
    ("alternating_gda[step_size=1,direction=momentum[beta=-0.5]]", 1.0),
    ("alternating_gda[step_size=0.5,direction=momentum[beta=0.5]]", 1.2693),
    ("gda[step_size=0.5,direction=momentum[beta=0]]", math.sqrt(1.25)),
]


@pytest.mark.parametrize(("words", "expected"), MOMENTUM)
def test_momentum_has_the_known_radii(words: str, expected: float) -> None:
    """Negative momentum damps alternating steps; positive momentum drives them out."""
    found = radius(step_matrix(ALGORITHMS.build(words), TASKS.build("bilinear")))
    assert found == pytest.approx(expected, abs=1e-4 if expected == 1.2693 else 1e-6)


def test_no_real_momentum_lets_simultaneous_steps_converge() -> None:
    """At η = 0.5 every real β is above 1, and a complex one reaches 0.920136."""

    def at(beta: float, phase: float = 0.0) -> float:
        words = f"gda[step_size=0.5,direction=momentum[beta={beta},phase={phase}]]"
        return radius(step_matrix(ALGORITHMS.build(words), TASKS.build("bilinear")))

    least = min(at(beta) for beta in np.linspace(-0.999, 0.999, 112))
    assert 1 < least < 1.01
    assert at(0.72, 1.1780972450961724) == pytest.approx(0.9201361526873857, rel=1e-9)


@pytest.mark.parametrize("omega", [0.0, 0.5, 1.0, 2.0])
def test_generalised_optimism_has_its_roots(omega: float) -> None:
    """λ² = λ (1 − iη(1 + ω)) + iη ω on xy."""
    eta = 0.3
    words = f"omd[step_size={eta},optimism={omega}]"
    found = radius(step_matrix(ALGORITHMS.build(words), TASKS.build("bilinear")))
    trace = 1 - 1j * eta * (1 + omega)
    roots = np.roots([1, -trace, -1j * eta * omega])
    assert found == pytest.approx(float(np.abs(roots).max()), rel=1e-12)


@pytest.mark.parametrize("ratio", [0.25, 0.5, 1.0])
def test_extragradient_with_two_step_sizes(ratio: float) -> None:
    """The multiplier on xy is 1 − iρη − ρη²."""
    words = f"extragradient[step_size=0.4,ratio={ratio}]"
    found = radius(step_matrix(ALGORITHMS.build(words), TASKS.build("bilinear")))
    expected = abs(1 - 1j * ratio * 0.4 - ratio * 0.16)
    assert found == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize(("weight", "edge"), [(0.1, 22 / 202), (1.0, 2 / 101)])
def test_adjustment_extends_the_steps_of_a_weak_attractor(
    weight: float, edge: float
) -> None:
    """On x²/2 + 10xy − y²/2 it does with λ = 0.1, and gains nothing with λ = 1."""
    task = TASKS.build("quadratic[a=0.5,b=10,c=-0.5]")
    words = f"sga[is_aligned=false,weight={weight}"
    inside, outside = (
        radius(step_matrix(ALGORITHMS.build(f"{words},step_size={eta!r}]"), task))
        for eta in (0.999 * edge, 1.001 * edge)
    )
    assert inside < 1 < outside


def test_common_scaling_of_the_icr_step_sizes() -> None:
    """(0.09, 0.01) may be scaled by up to 1.85185; published radii at 1.85, 1.855."""
    task = TASKS.build("quadratic")
    for scale, expected in ((1.85, 0.99985), (1.855, 1.00025)):
        method = ALGORITHMS.build("gda").with_step_sizes(0.09 * scale, 0.01 * scale)
        assert radius(step_matrix(method, task)) == pytest.approx(expected, abs=5e-6)


def jury(a: float, b: float, c: float, p: float, q: float) -> dict[str, bool]:
    """Return by method whether (0, 0) is stable, by the conditions of Jury."""
    trace, determinant = p * a - q * c, p * q * (b * b - a * c)
    s = a / q - c / p
    return {
        "gda": 0 < determinant < trace and 4 - 2 * trace + determinant > 0,
        "proximal_point": s > -(b * b - a * c),
        "cgd": s > -(b * b + a * c),
    }


@pytest.mark.parametrize("name", ["gda", "proximal_point", "cgd"])
def test_stable_step_sizes_are_those_of_the_jury_conditions(name: str) -> None:
    """On x² + 10xy + y², at pairs around the edges 1/q − 1/p = 48, −48 and −52."""
    task = TASKS.build("quadratic")
    random = np.random.default_rng(0)
    x_sizes = np.exp(random.uniform(np.log(1e-3), np.log(0.4), 100))
    differences = random.uniform(np.maximum(-60, 2.5 - 1 / x_sizes), 60)
    pairs = np.stack((x_sizes, 1 / (differences + 1 / x_sizes)), axis=1)
    tolerance = "" if name == "gda" else f"[{EXACT}]"
    for p, q in pairs.tolist():
        method = ALGORITHMS.build(name + tolerance).with_step_sizes(p, q)
        is_stable = radius(step_matrix(method, task)) < 1
        assert is_stable is jury(*ICR, p, q)[name], (p, q)
