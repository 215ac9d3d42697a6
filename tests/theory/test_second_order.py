"""One step of second-order methods on random quadratic games, as matrices.

Expected matrices are written here from the losses' second derivatives P (of loss_x)
and Q (of loss_y), in numpy's terms, for zero-sum and general-sum games alike.
"""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from quadratic_games import TwoLosses

from mmbench.algorithms import ALGORITHMS
from mmbench.tasks import TASKS
from mmbench.testing.step_matrices import radius, step_matrix
from mmbench.testing.tools import start_runs

ETA, PAIR = 0.1, (0.1, 0.05)
Matrix = np.ndarray


class Blocks:
    """The second derivatives of both losses, by blocks, and the Jacobian of F."""

    def __init__(self, task: TwoLosses) -> None:
        p, q = (one.numpy() for one in task.matrices())
        n = task.dim_x
        self.f_xx, self.f_xy, self.f_yx, self.f_yy = (
            *(p[:n, :n], p[:n, n:]),
            *(p[n:, :n], p[n:, n:]),
        )
        self.g_xx, self.g_xy, self.g_yx, self.g_yy = (
            *(q[:n, :n], q[:n, n:]),
            *(q[n:, :n], q[n:, n:]),
        )
        self.grad_x, self.grad_y = p[:n], q[n:]  # gradients as matrices that act on z
        self.cross_x, self.cross_y = p[n:], q[:n]
        self.jacobian = np.vstack((p[:n], q[n:]))
        self.identity = np.eye(len(p))
        self.row = np.r_[np.full(n, PAIR[0]), np.full(len(p) - n, PAIR[1])][:, None]


def consensus(b: Blocks) -> Matrix:
    """I − η (J + γ JᵀJ)."""
    j = b.jacobian
    return b.identity - b.row * (j + 0.3 * j.T @ j)


def sga(b: Blocks) -> Matrix:
    """I − η (J + λ AᵀJ)."""
    j = b.jacobian
    return b.identity - b.row * (j + 0.3 * (j - j.T).T @ j / 2)


def opponent(b: Blocks) -> Matrix:
    """LOLA with α = (0.2, 0.4)."""
    x = b.grad_x - 0.4 * b.g_yx.T @ b.cross_x
    y = b.grad_y - 0.2 * b.f_xy.T @ b.cross_y
    return b.identity - b.row * np.vstack((x, y))


def own(b: Blocks) -> Matrix:
    """Linearised CGD: each counts on the other's step η."""
    x = b.grad_x - PAIR[1] * b.f_xy @ b.grad_y
    y = b.grad_y - PAIR[0] * b.g_yx @ b.grad_x
    return b.identity - b.row * np.vstack((x, y))


def both(b: Blocks) -> Matrix:
    """Both factors of f(x, y − α ∇ᵧ g) are differentiated."""
    x = b.grad_x - 0.4 * (b.g_xy @ b.cross_x + b.f_xy @ b.grad_y)
    y = b.grad_y - 0.2 * (b.f_yx @ b.cross_y + b.g_yx @ b.grad_x)
    return b.identity - b.row * np.vstack((x, y))


def ridge(b: Blocks) -> Matrix:
    """y also moves by ηₓ g_yy⁻¹ g_yx ∇ₓ f."""
    moves = b.row * b.jacobian
    moves[len(b.grad_x) :] -= PAIR[0] * np.linalg.solve(b.g_yy, b.g_yx @ b.grad_x)
    return b.identity - moves


def competitive(b: Blocks) -> Matrix:
    """Both moves solve [[I, ηₓ f_xy], [ηᵧ g_yx, I]] Δz = −η F."""
    system, n = b.identity.copy(), len(b.grad_x)
    system[:n, n:], system[n:, :n] = PAIR[0] * b.f_xy, PAIR[1] * b.g_yx
    return b.identity - np.linalg.solve(system, b.row * b.jacobian)


def competitive_x(b: Blocks) -> Matrix:
    """The move of x in a competitive step."""
    moved = competitive(b)
    moved[len(b.grad_x) :] = b.identity[len(b.grad_x) :]
    return moved


def competitive_y(b: Blocks) -> Matrix:
    """The move of y in a competitive step."""
    moved = competitive(b)
    moved[: len(b.grad_x)] = b.identity[: len(b.grad_x)]
    return moved


