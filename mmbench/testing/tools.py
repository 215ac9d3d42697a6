"""What the checks share: short runs, one that breaks down, iterates as columns."""

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
from mmbench.core.domains import Count, Positive
from mmbench.core.game import Game
from mmbench.core.oracle import Oracle
from mmbench.core.oracle_state import COUNTED, OracleState
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
FAR = 1e9  # factor that puts a start beyond every task's limit


def must(holds: Any, sentence: str) -> None:
    """Raise an AssertionError with this sentence unless it holds."""
    if not holds:
        raise AssertionError(f"{sentence}.")


def begin(
    task: Task, seeds: tuple[int, ...] = SEEDS
) -> tuple[Oracle, Float[Tensor, "runs dim"]]:
    """Return an oracle of the task's game, and the starts of some runs."""
    state, z = begin_state(task, seeds)
    return Oracle(state), z


def begin_state(
    task: Task, seeds: tuple[int, ...] = SEEDS
) -> tuple[OracleState, Float[Tensor, "runs dim"]]:
    """Return the state of an oracle of the task's game, and the starts of some runs."""
    game = task.build(PLACEMENT)
    starts = [task.start(game, generator(seed, "start")) for seed in seeds]
    z = torch.stack(starts)
    return OracleState(game, seeds, memory=game.memory(z)), z


def tensors(state: Any) -> Iterator[Tensor]:
    """The tensors of a state, depth first."""
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, tuple):
        for part in state:
            yield from tensors(part)


def equal(ones: Iterable[Tensor], others: Iterable[Tensor]) -> bool:
    """Whether tensors are equal, pair by pair and bit for bit."""
    return all(torch.equal(*pair) for pair in zip(ones, others, strict=True))


@final
@dataclass(frozen=True, kw_only=True)
class Entries(IterateMetric):
    """Some entries of the iterate, evenly chosen, its norm and a blend of all entries.

    Args:
        count: how many entries at most.
    """

    count: Count = 4

    @property
    def columns(self) -> tuple[Column, ...]:
        """What it fills."""
        names = [f"entry_{i}" for i in range(self.count)]
        names += ["norm", "blend"]
        return tuple(Column(name, name, "neither") for name in names)

    def measure(self, at: Point) -> Mapping[str, Tensor]:
        """One number for each column and run."""
        last = at.z.shape[1] - 1
        chosen = [round(last * i / max(1, self.count - 1)) for i in range(self.count)]
        columns = {f"entry_{i}": at.z[:, j] for i, j in enumerate(chosen)}
        weights = torch.arange(last + 1).to(at.z).cos()
        return columns | {"norm": at.z.norm(dim=1), "blend": (at.z * weights).sum(1)}


@final
@dataclass(frozen=True, kw_only=True)
class Doomed(Task):
    """A task of which one run starts far away.

    Args:
        task: the task as it is for the other runs.
        seed: the run's.
        factor: of its start.
    """

    task: Task
    seed: int
    factor: Positive = FAR

    @property
    def gives(self) -> frozenset[Capability]:
        """What the game gives beyond its losses."""
        return self.task.gives

    @property
    def metrics(self) -> tuple[str, ...]:
        """Words of the metrics measured when none are chosen."""
        return self.task.metrics

    @property
    def target(self) -> Target | None:
        """What counts as reached."""
        return self.task.target

    @property
    def width(self) -> int:
        """Runs computed side by side on a CPU."""
        return self.task.width

    def prepare(self, data_dir: Path | None) -> None:
        """Fetch and check what the game will read."""
        self.task.prepare(data_dir)

    def build(self, placement: Placement) -> Game:
        """The game, on a device."""
        return self.task.build(placement)

    def start(self, game: Game, generator_: torch.Generator) -> Float[Tensor, "dim"]:
        """Where one run starts."""
        chosen = generator(self.seed, "start").initial_seed()
        factor = self.factor if generator_.initial_seed() == chosen else 1.0
        return factor * self.task.start(game, generator_)


def compute(
    algorithm: Algorithm, task: Task, seeds: Sequence[int], steps: int
) -> Trajectory:
    """A short cell, in float64, with the iterates and every step recorded."""
    cell = Cell(
        task=task,
        algorithm=algorithm,
        seeds=tuple(seeds),
        steps=steps,
        records=steps,
        dtype="float64",
        metrics=metrics_for(task, [Entries()]),
    )
    return run_cell(cell, PLACEMENT)


def must_agree(
    one: Trajectory, other: Trajectory, seeds: Sequence[int], sentence: str
) -> None:
    """Raise unless two trajectories agree bit for bit on these seeds."""
    rows, others = ([t.seeds.index(seed) for seed in seeds] for t in (one, other))
    for name in (*one.columns, *COUNTED):
        ours = (one.columns | one.counts)[name][:, rows]
        theirs = (other.columns | other.counts)[name][:, others]
        equal = np.array_equal(ours, theirs, equal_nan=True)
        must(equal, f"{sentence}; {name} differs")
    ended = [(one.status[i], int(one.stopped_at[i])) for i in rows]
    theirs = [(other.status[i], int(other.stopped_at[i])) for i in others]
    must(ended == theirs, f"{sentence}; it ended {ended} and {theirs}")
