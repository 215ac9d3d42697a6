"""The linear map of one step on a quadratic game, as a matrix."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from mmbench.algorithms.base import Algorithm
from mmbench.core.oracle import Oracle
from mmbench.core.oracle_state import OracleState
from mmbench.tasks.base import Task
from mmbench.testing.tools import PLACEMENT

# Fields of states that a step maps linearly: of optimistic methods, of momentum, of LSS
# and of smoothed GDA.
MEMORY = ("previous", "real", "imaginary", "solution", "centre")


def step_matrix(
    algorithm: Algorithm,
    task: Task,
    *,
    steps: int = 1,
    prepare: Callable[[Any], Any] = lambda state: state,
) -> np.ndarray:
    """Return the matrix of some steps on (z, memory); each basis vector is a run.

    Args:
        algorithm: method whose steps are linear on the game.
        task: task of a quadratic game.
        steps: number of steps; above 1, the matrix is that of z after these steps from
            the first state, without memory.
        prepare: changes the state before the first step.

    Returns:
        Square matrix of the size of z and of all that the method remembers of it.
    """
    game = task.build(PLACEMENT)
    probe = torch.zeros(1, game.dim, dtype=PLACEMENT.dtype)
    first = algorithm.init(Oracle(OracleState(game, (0,))), probe)
    remembered = memories(first) if steps == 1 else []
    sizes = [game.dim, *(len(member[0]) for member in remembered)]
    basis = torch.eye(sum(sizes), dtype=PLACEMENT.dtype)
    oracle = Oracle(OracleState(game, tuple(range(len(basis)))))
    z, *given = (part.contiguous() for part in basis.split(sizes, dim=1))
    oracle.resample()
    state: Any = prepare(algorithm.init(oracle, z))
    if remembered:
        # The first step follows a rule of its own.
        _, state = algorithm.step(oracle, z, state)
        state = with_memories(state, iter(given))
    for _ in range(steps):
        oracle.resample()
        z, state = algorithm.step(oracle, z, state)
    remembered = memories(state) if steps == 1 else []
    return torch.cat((z, *remembered), dim=1).T.numpy()


def memories(state: Any) -> list[torch.Tensor]:
    """Return the tensors of a state that a step maps linearly, in order."""
    found: list[torch.Tensor] = []
    names = getattr(state, "_fields", ())
    for i, member in enumerate(state if isinstance(state, tuple) else ()):
        is_memory = names and names[i] in MEMORY and isinstance(member, torch.Tensor)
        found += [member] if is_memory else memories(member)
    return found


def with_memories(state: Any, given: Iterator[torch.Tensor]) -> Any:
    """Return a state with other tensors in the places that `memories` reads."""
    if not isinstance(state, tuple):
        return state
    names = getattr(state, "_fields", ())
    members = [
        next(given)
        if names and names[i] in MEMORY and isinstance(member, torch.Tensor)
        else with_memories(member, given)
        for i, member in enumerate(state)
    ]
    return type(state)(*members) if names else tuple(members)


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
