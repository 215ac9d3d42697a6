"""Where methods end on games of the plane, against numbers of independent programs."""

import math

import pytest
import torch

from mmbench.algorithms import ALGORITHMS
from mmbench.core.capability import Capability
from mmbench.core.oracle import Oracle
from mmbench.core.oracle_state import OracleState
from mmbench.core.vectors import Joint
from mmbench.tasks import TASKS
from mmbench.testing.step_matrices import radius, step_matrix
from mmbench.testing.tools import PLACEMENT


def tail(words: str, game: str, start: Joint, steps: int, last: int = 1) -> Joint:
    """Return the last few iterates, shape (last, runs, 2)."""
    algorithm, task = ALGORITHMS.build(words), TASKS.build(game)
    built = task.build(PLACEMENT)
    oracle = Oracle(OracleState(built, tuple(range(len(start)))))
    z, kept = start, []
    state = algorithm.init(oracle, z)
    for step in range(steps):
        z, state = algorithm.step(oracle, z, state)
        if step >= steps - last:
            kept.append(z)
    return torch.stack(kept)


def at(x: float, y: float) -> Joint:
    """Return one point."""
    return torch.tensor([[x, y]], dtype=torch.float64)


# Method, game, start, steps, least and largest distance to the centre at the end.
CYCLES = [
    ("gda[step_size=0.05]", "g3", at(5, 7), 3000, 1.354, 3.556),
    ("extragradient[step_size=0.05]", "g3", at(5, 7), 3000, 1.346, 3.256),
    ("gda[step_size=0.01]", "worst_for_both", at(0.5, 0.5), 4000, 1.071, 1.252),
    (
        "extragradient[step_size=0.01]",
        "worst_for_both",
        at(0.5, 0.5),
        4000,
        1.068,
        1.245,
    ),
    ("extragradient[step_size=0.01]", "global_forsaken", at(1, 1), 4000, 1.286, 1.317),
]


@pytest.mark.parametrize(
    ("words", "game", "start", "steps", "least", "most"),
    [CYCLES[0], *(pytest.param(*one, marks=pytest.mark.slow) for one in CYCLES[1:])],
)
def test_cycles_have_the_known_radii(
    words: str, game: str, start: Joint, steps: int, least: float, most: float
) -> None:
    """The distance to (0, 0) over the last turns runs between two known numbers."""
    radii = tail(words, game, start, steps, last=1500).norm(dim=2)
    assert float(radii.min()) == pytest.approx(least, abs=2e-3)
    assert float(radii.max()) == pytest.approx(most, abs=2e-3)


@pytest.mark.slow
def test_extragradient_ends_on_the_cycle_around_the_forsaken_point() -> None:
    """At distances of 0.922 to 1.912 from the stationary point."""
    task = TASKS.build("forsaken")
    centre = torch.tensor(task.points["stationary"], dtype=torch.float64)
    z = tail("extragradient[step_size=0.01]", "forsaken", at(1, 1), 4000, last=1500)
    radii = (z - centre).norm(dim=2)
    assert float(radii.min()) == pytest.approx(0.9224, abs=1e-3)
    assert float(radii.max()) == pytest.approx(1.9118, abs=1e-3)


@pytest.mark.slow
def test_a_larger_step_leaves_the_cycle() -> None:
    """On GlobalForsaken extragradient with 0.1 converges from where 0.01 cycles."""
    z = tail("extragradient[step_size=0.1]", "global_forsaken", at(1, 1), 2000)
    assert float(z.norm(dim=2)) < 1e-6


def test_the_ridge_leads_to_the_local_minimax_point() -> None:
    """Follow-the-ridge reaches (0, 0) of g₃ from where gradient steps circle."""
    words = "follow_the_ridge[step_size=0.05,tolerance=1e-12]"
    z = tail(words, "g3", at(5, 7), 300)
    assert float(z.norm(dim=2)) < 1e-9


def test_a_quarter_of_the_starts_end_at_the_spurious_point() -> None:
    """Of 500 uniform starts GDA brings about 133 to (0, 0) and the rest to Nash."""
    random = torch.Generator().manual_seed(0)
    start = 10 * torch.rand(500, 2, generator=random, dtype=torch.float64) - 5
    z = tail("gda[step_size=0.02]", "escaping_saddles", start, 2500)[0]
    game = TASKS.build("escaping_saddles").build(PLACEMENT)
    at_nash = game.distance(z, "nash") < 1e-6
    at_origin = z.norm(dim=1) < 1e-6
    assert (at_nash | at_origin).all()
    # A binomial count of 500 with the share 0.27 has a standard deviation of 10.
    assert abs(int(at_origin.sum()) - 133) < 40


