"""The linear map of one step on a quadratic game, as a matrix."""

from typing import Any

import numpy as np
import torch

from mmbench.algorithms.base import Algorithm
from mmbench.core.oracle import Oracle
from mmbench.core.oracle_state import OracleState
from mmbench.tasks.base import Task
from mmbench.testing.tools import PLACEMENT

MEMORY = "previous"  # the field of the state of optimistic methods


def step_matrix(algorithm: Algorithm, task: Task) -> np.ndarray:
    """Return the matrix of one step on (z, memory); each basis vector is a run."""
    game = task.build(PLACEMENT)
    probe = torch.zeros(1, game.dim, dtype=PLACEMENT.dtype)
    remembers = MEMORY in getattr(
        algorithm.init(Oracle(OracleState(game, (0,))), probe), "_fields", ()
    )
    basis = torch.eye(game.dim * (2 if remembers else 1), dtype=PLACEMENT.dtype)
    oracle = Oracle(OracleState(game, tuple(range(len(basis)))))
    z = basis[:, : game.dim]
    state: Any = algorithm.init(oracle, z)
    if remembers:
        # The first step follows a rule of its own.
        _, state = algorithm.step(oracle, z, state)
        state = state._replace(**{MEMORY: basis[:, game.dim :]})
    moved, state = algorithm.step(oracle, z, state)
    columns = [moved, getattr(state, MEMORY)] if remembers else [moved]
    return torch.cat(columns, dim=1).T.numpy()


def dirac_matrix(
    algorithm: Algorithm, task: Task, difference: float = 1e-5
) -> np.ndarray:
    """Return the matrix of one step around (0, 0), by central differences."""
    game = task.build(PLACEMENT)
    basis = torch.cat((torch.eye(2), -torch.eye(2))).to(PLACEMENT.dtype) * difference
    oracle = Oracle(OracleState(game, (0, 1, 2, 3)))
    moved, _ = algorithm.step(oracle, basis, algorithm.init(oracle, basis))
    return ((moved[:2] - moved[2:]) / (2 * difference)).T.numpy()


def radius(matrix: np.ndarray) -> float:
    """Return the spectral radius of a matrix."""
    return float(np.abs(np.linalg.eigvals(matrix)).max())
