"""Methods on monotone linear games stay below the tight bounds that PEPit computes.

PEPit solves for the worst case of a method, whose rule is written here once more, over
all operators of a class: monotone or μ-strongly monotone, and 1-Lipschitz. The bounds
are those of its semidefinite programs; none is written here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from quadratic_games import TwoLosses

from mmbench.algorithms import ALGORITHMS
from mmbench.core.oracle import Oracle
from mmbench.core.oracle_state import OracleState
from mmbench.tasks import TASKS
from mmbench.tasks.base import Task
from mmbench.testing.tools import PLACEMENT

SOLVER = 1e-4  # relative error of the solver's optimal values, generously
INSTANCES = 6  # random games


# ---- rules, as PEPit's points: from z0, n steps; returns the last point ----


def gda(F: Any, z0: Any, n: int, eta: float) -> Any:
    """z⁺ = z − η F(z)."""
    z = z0
    for _ in range(n):
        z = z - eta * F.gradient(z)
    return z


def extragradient(F: Any, z0: Any, n: int, eta: float) -> Any:
    """z⁺ = z − η F(z − η F(z))."""
    z = z0
    for _ in range(n):
        z = z - eta * F.gradient(z - eta * F.gradient(z))
    return z


def past_extragradient(F: Any, z0: Any, n: int, eta: float) -> Any:
    """Extragradient with the last look-ahead's field; none before the first."""
    z, last = z0, 0 * z0
    for _ in range(n):
        last = F.gradient(z - eta * last)
        z = z - eta * last
    return z


def proximal_point(F: Any, z0: Any, n: int, eta: float) -> Any:
    """z⁺ = (I + η F)⁻¹ z."""
    from PEPit.primitive_steps import proximal_step

    z = z0
    for _ in range(n):
        z, _, _ = proximal_step(z, F, eta)
    return z


def eag(F: Any, z0: Any, n: int, eta: float) -> Any:
    """Extragradient from points that are drawn back to z₀ by 1/(k + 2)."""
    z = z0
    for k in range(n):
        drawn = z + (z0 - z) / (k + 2)
        z = drawn - eta * F.gradient(drawn - eta * F.gradient(z))
    return z


def halpern(F: Any, z0: Any, n: int, eta: float) -> Any:
    """Proximal steps, drawn back to z₀ by 1/(k + 2)."""
    from PEPit.primitive_steps import proximal_step

    z = z0
    for k in range(n):
        moved, _, _ = proximal_step(z, F, eta)
        z = moved + (z0 - moved) / (k + 2)
    return z


class Method(NamedTuple):
    """A method, its rule, and what its bound is of.

    Args:
        words: its spec without the step size.
        rule: its rule for PEPit.
        eta: its step size.
        mu: least curvature of the operators; 0 where they are only monotone.
    """

    words: str
    rule: Callable[[Any, Any, int, float], Any]
    eta: float
    mu: float = 0.0

    def bound(self, steps: int) -> float:
        """Return the worst case of ‖F(z)‖², or of ‖z − z*‖² where μ > 0, by PEPit.

        It is relative to ‖z₀ − z*‖².
        """
        from PEPit import PEP  # takes a second to load, with all solvers of CVXPY
        from PEPit.operators import LipschitzStronglyMonotoneOperatorCheap

        problem = PEP()
        F = problem.declare_function(
            LipschitzStronglyMonotoneOperatorCheap, mu=self.mu, L=1.0
        )
        solution, z0 = F.stationary_point(), problem.set_initial_point()
        problem.set_initial_condition((z0 - solution) ** 2 <= 1)
        z = self.rule(F, z0, steps, self.eta)
        problem.set_performance_metric(
            (z - solution) ** 2 if self.mu else F.gradient(z) ** 2
        )
        return float(problem.solve(verbose=0))

    def worst_start(self, task: Task, jacobian: np.ndarray, steps: int) -> float:
        """Return the same for our method on a linear game, from its worst start.

        The runs start at a basis, so that their ends are the columns of the matrix of
        all steps, and the worst start is its first singular vector.
        """
        head, bracket, options = self.words.partition("[")
        given = f"{head}[step_size={self.eta!r},{options}" if bracket else ""
        words = given or f"{head}[step_size={self.eta!r}]"
        if head == "halpern":
            words = f"halpern[base=proximal_point[step_size={self.eta!r}]]"
        game, algorithm = task.build(PLACEMENT), ALGORITHMS.build(words)
        z = torch.eye(game.dim, dtype=PLACEMENT.dtype)
        oracle = Oracle(OracleState(game, tuple(range(game.dim))))
        state = algorithm.init(oracle, z)
        for _ in range(steps):
            z, state = algorithm.step(oracle, z, state)
        ends = z.T.numpy() if self.mu else jacobian @ z.T.numpy()
        return float(np.linalg.norm(ends, ord=2) ** 2)