@pytest.mark.slow
@pytest.mark.parametrize(("eta", "radius"), [(0.031, 0.9045), (0.033, 0.0)])
def test_the_polar_trap_opens_at_the_known_step(eta: float, radius: float) -> None:
    """Extragradient stays on a circle for η < 0.0319 and reaches (0, 0) above."""
    z = tail(f"extragradient[step_size={eta}]", "polar", at(2, 0), 20_000)
    assert float(z.norm(dim=2)) == pytest.approx(radius, abs=2e-3)


@pytest.mark.slow
def test_the_polar_flow_goes_where_its_formula_says() -> None:
    """Runge-Kutta steps from 0.7 lead to 0, from 0.8 and 2 to the unit circle."""
    start = torch.cat((at(0.7, 0), at(0.8, 0), at(2, 0)))
    z = tail("runge_kutta[step_size=0.1]", "polar", start, 2500)[0]
    assert z.norm(dim=1).tolist() == pytest.approx([0, 1, 1], abs=1e-4)


@pytest.mark.slow
def test_the_almost_bilinear_game_has_its_cycle() -> None:
    """The radius is 2/√3 to first order in ε: 1.1535 to 1.1560 for ε = 0.01."""
    z = tail("runge_kutta[step_size=0.1]", "almost_bilinear", at(1, 0), 30_000, 200)
    radii = z.norm(dim=2)
    assert float(radii.min()) == pytest.approx(1.1535, abs=3e-4)
    assert float(radii.max()) == pytest.approx(1.1560, abs=3e-4)


def test_global_minimax_points_need_not_be_stationary() -> None:
    """The best answer to x gives 1 at x = 0 and more elsewhere; the field is π/5."""
    game = TASKS.build("nonstationary_minimax").build(PLACEMENT)
    x = torch.linspace(-1, 1, 41, dtype=torch.float64)
    y = torch.linspace(-2 * math.pi, 2 * math.pi, 4001, dtype=torch.float64)
    pairs = torch.cartesian_prod(x, y)
    values = game.losses(pairs[:, :1], pairs[:, 1:], None)[0].view(41, -1)
    best, answers = values.max(1)
    assert int(best.argmin()) == 20
    assert float(best.min()) == pytest.approx(1, abs=1e-12)
    assert abs(float(y[answers[20]])) == pytest.approx(math.pi)
    oracle = Oracle(OracleState(game, (0, 1)))
    z = torch.cat((at(0, math.pi), at(0, -math.pi)))
    assert not game.distance(z, "declared").any()
    assert oracle.field(z).norm(dim=1).tolist() == pytest.approx([0.2 * math.pi] * 2)


def test_gradient_steps_leave_a_global_minimax_point() -> None:
    """They end where x is at the edge of the box, and y at a maximum there."""
    start = torch.cat((at(0, math.pi), at(0, -math.pi)))
    z = tail("gda[step_size=0.1]", "nonstationary_minimax", start, 200)[0]
    assert z[:, 0].tolist() == [-1, 1]
    y = math.pi - math.asin(0.2)  # where −1/5 + sin y = 0
    assert z[:, 1].tolist() == pytest.approx([y, -y])


def test_a_penalty_leaves_no_solution() -> None:
    """Where there is no equilibrium, none is declared, and no run has converged."""
    task = TASKS.build("dirac_gan[loss=wasserstein,penalty=0.7]")
    assert not {Capability.SOLUTION, Capability.NASH} & task.gives
    assert task.target is None


def test_the_penalty_of_wgan_gp_stops_the_generator_away_from_the_data() -> None:
    """From (1, 1) with λ = 10 it rests at x = −10, where y is on the kink at 0."""
    words = "dirac_gan[loss=wasserstein,penalty=10]"
    z = tail("gda[step_size=0.05]", words, at(1, 1), 1200)[0, 0]
    assert float(z[0]) == pytest.approx(-10, abs=0.1)
    assert float(z[1]) == pytest.approx(0, abs=0.1)
    game = TASKS.build(words).build(PLACEMENT)
    # Neither side of y = 0 pays at x = −10, and at the data y gains by leaving 0.
    f = lambda x, y: float(game.losses(at(x, 0)[:, :1], at(0, y)[:, 1:], None)[0])
    assert f(0, 0.1) > f(0, 0)


def test_the_generator_learns_where_the_divergence_is_flat() -> None:
    """Two point masses are log 2 apart for every x ≠ 0, yet steps reach the data."""

    def divergence(x: float) -> float:
        masses = [{0.0: 1.0}, {x: 1.0}]
        mixture = {s: sum(m.get(s, 0) for m in masses) / 2 for s in (0.0, x)}
        parts = (p * math.log(p / mixture[s]) for m in masses for s, p in m.items())
        return sum(parts) / 2

    assert [divergence(x) for x in (1.0, 0.1, 1e-9)] == [math.log(2)] * 3
    assert divergence(0.0) == 0
    words = "dirac_gan[loss=nonsaturating]"
    z = tail("alternating_gda[step_size=0.5]", words, at(1, 1), 600)
    assert float(z.norm(dim=2)) < 0.2