def hamiltonian(b: Blocks) -> Matrix:
    """I − η JᵀJ."""
    return b.identity - b.row * (b.jacobian.T @ b.jacobian)


def crossing(b: Blocks) -> Matrix:
    """I − η (Jᵀ − J) J."""
    return b.identity - b.row * ((b.jacobian.T - b.jacobian) @ b.jacobian)


def drift(b: Blocks) -> Matrix:
    """The terms of the drift with the multipliers c = (0.5, −2) and s = (−1, 0.7)."""
    x = -1 * b.f_xx @ b.grad_x + 0.5 * b.f_xy @ b.grad_y
    y = 0.7 * b.g_yy @ b.grad_y - 2 * b.g_yx @ b.grad_x
    return b.identity - b.row * (b.jacobian + b.row / 2 * np.vstack((x, y)))


def drift_in_turn(b: Blocks) -> Matrix:
    """As `drift`, where x steps first; y's interaction has the factor 1 − 2ηₓ/ηᵧ."""
    n = len(b.grad_x)
    x = b.grad_x + PAIR[0] / 2 * (-1 * b.f_xx @ b.grad_x + 0.5 * b.f_xy @ b.grad_y)
    factor = -2 * (1 - 2 * PAIR[0] / PAIR[1])
    y = b.grad_y + PAIR[1] / 2 * (0.7 * b.g_yy @ b.grad_y + factor * b.g_yx @ b.grad_x)
    of_x, of_y = b.identity.copy(), b.identity.copy()
    of_x[:n] -= PAIR[0] * x
    of_y[n:] -= PAIR[1] * y
    return of_y @ of_x


def stackelberg(b: Blocks) -> Matrix:
    """The total derivative of x's loss, with δ = 0.3."""
    n = len(b.grad_y)
    answer = np.linalg.solve(b.g_yy + 0.3 * np.eye(n), b.cross_x)
    return b.identity - b.row * np.vstack((b.grad_x - b.g_xy @ answer, b.grad_y))


def regularised(b: Blocks) -> Matrix:
    """The gradient of ρ ‖∇ᵧ g‖² in x, with ρ = 0.4."""
    penalty = np.zeros_like(b.jacobian)
    penalty[: len(b.grad_x)] = 2 * 0.4 * b.g_yx.T @ b.grad_y
    return b.identity - b.row * (b.jacobian + penalty)


def heun(b: Blocks) -> Matrix:
    """The series of exp(−hJ) up to the square."""
    j = b.row * b.jacobian
    return b.identity - j + j @ j / 2


def runge_kutta(b: Blocks) -> Matrix:
    """The series of exp(−hJ) up to the fourth power."""
    j = b.row * b.jacobian
    return b.identity - j + j @ j / 2 - j @ j @ j / 6 + j @ j @ j @ j / 24


def ode_gan(b: Blocks) -> Matrix:
    """Heun, and y's descent on ρ ‖∇ₓ loss_x‖²."""
    penalty = np.zeros_like(b.jacobian)
    penalty[len(b.grad_x) :] = 2 * 0.07 * b.f_xy.T @ b.grad_x
    return heun(b) - b.row * penalty


METHODS: dict[str, Callable[[Blocks], Matrix]] = {
    "consensus[gamma=0.3]": consensus,
    "sga[weight=0.3,is_aligned=false]": sga,
    "lola[alpha=(0.2,0.4)]": opponent,
    "lola[shaping=own]": own,
    "lola[alpha=(0.2,0.4),shaping=both]": both,
    "follow_the_ridge[tolerance=1e-15]": ridge,
    "consensus[gamma=0.3,minibatch=fresh]": consensus,
    "hamiltonian": hamiltonian,
    "hamiltonian[minibatch=fresh]": hamiltonian,
    "sga[weight=2,is_aligned=false,field_weight=0]": crossing,
    "gradient_regularised[penalty=0.4]": regularised,
    "discretisation_drift[interaction=(0.5,-2),own=(-1,0.7)]": drift,
    "discretisation_drift[interaction=(0.5,-2),own=(-1,0.7),first=x]": drift_in_turn,
    "stackelberg[damping=0.3,tolerance=1e-15]": stackelberg,
    "cgd[tolerance=1e-15]": competitive,
    "cgd[tolerance=1e-15,solve=y]": competitive,
    "one_sided_cgd[tolerance=1e-15,player=x]": competitive_x,
    "one_sided_cgd[tolerance=1e-15]": competitive_y,
    "runge_kutta[order=2]": heun,
    "runge_kutta": runge_kutta,
    "runge_kutta[order=2,penalty=0.07]": ode_gan,
}


