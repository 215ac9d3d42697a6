"""A task is the description that builds a game and draws where its runs start."""

import functools
import operator
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.description import Description
from mmbench.core.game import Game
from mmbench.core.placement import Placement
from mmbench.core.source import Source


class Target(NamedTuple):
    """Bounds that a run must reach, on columns of one metric.

    Args:
        metric: spec of the metric that has the columns.
        at_most: columns with their upper bounds.
        at_least: columns with their lower bounds.
    """

    metric: str
    at_most: tuple[tuple[str, float], ...] = ()
    at_least: tuple[tuple[str, float], ...] = ()

    @property
    def bounds(self) -> tuple[tuple[str, float], ...]:
        """All columns that have a bound, with it."""
        return self.at_most + self.at_least

    def __str__(self) -> str:
        upper = [f"{column} ≤ {bound:g}" for column, bound in self.at_most]
        lower = [f"{column} ≥ {bound:g}" for column, bound in self.at_least]
        return " and ".join(upper + lower)

    def holds(self, columns: dict[str, Any]) -> Any:
        """Return for each run whether all bounds hold; they never do for NaN.

        Args:
            columns: values of the runs by column, as tensors, arrays or data frames.

        Returns:
            Booleans of the same kind and shape as the columns.
        """
        held = [columns[name] <= bound for name, bound in self.at_most]
        held += [columns[name] >= bound for name, bound in self.at_least]
        return functools.reduce(operator.and_, held)


# The metrics and the target of games with a known solution.
SOLVED_METRICS = ("distance", "field_norm", "worst", "rate")
SOLVED_TARGET = Target("distance", at_most=(("distance", 1e-3),))


@dataclass(frozen=True, kw_only=True)
class Task(Description, ABC):
    """A benchmark problem: a game, where its players start, and what a run must reach.

    Attributes:
        version: number to raise when the numbers of a trajectory change.
        source: publication of the game; every built-in task states it.
        data_sources: publications of the data that the game draws from.
        limit: absolute value of an entry of z beyond which a run has diverged.
    """

    source: ClassVar[Source | None] = None
    data_sources: ClassVar[tuple[Source, ...]] = ()
    limit: ClassVar[float] = 1e6

    @property
    @abstractmethod
    def gives(self) -> frozenset[Capability]:
        """What the game gives beyond its losses."""

    @property
    @abstractmethod
    def metrics(self) -> tuple[str | Description, ...]:
        """The specs, or metrics of a user, that are measured when none are chosen."""

    @property
    def target(self) -> Target | None:
        """The bounds that a run must reach; None where none are declared."""
        return None

    @property
    def real_images(self) -> Mapping[str, int]:
        """The number of real images of each split, "train" and "test".

        Metrics that need more are refused before any work. Empty where there are no
        images, or where their number is not known before the data are read.
        """
        return {}

    @property
    def width(self) -> int:
        """The number of runs computed side by side on a CPU.

        The last chunk of runs is padded to it. It is a rule and never a timing, so that
        the bits of a run do not depend on the other runs. Small games are bound by the
        dispatch of operations and gain from many runs; networks are bound by the cache.
        """
        return 128

    @property
    def gpu_width(self) -> int:
        """The number of runs computed side by side on a GPU."""
        return 128

    def prepare(self, data_dir: Path | None) -> None:
        """Fetch and check the data of the game; called before any cell is computed.

        Args:
            data_dir: folder of data files; None looks in the folder that MMBENCH_DATA
                names, then downloads.

        Raises:
            DataError: when data are missing or not the published ones.
        """

    @abstractmethod
    def build(self, placement: Placement) -> Game:
        """Build the game.

        Args:
            placement: device and dtype of its tensors, and the folder of its data.
        """

    @abstractmethod
    def start(self, game: Game, generator: torch.Generator) -> Float[Tensor, " dim"]:
        """Draw the point where one run starts, on the CPU, in the game's dtype.

        Args:
            game: the game that `build` returned.
            generator: random generator of the run.
        """


class Numbers(NamedTuple):
    """Random numbers in float64 that are drawn at once.

    Args:
        amount: how many there are.
        is_normal: whether they are standard normal; else they are uniform in [0, 1).
    """

    amount: int
    is_normal: bool = True


class DrawnStartTask(Task):
    """A task whose starts are made of numbers that a run draws at once.

    Those of many runs can then be drawn together. It adds no fields to the description.
    """

    @abstractmethod
    def drawn(self, game: Game) -> Numbers:
        """Return what a run draws for its start.

        Args:
            game: the game that `build` returned.
        """

    @abstractmethod
    def starts(
        self, game: Game, numbers: Float64[Tensor, "runs amount"]
    ) -> Float[Tensor, "runs dim"]:
        """Return where runs start, on the CPU, in the game's dtype.

        Args:
            game: the game that `build` returned.
            numbers: what each run has drawn.
        """

    def start(self, game: Game, generator: torch.Generator) -> Float[Tensor, " dim"]:
        """Draw the point where one run starts."""
        amount, is_normal = self.drawn(game)
        function = torch.randn if is_normal else torch.rand
        # In float64, so that both precisions start at the same point.
        numbers = function(1, amount, generator=generator, dtype=torch.float64)
        return self.starts(game, numbers)[0]


def clip_y(
    z: Float[Tensor, "runs dim"], dim_x: int, bound: float
) -> Float[Tensor, "runs dim"]:
    """Clip the entries of y.

    Args:
        z: iterates.
        dim_x: length of x.
        bound: largest absolute entry of y; 0 leaves y free.
    """
    if not bound:
        return z
    return torch.cat((z[:, :dim_x], z[:, dim_x:].clamp(-bound, bound)), dim=1)
