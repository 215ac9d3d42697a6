"""Games of two variables: their known points are what they are said to be."""

import pytest
import torch
from torch.autograd.functional import hessian

from mmbench.core.game import Game
from mmbench.core.oracle import Oracle
from mmbench.core.oracle_state import OracleState
from mmbench.metrics import METRICS
from mmbench.metrics.base import Point
from mmbench.tasks import TASKS
from mmbench.tasks._plane import FormulaTask
from mmbench.testing.tools import PLACEMENT

FORMULAS = [
    name
    for name in TASKS
    if issubclass(TASKS[name], FormulaTask)  # of every registered game
]


def second_derivatives(
    game: Game, point: tuple[float, float]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the Hessians of both losses at a point."""

    def loss(z: torch.Tensor, player: int) -> torch.Tensor:
        return game.losses(z[None, :1], z[None, 1:], None)[player][0]

    z = torch.tensor(point, dtype=torch.float64)
    of_x, of_y = (hessian(lambda z, p=p: loss(z, p), z) for p in (0, 1))
    return of_x, of_y


@pytest.mark.parametrize("name", FORMULAS)
def test_known_points_are_of_their_kind(name: str) -> None:
    """The field vanishes; second derivatives have the signs of each concept."""
    task = TASKS.build(name)
    game = task.build(PLACEMENT)
    for concept, points in task.points.items():
        if concept == "global_minimax":  # which need not be stationary
            continue
        z = torch.tensor(points, dtype=torch.float64)
        oracle = Oracle(OracleState(game, tuple(range(len(z)))))
        assert oracle.field(z).abs().max() < 1e-7, concept
        assert not game.distance(z, concept).any()
        assert set(points) <= set(task.points["stationary"])
        for point in points:
            of_x, of_y = second_derivatives(game, point)
            if concept == "nash":
                assert of_x[0, 0] > 0
                assert of_y[1, 1] > 0
            if concept == "minimax":
                assert game.zero_sum
                assert of_x[1, 1] < 0
                assert of_x[0, 0] - of_x[0, 1] ** 2 / of_x[1, 1] > 0


@pytest.mark.parametrize("name", FORMULAS)
def test_all_stationary_points_are_known(name: str) -> None:
    """Newton's method from a grid over the box finds no other."""
    task = TASKS.build(name)
    game = task.build(PLACEMENT)
    reach = min(4.0, *(bound for bound in task.box if bound), task.half_width or 4.0)
    axis = torch.linspace(-reach, reach, 9, dtype=torch.float64)
    z = torch.cartesian_prod(axis, axis)
    oracle = Oracle(OracleState(game, tuple(range(len(z)))))
    for _ in range(60):
        at = oracle.linearise(z, cross=True)
        columns = [
            torch.cat(at.jacobian(*oracle.split(unit.expand_as(z))), dim=1)
            for unit in torch.eye(2, dtype=z.dtype)
        ]
        field = oracle.join(at.grad_x, at.grad_y)
        z = z - torch.linalg.lstsq(
            torch.stack(columns, dim=2), field[:, :, None]
        ).solution[:, :, 0].clamp(-0.5, 0.5)
    found = (oracle.field(z).norm(dim=1) < 1e-12) & (z.abs().amax(1) <= reach)
    assert found.sum() > 10
    known = game.distance(z[found], "stationary")
    # Far out g₃ decays to zero, where everything is nearly stationary.
    assert known.max() < 1e-6


def test_constants_that_papers_state() -> None:
    """Second derivatives at the solutions, to the digits given."""
    of_x, _ = second_derivatives(TASKS.build("g3").build(PLACEMENT), (0.0, 0.0))
    assert of_x.flatten().tolist() == pytest.approx([-10, 6, 6, -2])
    forsaken = TASKS.build("forsaken")
    of_x, of_y = second_derivatives(
        forsaken.build(PLACEMENT), forsaken.points["stationary"][0]
    )
    assert of_x[1, 1].item() == pytest.approx(0.374, abs=5e-4)
    eigenvalues = torch.linalg.eigvals(torch.stack((of_x[0], of_y[1])))
    assert eigenvalues.real.tolist() == pytest.approx([0.04475] * 2, abs=1e-5)
    assert eigenvalues.imag.abs().tolist() == pytest.approx([0.90803] * 2, abs=1e-5)


def test_distances_to_other_kinds_of_points_have_columns_of_their_own() -> None:
    """A saddle is stationary and far from the equilibrium."""
    game = TASKS.build("escaping_saddles").build(PLACEMENT)
    origin = torch.zeros(2, 2, dtype=torch.float64)
    point = Point(game, origin, (0, 1))
    far = 2 * (2 + 2**0.5) ** 2
    for concept, expected in (("nash", far**0.5), ("stationary", 0.0)):
        metric = METRICS.build(f"distance[concept={concept}]")
        (values,) = metric.measure(point).values()
        assert values.tolist() == pytest.approx([expected] * 2)
        assert metric.columns[0].name == f"distance_{concept}"
