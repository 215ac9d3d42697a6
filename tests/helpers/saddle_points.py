"""Saddle points of convex-concave problems, by the package DSP-CVXPY."""

from collections.abc import Callable

import cvxpy as cp
import dsp
import numpy as np


class Stated(dsp.MinimizeMaximize):
    """An objective; DSP-CVXPY 0.4 lacks a method that CVXPY 1.9 asks for."""

    def format_labeled(self) -> str:
        """Return the objective as text."""
        return str(self)


def saddle_point(
    objective: Callable[[cp.Variable, cp.Variable], cp.Expression],
    dim_x: int,
    dim_y: int,
    allowed: Callable[[cp.Variable], list] = lambda _: [],
) -> np.ndarray:
    """Return the saddle point of an objective, by a conic program.

    Args:
        objective: returns f, from variables of the two players.
        dim_x: length of x, which minimises.
        dim_y: length of y.
        allowed: returns the constraints of y.
    """
    x, y = cp.Variable(dim_x), cp.Variable(dim_y)
    problem = dsp.SaddlePointProblem(Stated(objective(x, y)), allowed(y), [x], [y])
    # The distance to the solution is about the square root of the gap.
    exact = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), 1e-10)
    problem.solve(solver=cp.CLARABEL, **exact)
    return np.concatenate((x.value, y.value))
