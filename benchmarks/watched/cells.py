"""Small cells of each algorithm on each task, for hundreds of benchmarks."""

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import sklearn.datasets  # noqa: F401  # a second; here once, not in every process
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .library import (
    ALGORITHMS,
    DATA_VARIABLE,
    TASKS,
    Capability,
    Cell,
    Grid,
    MisfitError,
    Placement,
    Status,
    Suite,
    Task,
    field_types,
    plan,
    run_cell,
)

torch.set_num_threads(1)


class Game(NamedTuple):
    """A task and the settings of its benchmark.

    Args:
        task: spec of the task.
        steps: steps of each run.
        metrics: specs of metrics; none means the task's own.
        options: options of every algorithm that has them.
        records: number of evenly spaced records.
    """

    task: str
    steps: int
    metrics: tuple[str, ...] = ()
    options: Mapping[str, str] = {}
    records: int = 1


# Sizes at which the cost of a step dominates that of measuring. A task without an entry
# is used with its defaults.
_TINY = "noise=4,batch=2,loss=saturating"
_CONVEX = "quadratic[a=1,b=1,c=-1]"  # convex in x, concave in y
SMALL = {
    "bilinear": Game("bilinear", 50, ("distance",)),
    "quadratic": Game(_CONVEX, 50, ("distance",)),
    "dirac_gan": Game("dirac_gan", 50, ("distance",)),
    "four_gaussians": Game(
        "four_gaussians[hidden=8,noise=4,batch=16]", 4, ("mode_coverage[samples=20]",)
    ),
    "digits01": Game(f"digits01[hidden=8,{_TINY}]", 1, ("digit_coverage[samples=1]",)),
    "mnist01": Game(f"mnist01[{_TINY}]", 1, ("digit_coverage[samples=1]",)),
    "mnist_icr": Game(
        f"mnist_icr[channels=1,images=20,{_TINY}]", 1, ("losses[minibatches=1]",)
    ),
    "cifar10": Game(
        f"cifar10[channels=1,images=20,{_TINY}]", 1, ("losses[minibatches=1]",)
    ),
}
# Options of single algorithms, in place of those of all.
OWN = {
    "acgd": {"step_size": "0.1"},
    "accept_reject_search": {"ascents": "5"},
}


def downloaded(task: Task) -> bool:
    """Return whether the data of a task are downloaded and a step fills a core."""
    return Capability.IMAGES in task.gives and Capability.GREY_8 not in task.gives


IMAGES = [name for name in TASKS if downloaded(TASKS[name]())]
OTHERS = [name for name in TASKS if name not in IMAGES]


def small(algorithm: str, task: str, runs: int) -> Cell:
    """Return a cell of few steps."""
    game = SMALL.get(task, Game(task, 10))
    return fitting(algorithm, game, runs, OWN.get(algorithm, {}), "float32")


def fitting(
    algorithm: str, game: Game, runs: int, own: Mapping[str, str], dtype: str
) -> Cell:
    """Return the cell of an algorithm on a game.

    Args:
        algorithm: name of the algorithm.
        game: task and settings.
        runs: number of runs, with seeds 0, 1, ...
        own: options of this algorithm in place of the game's.
        dtype: data type of all floats.

    Raises:
        NotImplementedError: when they do not fit each other, or the data are
            missing; asv shows "n/a".
    """
    known = field_types(ALGORITHMS[algorithm])
    options = {**game.options, **own}
    chosen = ",".join(f"{name}={options[name]}" for name in options if name in known)
    grid = Grid(
        tasks=(game.task,),
        algorithms=(f"{algorithm}[{chosen}]" if chosen else algorithm,),
        metrics=game.metrics,
        seeds=runs,
        steps=game.steps,
        records=game.records,
        dtype=dtype,
    )
    try:
        (cell,) = plan(Suite(name="watched", grids=(grid,)))
    except MisfitError as error:
        raise NotImplementedError(str(error)) from None
    if downloaded(cell.task) and DATA_VARIABLE not in os.environ:
        raise NotImplementedError(
            f"{cell.task} needs data; {DATA_VARIABLE} is not set."
        )
    cell.task.prepare(None)
    return cell


def compute(cell: Cell, placement: Placement = Placement()) -> None:
    """Run a cell.

    Raises:
        RuntimeError: when an error ended the cell, which would look like a speed-up.
    """
    done = run_cell(cell, placement)
    if Status.ERROR in done.status:
        raise RuntimeError(done.reason)


class Counts(NamedTuple):
    """What a step of all runs asks of torch, mean over steps.

    Args:
        operations: other than views.
        written: bytes of their results.
    """

    operations: float
    written: float


class _Counter(TorchDispatchMode):
    """Counts operations other than views, and the bytes of their results."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = self.written = 0

    def __torch_dispatch__(
        self, func: Any, _types: Any, args: tuple = (), kwargs: Any = None
    ) -> Any:
        """Make an operation."""
        made = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.operations += 1
            self.written += sum(
                one.nbytes for one in tree_leaves(made) if isinstance(one, torch.Tensor)
            )
        return made


# Two numbers of steps with as many records, since powers of two have one.
FEW, MANY = 5, 8


def count_step(cell: Cell) -> Counts:
    """Count what an eager step of a cell with one record adds to the whole."""
    few, many = _Counter(), _Counter()
    for counter, steps in ((few, FEW), (many, MANY)):
        with counter:
            compute(replace(cell, steps=steps), Placement(compiled=False))
    return Counts(
        (many.operations - few.operations) / (MANY - FEW),
        (many.written - few.written) / (MANY - FEW),
    )
