"""Step map: how a method ends for every pair of step sizes, each pair a run."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mmbench.algorithms import ALGORITHMS
from mmbench.algorithms.base import Algorithm
from mmbench.core.capability import Capability
from mmbench.core.errors import DescriptionError, MisfitError
from mmbench.core.oracle import Oracle
from mmbench.core.oracle_state import OracleState
from mmbench.core.placement import Placement
from mmbench.core.status import Status
from mmbench.core.streams import generator
from mmbench.engine.chunk import ENDS
from mmbench.engine.compiled.block import Block, block
from mmbench.engine.run_cell import arithmetic
from mmbench.tasks import TASKS
from mmbench.tasks.base import Task

# Pairs side by side, of a game without data: their numbers stay in the cache.
WIDTH = 2**14

Sizes = Sequence[float] | np.ndarray


def step_map(
    task: str | Task,
    algorithm: str | Algorithm,
    at_x: Sizes,
    at_y: Sizes,
    *,
    steps: int = 1000,
    seed: int = 0,
    placement: Placement = Placement(compiled=True),
) -> pd.DataFrame:
    """Run a method with every pair of step sizes, from one start, on the same data.

    Args:
        task: words or description, of a game that knows its solutions.
        algorithm: words or description; its own step size is not used.
        at_x: step sizes of x.
        at_y: step sizes of y.
        steps: of each run.
        seed: of the start and of all draws.
        placement: the device, the dtype of all floats, and whether steps are compiled,
            which is many times as fast.

    Returns:
        One row for each pair, x's step size varying slowest: `step_size_x,
        step_size_y, status, stopped_at, distance`, the last at the end of the run and
        relative to its start (NaN where there is no number).

    Raises:
        MmbenchError: before any work, when something does not fit.
    """
    task, algorithm = TASKS.coerce(task), ALGORITHMS.coerce(algorithm)
    _check(task, algorithm, at_x, at_y, steps)
    grid = np.meshgrid(np.asarray(at_x, float), np.asarray(at_y, float), indexing="ij")
    pairs_x, pairs_y = (one.ravel() for one in grid)
    pairs = torch.from_numpy(np.stack((pairs_x, pairs_y), axis=1))
    pairs = pairs.to(placement.device, placement.dtype)
    with arithmetic():
        made = _block(task, algorithm, placement, min(len(pairs), WIDTH))
        rows = [
            _ends(made, task, algorithm, placement, steps, seed, part)
            for part in pairs.split(made.runs)
        ]
    status, stopped_at, distance = (
        np.concatenate(one) for one in zip(*rows, strict=True)
    )
    return pd.DataFrame(
        {
            "step_size_x": pairs_x,
            "step_size_y": pairs_y,
            "status": pd.Categorical.from_codes(status, [str(one) for one in Status]),
            "stopped_at": stopped_at,
            "distance": distance,
        }
    )


def _check(
    task: Task,
    algorithm: Algorithm,
    at_x: Sizes,
    at_y: Sizes,
    steps: int,
) -> None:
    if not hasattr(algorithm, "step_size"):
        raise MisfitError(f"A step map needs a step_size; {algorithm} has none.")
    if Capability.SOLUTION not in task.gives:
        raise MisfitError(
            f"A step map needs a game that knows its solutions; {task} does not."
        )
    if lacking := algorithm.needs - task.gives:
        named = ", ".join(sorted(lacking))
        raise MisfitError(f"{algorithm} needs {named}; {task} does not give it.")
    for player, given in (("x", at_x), ("y", at_y)):
        sizes = np.asarray(given, float)
        if sizes.ndim != 1 or not len(sizes) or not (sizes > 0).all():
            raise DescriptionError(
                f"Step sizes of {player} must be positive numbers in a row; got "
                f"{sizes.tolist() if sizes.size < 9 else sizes.shape}."
            )
    if steps < 1:
        raise DescriptionError(f"steps must be at least 1; got {steps}.")


def _block(task: Task, algorithm: Algorithm, placement: Placement, runs: int) -> Block:
    """Compiled if it is wanted and can be."""
    if placement.compiled:
        made = block(algorithm, task, placement, runs, swept=True)
        if isinstance(made, Block):
            return made
    return Block(algorithm, task, task.build(placement), runs, swept=True)


def _ends(
    made: Block,
    task: Task,
    algorithm: Algorithm,
    placement: Placement,
    steps: int,
    seed: int,
    pairs: Tensor,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Status, as its number, step and relative distance at the end of each pair."""
    count = len(pairs)
    pairs = torch.cat((pairs, pairs[-1:].expand(made.runs - count, -1)))
    sizes = pairs[:, :1].contiguous(), pairs[:, 1:].contiguous()
    game = task.build(placement)
    data = OracleState(game, (seed,))  # one stream: all pairs see the same data
    first = task.start(game, generator(seed, "start")).to(game.device)
    start = game.project(first.expand(made.runs, -1).contiguous())
    z, memory = start, game.memory(start)
    state = algorithm.init(Oracle(OracleState(game, (seed,) * made.runs)), z)
    alive = torch.ones(made.runs, dtype=torch.bool, device=game.device)
    status = torch.zeros(made.runs, dtype=torch.int32, device=game.device)
    stopped_at = torch.full_like(status, steps)
    for step in range(0, steps, made.length):
        ahead = min(made.length, steps - step)
        drawn = [
            [_same(data.draw(what), made.runs) for what in made.draws]
            for _ in range(ahead if made.draws else 0)
        ]
        after, _ = made(z, state, memory, alive, drawn, step, ahead, sizes)
        z, state, memory, alive = after.z, after.state, after.memory, after.alive
        ended = after.ended >= 0
        status = torch.where(ended, after.how, status)
        stopped_at = torch.where(ended, step + after.ended + 1, stopped_at)
        if not bool(alive.any()):
            break
    distance = game.distance(z, "declared") / game.distance(start, "declared")
    code = {Status.FINISHED: 0} | {one: how for how, one in ENDS.items()}
    numbers = np.array([list(Status).index(one) for one in sorted(code, key=code.get)])
    return (
        numbers[status[:count].cpu().numpy()],
        stopped_at[:count].cpu().numpy(),
        distance[:count].double().cpu().numpy(),
    )


def _same(drawn: object, runs: int) -> object:
    """One run's draw, for all runs."""
    if isinstance(drawn, Tensor):
        return drawn.expand(runs, *drawn.shape[1:])
    return type(drawn)(*(_same(one, runs) for one in drawn))