def with_pair(words: str) -> str:
    """Return a spec with the pair of step sizes."""
    name, _, options = words.rstrip("]").partition("[")
    return f"{name}[step_size={PAIR},{options}]".replace(" ", "").replace(",]", "]")


@pytest.mark.parametrize("is_zero_sum", [True, False])
@pytest.mark.parametrize("words", METHODS)
def test_a_step_is_its_formula(words: str, is_zero_sum: bool) -> None:
    """The matrix of a step is the formula's, to rounding, on three games."""
    for seed in range(3):
        task = TwoLosses(seed=seed, is_zero_sum=is_zero_sum)
        measured = step_matrix(ALGORITHMS.build(with_pair(words)), task)
        expected = METHODS[words](Blocks(task))
        assert measured == pytest.approx(expected, rel=1e-9, abs=1e-10), seed


@pytest.mark.parametrize("is_zero_sum", [True, False])
def test_acgd_steps_are_its_formula(is_zero_sum: bool) -> None:
    """Steps that solve for either player, with a step size for each entry of z."""
    beta, epsilon = 0.9, 1e-5
    words = f"acgd[step_size={PAIR},beta={beta},tolerance=1e-15,floor=1e-300]"
    task = TwoLosses(seed=4, is_zero_sum=is_zero_sum)
    b, n = Blocks(task), task.dim_x
    acgd = ALGORITHMS.build(words.replace(" ", ""))
    oracle, z = start_runs(task)
    plain, second, state = z.numpy().T.copy(), 0.0, acgd.init(oracle, z)
    for t in range(1, 5):
        z, state = acgd.step(oracle, z, state)
        field = b.jacobian @ plain
        second = beta * second + (1 - beta) * field**2
        sizes = b.row * (1 - beta**t) ** 0.5 / (np.sqrt(second) + epsilon)
        for run in range(plain.shape[1]):
            a = sizes[:, run : run + 1]
            system = b.identity.copy()
            system[:n, n:], system[n:, :n] = a[:n] * b.f_xy, a[n:] * b.g_yx
            move = np.linalg.solve(system, a * field[:, run : run + 1])
            plain[:, run] -= move[:, 0]
        measured = z.numpy().T
        assert measured == pytest.approx(plain, rel=1e-9, abs=1e-10), t


@pytest.mark.parametrize("is_zero_sum", [True, False])
def test_symplectic_surgery_is_its_formula(is_zero_sum: bool) -> None:
    """Steps of z and v, with a damping that depends on ‖F‖."""
    task = TwoLosses(seed=5, is_zero_sum=is_zero_sum)
    b, rate, damping = Blocks(task), 0.02, 0.5
    lss = ALGORITHMS.build(
        with_pair(f"lss[solution_step_size={rate},damping={damping}]")
    )
    oracle, z = start_runs(task)
    plain, v, state = z.numpy().T.copy(), np.zeros(z.shape[::-1]), lss.init(oracle, z)
    for _ in range(4):
        z, state = lss.step(oracle, z, state)
        field, j = b.jacobian @ plain, b.jacobian
        of_norm = damping * (1 - np.exp(-(field**2).sum(0)))
        plain = plain - b.row * (field + j.T @ v) / 2
        v = v - rate * (j.T @ (j @ v - field) + of_norm * v)
    for measured, expected in ((z, plain), (state.solution, v)):
        torch.testing.assert_close(
            measured.T, torch.tensor(expected), rtol=1e-9, atol=1e-10
        )