METHODS = (
    Method("gda", gda, 0.15, mu=0.2),
    Method("extragradient", extragradient, 0.5),
    Method("past_extragradient", past_extragradient, 0.3),
    Method("proximal_point[tolerance=1e-15]", proximal_point, 0.7),
    Method("eag", eag, 0.125),
    Method("halpern", halpern, 0.7),
)
# Fast enough for every run of the tests, beside the second that PEPit takes to load.
FAST = ((METHODS[0], 2), (METHODS[1], 2), (METHODS[2], 2), (METHODS[4], 1))
SLOW = [
    pytest.param(method, steps, id=f"{method.rule.__name__}, {steps}")
    for method in METHODS
    for steps in (1, 2, 3, 5)
    if (method, steps) not in FAST
]


@dataclass(frozen=True, kw_only=True)
class Monotone(TwoLosses):
    """A random linear game whose Jacobian J has ‖J‖ ≤ 1 and J + Jᵀ ≥ 2μ, no sum zero.

    Args:
        mu: μ.
        curvature: weight of the symmetric part of J beside the rotation, which is of
            low rank.
    """

    mu: float = 0.0
    curvature: float = 0.0

    def matrices(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the second derivatives of both losses that J needs."""
        random = np.random.default_rng(self.seed)
        n, size = self.dim_x, self.dim_x + self.dim_y
        roots, rotation = random.standard_normal((size, 2)), np.zeros((size, size))
        rotation[:n, n:] = random.standard_normal((n, size - n))
        rotation -= rotation.T
        j = self.curvature * roots @ roots.T + rotation
        j = self.mu * np.eye(size) + (1 - self.mu) * j / np.linalg.norm(j, ord=2)
        assert np.linalg.eigvalsh(j + j.T)[0] > 2 * self.mu - 1e-12
        assert np.linalg.norm(j, ord=2) <= 1 + 1e-12
        # P has the rows of x, Q those of y; the other rows make them symmetric.
        p, q = np.zeros((2, size, size))
        p[:n], q[n:] = j[:n], j[n:]
        p[n:, :n], q[:n, n:] = j[:n, n:].T, j[n:, :n].T
        return torch.from_numpy(p), torch.from_numpy(q)


def assert_below(method: Method, steps: int) -> None:
    """Assert that random games are below the bound, and a named one near it."""
    bound = method.bound(steps)
    for seed in range(INSTANCES):
        game = Monotone(seed=seed, mu=method.mu, curvature=0.3 * (seed % 3))
        found = method.worst_start(game, game.jacobian().numpy(), steps)
        assert found <= bound * (1 + SOLVER), game
    # The extreme singular value 1; with curvature, the rotation that L = 1 leaves.
    mu, sigma = method.mu, (1 - method.mu**2) ** 0.5
    named = TASKS.build(f"quadratic[a={mu / 2!r},b={sigma!r},c={-mu / 2!r}]")
    found = method.worst_start(named, np.array([[mu, sigma], [-sigma, mu]]), steps)
    assert bound / 2 <= found <= bound * (1 + SOLVER)


def test_worst_cases_are_below_tight_bounds() -> None:
    """On random games never above the bound; on a named game at least half of it."""
    for method, steps in FAST:
        assert_below(method, steps)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "steps"), SLOW)
def test_more_worst_cases_are_below_tight_bounds(method: Method, steps: int) -> None:
    """The same for more steps, and for methods with inner solves."""
    assert_below(method, steps)
