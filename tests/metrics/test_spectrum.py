"""The eigenvalues of the Jacobian of known games, exact and by Arnoldi iterations."""

import math

import numpy as np
import pytest
import torch
from measuring import measure
from quadratic_games import TwoLosses

from mmbench.algorithms import ALGORITHMS
from mmbench.core.game import Game
from mmbench.metrics import spectrum
from mmbench.metrics._jacobian import scaling
from mmbench.metrics.base import Point
from mmbench.tasks import TASKS
from mmbench.testing.step_matrices import dirac_matrix, radius, step_matrix
from mmbench.testing.tools import PLACEMENT

ROOT = math.sqrt(2)
NAMES = ("min_real", "max_real", "rotation", "radius")


def at(game: str | Game, *point: float, words: str = "spectrum") -> list[float]:
    """Return the four columns at one point."""
    built = TASKS.build(game).build(PLACEMENT) if isinstance(game, str) else game
    z = torch.tensor([point], dtype=torch.float64)
    found = measure(words, built, z)
    return [found[f"spectrum_{name}"][0] for name in NAMES]


def of_matrix(matrix: np.ndarray) -> list[float]:
    """Return the four columns of a matrix by numpy."""
    found = np.linalg.eigvals(matrix)
    rotation = np.abs(found.imag / found.real).max()
    return [found.real.min(), found.real.max(), rotation, np.abs(1 - found).max()]


@pytest.mark.parametrize(
    ("step_x", "step_y", "rate"),
    [
        (0.09, 0.01, 0.9624967532),
        (0.03, 0.03, 1.0423051377),
        (0.01, 0.09, 1.1164228590),
    ],
)
def test_the_radius_is_the_rate_of_simultaneous_steps(
    step_x: float, step_y: float, rate: float
) -> None:
    """On the quadratic of implicit competitive regularization."""
    words = f"spectrum[step_size=({step_x},{step_y})]"
    *_, radius = at("quadratic", 0, 0, words=words)
    assert radius == pytest.approx(rate, abs=1e-10)


@pytest.mark.parametrize("game", ["dirac_gan", "quadratic[a=1,b=3,c=-2]"])
def test_the_radius_is_that_of_the_method(game: str) -> None:
    """The matrix of a step of `gda` has the same spectral radius."""
    for steps in ("0.3", "(0.1,0.7)"):
        *_, radius_ = at(game, 0, 0, words=f"spectrum[step_size={steps}]")
        gda = ALGORITHMS.build(f"gda[step_size={steps}]")
        task = TASKS.build(game)
        matrix = (dirac_matrix if game == "dirac_gan" else step_matrix)(gda, task)
        assert radius_ == pytest.approx(radius(matrix), abs=1e-9)


def test_eigenvalues_of_the_plane_have_closed_forms() -> None:
    """At (0, 0) of three games, and at two further points of the second."""
    assert at("dirac_gan", 0, 0, words="spectrum[step_size=0.3]") == pytest.approx(
        [0, 0, math.inf, 1.0111874208], abs=1e-10
    )
    found = at("escaping_saddles", 0, 0)
    assert found == pytest.approx([1, 1, math.sqrt(7), math.sqrt(7)], abs=1e-9)
    for y in (2 - ROOT, 2 + ROOT):
        second = 2 + 8 * y - 3 * y**2
        expected = of_matrix(np.array([[4, 4], [-4, -second]]))
        assert at("escaping_saddles", -y, y) == pytest.approx(expected, abs=1e-9)
    x, y = 0.07802666927, 0.4119338501
    of_x, of_y = (1 / 2 - 6 * t**2 + 5 * t**4 for t in (x, y))
    found = at("forsaken", x, y)
    expected = of_matrix(np.array([[of_x, 1], [-1, of_y]]))
    assert found == pytest.approx(expected, abs=1e-9)
    assert found[0] == pytest.approx(0.04475, abs=5e-6)
    assert of_y == pytest.approx(-0.374, abs=5e-4)  # f_yy > 0: no Nash equilibrium


def test_two_time_scales_meet_at_two() -> None:
    """The trace is −4 + 2τ, so that τ* = 2 exactly."""
    for ratio in (1.9, 2.1):
        words = f"spectrum[step_size=(1,{ratio})]"
        least = at("quadratic[a=-2,b=4,c=-1]", 0, 0, words=words)[0]
        assert least == pytest.approx(ratio - 2, abs=1e-9)


def test_a_finite_sum_is_taken_whole() -> None:
    """The mean of n terms x_i y_i has the eigenvalues ±i/n, whatever is drawn."""
    found = at("finite_sum_bilinear[terms=3]", *range(6))
    assert found == pytest.approx([0, 0, math.inf, math.sqrt(1 + 1 / 9)], abs=1e-12)


@pytest.mark.parametrize("is_zero_sum", [False, True])
def test_arnoldi_iterations_find_the_ends(
    is_zero_sum: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same three ends as numpy, and a lower bound of the rotation."""
    task = TwoLosses(dim_x=12, dim_y=13, is_zero_sum=is_zero_sum)
    game, step = task.build(PLACEMENT), (0.1, 0.3)
    scaled = scaling(step, 12, 13)[:, None] * task.jacobian()
    expected = of_matrix(scaled.numpy())
    exact = at(game, *range(25), words="spectrum[step_size=(0.1,0.3)]")
    assert exact == pytest.approx(expected, abs=1e-9)
    monkeypatch.setattr(spectrum, "EXACT_DIM", 24)
    found = at(game, *range(25), words="spectrum[step_size=(0.1,0.3)]")
    assert np.delete(found, 2) == pytest.approx(np.delete(expected, 2), abs=1e-9)
    eigenvalues = np.linalg.eigvals(scaled.numpy())
    fastest = eigenvalues[eigenvalues.imag.argmax()]
    least = abs(fastest.imag / fastest.real)
    assert least - 1e-9 <= found[2] <= expected[2] + 1e-9


def test_runs_of_a_large_game_are_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run has its own eigenvalues; runs of one seed are computed once."""
    monkeypatch.setattr(spectrum, "EXACT_DIM", 24)
    computed = []
    arnoldi = spectrum.arnoldi
    monkeypatch.setattr(
        spectrum, "arnoldi", lambda *given: computed.append(0) or arnoldi(*given)
    )
    game = TwoLosses(dim_x=12, dim_y=13).build(PLACEMENT)
    z = torch.ones(3, 25, dtype=torch.float64)
    found = spectrum.Spectrum().measure(Point(game, z, (4, 5, 5)))
    assert found["spectrum_radius"].shape == (3,)
    assert len(computed) == 2


def test_an_infinite_jacobian_has_no_eigenvalues() -> None:
    """The run is told apart from others, which have theirs."""
    game = TASKS.build("escaping_saddles").build(PLACEMENT)
    z = torch.tensor([[0.0, 1e300], [0.0, 0.0]], dtype=torch.float64)
    for far, near in measure("spectrum", game, z).values():
        assert math.isnan(far)
        assert math.isfinite(near)
