"""Tools of the checks: short runs, a run that breaks down, iterates as columns."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mmbench.algorithms.base import Algorithm
from mmbench.core.capability import Capability
from mmbench.core.checkpoint_slot import CheckpointSlot
from mmbench.core.columns import COUNTED
from mmbench.core.description import Description
from mmbench.core.domains import Count, Positive
from mmbench.core.game import Game
from mmbench.core.oracle import Oracle
from mmbench.core.oracle_state import OracleState
from mmbench.core.placement import Placement
from mmbench.core.streams import generator
from mmbench.engine.cell import Cell
from mmbench.engine.run_cell import run_cell
from mmbench.engine.trajectory import Trajectory
from mmbench.metrics.base import Column, IterateMetric, Point
from mmbench.runner.plan import metrics_for
from mmbench.tasks.base import Target, Task

PLACEMENT = Placement(dtype=torch.float64)
SEEDS = (0, 1, 2)
FAR_FACTOR = 1e9  # moves a start beyond every task's limit


def require(condition: Any, sentence: str) -> None:
    """Raise an AssertionError with this sentence unless the condition is true."""
    if not condition:
        raise AssertionError(f"{sentence}.")


def start_runs(
    task: Task, seeds: tuple[int, ...] = SEEDS
) -> tuple[Oracle, Float[Tensor, "runs dim"]]:
    """Return an oracle of the task's game, and the starts of some runs."""
    state, z = start_oracle_state(task, seeds)
    return Oracle(state), z


def start_oracle_state(
    task: Task, seeds: tuple[int, ...] = SEEDS
) -> tuple[OracleState, Float[Tensor, "runs dim"]]:
    """Return the state of an oracle of the task's game, and the starts of some runs."""
    game = task.build(PLACEMENT)
    starts = [task.start(game, generator(seed, "start")) for seed in seeds]
    z = torch.stack(starts)
    return OracleState(game, seeds, memory=game.memory(z)), z


def tensors(state: Any) -> Iterator[Tensor]:
    """Yield the tensors of a state, depth first."""
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, tuple):
        for part in state:
            yield from tensors(part)


def equal(left: Iterable[Tensor], right: Iterable[Tensor]) -> bool:
    """Return whether tensors are equal, pair by pair and bit for bit."""
    return all(torch.equal(*pair) for pair in zip(left, right, strict=True))


@final
@dataclass(frozen=True, kw_only=True)
class IterateEntries(IterateMetric):
    """Some entries of the iterate, its norm, and a weighted sum of all entries.

    Args:
        count: number of entries, evenly spaced.
    """

    count: Count = 4

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of the entries, the norm and the weighted sum."""
        names = [f"entry_{i}" for i in range(self.count)]
        names += ["norm", "blend"]
        return tuple(Column(name, name, "neither") for name in names)

    def measure(self, at: Point) -> Mapping[str, Tensor]:
        """Return one number for each column and run."""
        last = at.z.shape[1] - 1
        chosen = [round(last * i / max(1, self.count - 1)) for i in range(self.count)]
        columns = {f"entry_{i}": at.z[:, j] for i, j in enumerate(chosen)}
        weights = torch.arange(last + 1).to(at.z).cos()
        return columns | {"norm": at.z.norm(dim=1), "blend": (at.z * weights).sum(1)}


@final
@dataclass(frozen=True, kw_only=True)
class FarStart(Task):
    """A task of which one run starts far away and breaks down.

    Args:
        task: the task that all runs share.
        seed: seed of the run that starts far away.
        factor: factor of its start.
    """

    task: Task
    seed: int
    factor: Positive = FAR_FACTOR

    @property
    def gives(self) -> frozenset[Capability]:
        """What the game gives beyond its losses."""
        return self.task.gives

    @property
    def metrics(self) -> tuple[str | Description, ...]:
        """Specs of the metrics measured when none are chosen."""
        return self.task.metrics

    @property
    def target(self) -> Target | None:
        """The target of the task."""
        return self.task.target

    @property
    def real_images(self) -> Mapping[str, int]:
        """The number of real images of each split."""
        return self.task.real_images

    @property
    def width(self) -> int:
        """The number of runs computed at once on a CPU."""
        return self.task.width

    def prepare(self, data_dir: Path | None) -> None:
        """Fetch and check what the game will read."""
        self.task.prepare(data_dir)

    def build(self, placement: Placement) -> Game:
        """Return the game on a device."""
        return self.task.build(placement)

    def start(self, game: Game, generator_: torch.Generator) -> Float[Tensor, " dim"]:
        """Return the start of one run, multiplied by the factor for the chosen seed."""
        chosen = generator(self.seed, "start").initial_seed()
        factor = self.factor if generator_.initial_seed() == chosen else 1.0
        return factor * self.task.start(game, generator_)


def run_short_cell(
    algorithm: Algorithm,
    task: Task,
    seeds: Sequence[int],
    steps: int,
    slot: CheckpointSlot | None = None,
) -> Trajectory:
    """Run a short cell in float64, with entries of the iterate at every step."""
    cell = Cell(
        task=task,
        algorithm=algorithm,
        seeds=tuple(seeds),
        steps=steps,
        records=steps,
        dtype="float64",
        metrics=metrics_for(task, [IterateEntries()]),
    )
    return run_cell(cell, PLACEMENT, slot=slot)


def require_equal_runs(
    left: Trajectory, right: Trajectory, seeds: Sequence[int], sentence: str
) -> None:
    """Raise an AssertionError unless two trajectories are equal on the seeds."""
    left_rows, right_rows = (
        [trajectory.seeds.index(seed) for seed in seeds] for trajectory in (left, right)
    )
    for name in (*left.columns, *COUNTED):
        left_values = (left.columns | left.counts)[name][:, left_rows]
        right_values = (right.columns | right.counts)[name][:, right_rows]
        same = np.array_equal(left_values, right_values, equal_nan=True)
        require(same, f"{sentence}; {name} differs")
    left_ends, right_ends = (
        [(trajectory.status[row], int(trajectory.stopped_at[row])) for row in rows]
        for trajectory, rows in ((left, left_rows), (right, right_rows))
    )
    require(
        left_ends == right_ends, f"{sentence}; it ended {left_ends} and {right_ends}"
    )