@pytest.mark.parametrize(
    ("game", "sizes", "expected"),
    [
        ("bilinear", "0.2", 1),
        ("quadratic", "(0.09,0.01)", 1.02),
        ("quadratic", "(0.03,0.03)", 1.06),
        ("quadratic", "(0.01,0.09)", 1.18),
        ("quadratic[a=1,b=10,c=-1]", "(0.09,0.01)", 0.98),
    ],
)
def test_symplectic_surgery_leaves_no_rotation(
    game: str, sizes: str, expected: float
) -> None:
    """Once v = J⁻¹F the step is I − η (J + Jᵀ)/2, which is the identity on xy.

    It leaves (0, 0) of x² + 10xy + y², where y could gain alone, at each step size of
    GDA that is attracted, and stays at the equilibrium of x² + 10xy − y².
    """
    lss, task = ALGORITHMS.build(f"lss[step_size={sizes}]"), TASKS.build(game)
    matrix = step_matrix(lss, task)  # of (z, v), and v = z where F is linear
    settled = matrix[:2, :2] + matrix[:2, 2:]
    assert radius(settled) == pytest.approx(expected, rel=1e-12)
    assert np.isreal(np.linalg.eigvals(settled)).all()
    slow = ALGORITHMS.build("lss[step_size=0.0001,solution_step_size=0.01]")
    whole = radius(step_matrix(slow, task))
    assert (
        whole == pytest.approx(1, abs=1e-12)
        if expected == 1
        else ((whole - 1) * (expected - 1) > 0)
    )


@pytest.mark.parametrize("is_zero_sum", [True, False])
def test_drift_regularisers_have_known_special_cases(is_zero_sum: bool) -> None:
    """Without any drift it is Heun's method, without the interaction's LookAhead."""
    task = TwoLosses(seed=6, is_zero_sum=is_zero_sum)
    for words, other in (
        ("discretisation_drift[own=-1]", "runge_kutta[order=2]"),
        ("discretisation_drift", "lola[shaping=own,alpha=0.05]"),
        ("discretisation_drift[interaction=0]", "gda"),
    ):
        ours = step_matrix(ALGORITHMS.build(words), task)
        theirs = step_matrix(ALGORITHMS.build(other), task)
        assert ours == pytest.approx(theirs, rel=1e-10, abs=1e-11), words


@pytest.mark.parametrize("first", ["both", "x", "y"])
@pytest.mark.parametrize("is_zero_sum", [True, False])
def test_without_drift_a_step_follows_the_flow(first: str, is_zero_sum: bool) -> None:
    """It departs from exp(−ηJ) by the third power of η, that of GDA by the second."""
    task = TwoLosses(seed=7, is_zero_sum=is_zero_sum)
    values, vectors = np.linalg.eig(Blocks(task).jacobian)
    departures = []
    for eta in (1e-3, 5e-4):
        flow = (vectors * np.exp(-eta * values)) @ np.linalg.inv(vectors)
        for own in ("-1", "0,interaction=0"):
            words = f"discretisation_drift[step_size={eta},first={first},own={own}]"
            step = step_matrix(ALGORITHMS.build(words), task)
            departures.append(np.linalg.norm(step - flow))
    assert departures[0] / departures[2] == pytest.approx(8, rel=0.02)
    assert departures[1] / departures[3] == pytest.approx(4, rel=0.02)


