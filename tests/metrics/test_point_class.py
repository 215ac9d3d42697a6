"""The kinds of solutions that points of known games, and of random ones, are."""

import math

import numpy as np
import pytest
import torch
from measuring import measure

from mmbench.core.errors import MisfitError
from mmbench.metrics.point_class import is_minimax, is_nash, is_stable
from mmbench.tasks import TASKS
from mmbench.testing.tools import PLACEMENT

ROOT = math.sqrt(2)
ORIGIN = (0.0, 0.0)
FORSAKEN = (0.07802666927, 0.4119338501)
ICR = "quadratic[a=1,b=10,c=1]"
TWO_SCALES = "quadratic[a=-2,b=4,c=-1]"

# Game, point, ratio τ; then whether stationary, Nash, minimax, stable.
KNOWN = [
    ("quadratic[a=-3,b=4,c=-1]", ORIGIN, 1, "1010"),  # g₁ of Wang et al.
    ("quadratic[a=3,b=4,c=1]", ORIGIN, 1, "1001"),  # their g₂
    ("g3", ORIGIN, 1, "1010"),
    (ICR, ORIGIN, 1, "1000"),
    (ICR, ORIGIN, 1 / 9, "1001"),
    (TWO_SCALES, ORIGIN, 1.9, "1010"),
    (TWO_SCALES, ORIGIN, 2.1, "1011"),
    (TWO_SCALES, ORIGIN, 1e9, "1011"),
    ("quadratic[a=-0.125,b=0.6,c=-0.5]", ORIGIN, 1, "1011"),
    ("quadratic[a=0.5,b=4,c=0.5]", ORIGIN, 1, "1000"),
    ("quadratic[a=1,b=1,c=-1]", ORIGIN, 1, "1111"),
    ("quadratic[a=1,b=1,c=-1]", (0.1, 0.0), 1, "0000"),
    ("escaping_saddles", ORIGIN, 1, "1001"),
    ("escaping_saddles", (-2 + ROOT, 2 - ROOT), 1, "1000"),
    ("escaping_saddles", (-2 - ROOT, 2 + ROOT), 1, "1111"),
    ("forsaken", FORSAKEN, 1, "1001"),
    ("worst_for_both", ORIGIN, 1, "1000"),
    ("bilinear", ORIGIN, 1, "1000"),
    ("polar", ORIGIN, 1, "11-1"),  # not zero-sum
]


@pytest.mark.parametrize(("game", "point", "ratio", "kinds"), KNOWN)
def test_points_of_known_games_are_of_their_kinds(
    game: str, point: tuple[float, float], ratio: float, kinds: str
) -> None:
    """As the publications of these games state, or their second derivatives."""
    built = TASKS.build(game).build(PLACEMENT)
    z = torch.tensor([point], dtype=torch.float64)
    found = measure(f"point_class[ratio={ratio}]", built, z)
    assert (
        "".join("-" if math.isnan(v) else f"{v:.0f}" for (v,) in found.values())
        == kinds
    )


def random_jacobians(runs: int = 3000, dim_x: int = 2, dim_y: int = 3) -> torch.Tensor:
    """Return Jacobians of zero-sum games in which every kind occurs."""
    random = np.random.default_rng(0)
    dim = dim_x + dim_y
    hessian = random.normal(size=(runs, dim, dim))
    hessian = hessian + hessian.transpose(0, 2, 1)
    shift = random.normal(scale=4, size=(runs, 2))
    hessian[:, range(dim), range(dim)] += np.repeat(shift, (dim_x, dim_y), axis=1)
    sign = np.repeat([1, -1], (dim_x, dim_y))
    return torch.from_numpy(sign[:, None] * hessian)


def test_kinds_include_each_other() -> None:
    """Nash equilibria are minimax and stable; minimax points are at large ratios.

    No other inclusion holds, and every kind occurs.
    """
    jacobian, dim_x = random_jacobians(), 2
    nash, minimax = is_nash(jacobian, dim_x), is_minimax(jacobian, dim_x)
    stable = {ratio: is_stable(jacobian, dim_x, ratio) for ratio in (0.01, 1.0, 1e8)}
    assert nash.any()
    assert not (nash & ~minimax).any()
    for of_ratio in stable.values():
        assert not (nash & ~of_ratio).any()
        assert (of_ratio & ~minimax).any() or of_ratio is stable[1e8]
    assert not (minimax & ~stable[1e8]).any()
    assert (minimax & ~nash).any()
    assert (minimax & ~stable[1.0]).any()


def test_kinds_are_those_of_numpy() -> None:
    """Against eigenvalues of f's Hessian, and the block of its inverse for minimax.

    The inverse of the Hessian holds that of the Schur complement.
    """
    jacobian, dim_x = random_jacobians(300), 2
    sign = np.repeat([1, -1], (2, 3))
    hessian = sign[:, None] * jacobian.numpy()
    of_x = np.linalg.eigvalsh(hessian[:, :2, :2]).min(1) > 0
    of_y = np.linalg.eigvalsh(hessian[:, 2:, 2:]).max(1) < 0
    assert is_nash(jacobian, dim_x).tolist() == (of_x & of_y).tolist()
    along = np.linalg.eigvalsh(np.linalg.inv(hessian)[:, :2, :2]).min(1) > 0
    assert is_minimax(jacobian, dim_x).tolist() == (along & of_y).tolist()
    flow = np.linalg.eigvals(np.repeat([1, 5], (2, 3))[:, None] * jacobian.numpy())
    assert is_stable(jacobian, dim_x, 5).tolist() == (flow.real.min(1) > 0).tolist()


def test_a_point_with_an_infinite_jacobian_has_no_kind() -> None:
    """Beyond the largest floats second derivatives are not finite."""
    game = TASKS.build("escaping_saddles").build(PLACEMENT)
    z = torch.tensor([[0.0, 1e300], [0.0, 0.0]], dtype=torch.float64)
    found = measure("point_class", game, z)
    assert all(math.isnan(far) for far, _ in found.values())
    assert found["is_stable"][1] == 1


def test_a_large_game_is_refused() -> None:
    """Signs of all eigenvalues need the whole Jacobian."""
    game = TASKS.build("bilinear[dim=251]").build(PLACEMENT)
    with pytest.raises(MisfitError, match="at most 500 variables; BilinearGame has"):
        measure("point_class", game, torch.zeros(1, 502, dtype=torch.float64))