# a, b, c of ax² + bxy + cy², step of y by step of x: is (0, 0) Nash, minimax, stable?
QUADRATICS = [
    ((-3, 4, -1), 1, False, True, False),
    ((3, 4, 1), 1, False, False, True),
    ((-2, 4, -1), 1.9, False, True, False),
    ((-2, 4, -1), 2.1, False, True, True),
    ((-1 / 8, 3 / 5, -1 / 2), 1, False, True, True),
    ((1 / 2, 4, 1 / 2), 1, False, False, False),
    ((1 / 2, 10, -1 / 2), 1, True, True, True),
    ((1, 10, 1), 1, False, False, False),
]


@pytest.mark.parametrize(
    ("of", "ratio", "is_nash", "is_minimax", "is_stable"), QUADRATICS
)
def test_kinds_of_quadratic_games(
    of: tuple[float, float, float],
    ratio: float,
    is_nash: bool,
    is_minimax: bool,
    is_stable: bool,
) -> None:
    """The game states what (0, 0) is; small steps tell whether it is stable."""
    a, b, c = of
    task = TASKS.build(f"quadratic[a={a},b={b},c={c}]")
    assert (Capability.NASH in task.gives) == is_nash
    assert (Capability.MINIMAX in task.gives) == is_minimax
    assert Capability.STATIONARY in task.gives
    gda = ALGORITHMS.build(f"gda[step_size=(0.002,{0.002 * ratio})]")
    assert (radius(step_matrix(gda, task)) < 1) == is_stable


def test_a_degenerate_quadratic_game_states_no_single_point() -> None:
    """For 4ac = b² a whole line is stationary."""
    given = TASKS.build("quadratic[a=1,b=2,c=1]").gives
    assert not given & {Capability.STATIONARY, Capability.NASH, Capability.MINIMAX}


# Known radii with steps of 0.05 on g₁ and g₂ of Wang et al. 2020.
FOLLOWED = [
    ("gda", 1.100, 0.900),
    ("extragradient", 1.110, 0.910),
    ("omd", 1.110, 0.910),
    ("cgd", 1.061, 0.958),
    ("consensus", 0.920, 0.973),
    ("follow_the_ridge", 0.900, 1.100),
]


@pytest.mark.parametrize(("name", "on_first", "on_second"), FOLLOWED)
def test_radii_on_the_games_of_follow_the_ridge(
    name: str, on_first: float, on_second: float
) -> None:
    """Only methods that know the order of play tell minimax from stable."""
    extra = {"cgd": ",tolerance=1e-14", "follow_the_ridge": ",tolerance=1e-14"}
    words = f"{name}[step_size=0.05{extra.get(name, '')}]"
    for of, expected in (("a=-3,b=4,c=-1", on_first), ("a=3,b=4,c=1", on_second)):
        found = radius(
            step_matrix(ALGORITHMS.build(words), TASKS.build(f"quadratic[{of}]"))
        )
        assert found == pytest.approx(expected, abs=6e-4)


@pytest.mark.parametrize(
    ("words", "of", "expected"),
    [
        ("gda[step_size=0.1]", "a=-0.125,b=0.6,c=-0.5", 0.98),
        ("gda[step_size=0.05]", "a=0.5,b=4,c=0.5", 1.0186),
        ("omd[step_size=0.05]", "a=0.5,b=4,c=0.5", 0.9803),
        ("gda[step_size=0.01]", "a=0.5,b=10,c=-0.5", 0.9950377),
        ("gda[step_size=0.032]", "a=0.5,b=10,c=-0.5", 1.0195215),
        ("gda[step_size=0.1]", "a=0.5,b=10,c=-0.5", 1.3453624),
        (f"gda[step_size={1 / 101}]", "a=0.5,b=10,c=-0.5", 0.9950371902),
    ],
)
def test_known_radii_on_quadratic_games(words: str, of: str, expected: float) -> None:
    """To the digits that are known of them."""
    game = TASKS.build(f"quadratic[{of}]")
    found = radius(step_matrix(ALGORITHMS.build(words), game))
    assert found == pytest.approx(expected, abs=6e-5)


def test_projected_methods_on_the_box() -> None:
    """Extragradient reaches the Nash equilibrium, gradient steps circle on the border.

    They pass the minimax line x = 0 closely, but stay 5 away from (0, 0).
    """
    words, start = "bilinear[box=5]", at(3, 2)
    z = tail("extragradient[step_size=0.5]", words, start, 100)
    assert float(z.norm(dim=2)) < 1e-3
    z = tail("gda", words, start, 400, last=150)
    assert float(z.norm(dim=2).min()) >= 5 - 1e-9
    assert float(z[..., 0].abs().min()) < 0.5