# Spectral radii on xy at η, and on x² + 10xy + y² at (ηₓ, ηᵧ).
# Source: closed forms |1 − η(λ + γ|λ|²)| with λ = ±i on xy; the others by hand.
RADII = [
    ("lola[step_size=0.2]", "bilinear", 0.9806),
    ("lola[step_size=0.5]", "bilinear", 0.9014),
    ("lola[step_size=0.5,shaping=both]", "bilinear", 0.7071),
    ("sga[step_size=0.2,weight=0.1,is_aligned=false]", "bilinear", 1.0002),
    ("sga[step_size=0.5,is_aligned=false]", "bilinear", 0.7071),
    ("consensus[step_size=0.2,gamma=0.1]", "bilinear", 1.0002),
    ("consensus[step_size=0.2,gamma=1]", "bilinear", 0.8246),
    ("hamiltonian[step_size=0.2]", "bilinear", 0.8),
    ("hamiltonian[step_size=0.01]", "quadratic", 0.44),
    ("hamiltonian[step_size=0.01]", "quadratic[a=3,b=4,c=1]", 0.9978),
    ("gradient_regularised[step_size=0.2]", "bilinear", 0.9165),
    ("gradient_regularised[step_size=0.2,penalty=0.1]", "bilinear", 1.0000),
    ("gradient_regularised[step_size=0.2,penalty=0.05]", "bilinear", 1.0100),
    ("discretisation_drift[step_size=0.5]", "bilinear", 1.0078),
    ("discretisation_drift[step_size=0.5,interaction=-2]", "bilinear", 0.9014),
    ("stackelberg[step_size=(0.09,0.01)]", "quadratic", 5.32),
    ("stackelberg[step_size=(0.03,0.03)]", "quadratic", 2.44),
    ("stackelberg[step_size=(0.01,0.09)]", "quadratic", 1.48),
    ("stackelberg[step_size=0.05]", "quadratic[a=-3,b=4,c=-1]", 0.900),
    ("stackelberg[step_size=0.05]", "quadratic[a=3,b=4,c=1]", 1.100),
    ("runge_kutta[step_size=1]", "bilinear", 0.9939),
    ("runge_kutta[step_size=1,order=2]", "bilinear", 1.1180),
    ("lola[step_size=(0.09,0.01)]", "quadratic", 0.8684),
    ("lola[step_size=(0.03,0.03)]", "quadratic", 0.9561),
    ("lola[step_size=(0.01,0.09)]", "quadratic", 1.0364),
    ("sga[step_size=(0.03,0.03),weight=0.1,is_aligned=false]", "quadratic", 0.7568),
    ("sga[step_size=(0.03,0.03),weight=1,is_aligned=false]", "quadratic", 2.52),
    ("consensus[step_size=(0.09,0.01),gamma=0.1]", "quadratic", 0.8366),
    ("consensus[step_size=(0.01,0.09),gamma=0.05]", "quadratic", 0.86437),
    ("runge_kutta[step_size=(0.09,0.01)]", "quadratic", 0.9231),
    ("runge_kutta[step_size=(0.01,0.09)]", "quadratic", 1.0833),
    ("follow_the_ridge[step_size=(0.09,0.01)]", "quadratic", 5.32),
    ("follow_the_ridge[step_size=(0.03,0.03)]", "quadratic", 2.44),
    ("follow_the_ridge[step_size=0.05]", "quadratic[a=-3,b=4,c=-1]", 0.900),
    ("follow_the_ridge[step_size=0.05]", "quadratic[a=3,b=4,c=1]", 1.100),
    ("consensus[step_size=0.05]", "quadratic[a=-3,b=4,c=-1]", 0.920),
    ("consensus[step_size=0.05]", "quadratic[a=3,b=4,c=1]", 0.973),
]


@pytest.mark.parametrize(("words", "game", "expected"), RADII)
def test_radii_are_the_known_ones(words: str, game: str, expected: float) -> None:
    """Radii of one step, to the digits that were computed by hand."""
    found = radius(step_matrix(ALGORITHMS.build(words), TASKS.build(game)))
    digits = len(f"{expected}".partition(".")[2])
    assert found == pytest.approx(expected, abs=0.6 * 10.0**-digits)


def test_alignment_turns_away_from_an_unstable_point() -> None:
    """At a repelling spiral an aligned adjustment points outwards, not inwards.

    Around the worst point of −x² − y² + 10xy-like games, where ⟨F, JᵀF⟩ < 0 and
    ⟨AᵀF, JᵀF⟩ > 0, the sign is negative.
    """
    task = TASKS.build("quadratic[a=-3,b=10,c=3]")
    aligned = step_matrix(ALGORITHMS.build("sga[step_size=0.01,weight=0.1]"), task)
    plain = step_matrix(
        ALGORITHMS.build("sga[step_size=0.01,weight=0.1,is_aligned=false]"), task
    )
    away = step_matrix(ALGORITHMS.build("gda[step_size=0.01]"), task)
    assert aligned - away == pytest.approx(away - plain, rel=1e-9, abs=1e-12)
    assert radius(plain) < radius(away) < radius(aligned)


def test_the_ridge_is_followed_on_a_singular_game() -> None:
    """On xy g_yy is zero, the correction is zero and the step is GDA's."""
    gda = step_matrix(ALGORITHMS.build("gda"), TASKS.build("bilinear"))
    for words in ("follow_the_ridge", "stackelberg"):
        step = step_matrix(ALGORITHMS.build(words), TASKS.build("bilinear"))
        assert np.array_equal(step, gda)
