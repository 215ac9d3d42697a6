"""Where methods end on games of the plane, against numbers of independent programs."""

import pytest
import torch

from mmbench.algorithms import ALGORITHMS
from mmbench.core.oracle import Oracle
from mmbench.core.oracle_state import OracleState
from mmbench.core.vectors import Joint
from mmbench.tasks import TASKS
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


@pytest.mark.parametrize(("words", "game", "start", "steps", "least", "most"), CYCLES)
def test_cycles_have_the_known_radii(
    words: str, game: str, start: Joint, steps: int, least: float, most: float
) -> None:
    """The distance to (0, 0) over the last turns runs between two known numbers."""
    radii = tail(words, game, start, steps, last=1500).norm(dim=2)
    assert float(radii.min()) == pytest.approx(least, abs=2e-3)
    assert float(radii.max()) == pytest.approx(most, abs=2e-3)


def test_extragradient_ends_on_the_cycle_around_the_forsaken_point() -> None:
    """At distances of 0.922 to 1.912 from the stationary point."""
    task = TASKS.build("forsaken")
    centre = torch.tensor(task.points["stationary"], dtype=torch.float64)
    z = tail("extragradient[step_size=0.01]", "forsaken", at(1, 1), 4000, last=1500)
    radii = (z - centre).norm(dim=2)
    assert float(radii.min()) == pytest.approx(0.9224, abs=1e-3)
    assert float(radii.max()) == pytest.approx(1.9118, abs=1e-3)


def test_a_larger_step_leaves_the_cycle() -> None:
    """On GlobalForsaken extragradient with 0.1 converges from where 0.01 cycles."""
    z = tail("extragradient[step_size=0.1]", "global_forsaken", at(1, 1), 2000)
    assert float(z.norm(dim=2)) < 1e-6


def test_the_ridge_leads_to_the_local_minimax_point() -> None:
    """Follow-the-ridge reaches (0, 0) of g₃ from where gradient steps circle."""
    words = "follow_the_ridge[step_size=0.05,tolerance=1e-12]"
    z = tail(words, "g3", at(5, 7), 600)
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
