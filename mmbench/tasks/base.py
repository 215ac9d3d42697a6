"""Task: the description that builds a game and draws a start."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.description import Description
from mmbench.core.game import Game
from mmbench.core.placement import Placement
from mmbench.core.source import Source


class Target(NamedTuple):
    """What a run must reach: bounds on columns that a metric gives.

    Args:
        metric: words of the metric that gives the columns.
        at_most: column to its upper bound.
        at_least: column to its lower bound.
    """

    metric: str
    at_most: tuple[tuple[str, float], ...] = ()
    at_least: tuple[tuple[str, float], ...] = ()

    @property
    def bounds(self) -> tuple[tuple[str, float], ...]:
        """All columns that it judges, with their bounds."""
        return self.at_most + self.at_least

    def __str__(self) -> str:
        upper = [f"{column} ≤ {bound:g}" for column, bound in self.at_most]
        lower = [f"{column} ≥ {bound:g}" for column, bound in self.at_least]
        return " and ".join(upper + lower)

    def holds(self, columns: dict[str, Any]) -> Any:
        """Run by run, whether all bounds hold; NaN never does."""
        held = [columns[name] <= bound for name, bound in self.at_most]
        held += [columns[name] >= bound for name, bound in self.at_least]
        together = held[0]
        for one in held[1:]:
            together = together & one
        return together


# Of games whose solution is known.
SOLVED_METRICS = ("distance", "field_norm", "worst", "rate")
SOLVED_TARGET = Target("distance", at_most=(("distance", 1e-3),))


@dataclass(frozen=True, kw_only=True)
class Task(Description, ABC):
    """What is asked: a game, where its players start, and what counts as reached.

    Attributes:
        version: raised when the numbers of a trajectory change.
        source: where the game comes from; every built-in one states it.
        limit: absolute value of an entry of z beyond which a run has diverged.
        metrics: words of the metrics measured when none are chosen.
    """

    source: ClassVar[Source | None] = None
    limit: ClassVar[float] = 1e6

    @property
    @abstractmethod
    def gives(self) -> frozenset[Capability]:
        """What the game gives beyond its losses."""

    @property
    @abstractmethod
    def metrics(self) -> tuple[str, ...]:
        """Words of the metrics measured when none are chosen."""

    @property
    def target(self) -> Target | None:
        """What counts as reached; None when nothing is declared."""
        return None

    @property
    def width(self) -> int:
        """Runs computed side by side on a CPU; the last chunk is padded to it.

        A rule, never a timing, so that a run's bits do not depend on its mates. Small
        games are bound by dispatch and like many runs, networks by the cache.
        """
        return 128

    @property
    def gpu_width(self) -> int:
        """Runs computed side by side on a GPU, if its memory holds them."""
        return 128

    def prepare(self, data_dir: Path | None) -> None:
        """Fetch and check what the game will read; called before any work starts.

        Raises:
            DataError: when data are missing or not what they should be.
        """

    @abstractmethod
    def build(self, placement: Placement) -> Game:
        """The game, on a device."""

    @abstractmethod
    def start(self, game: Game, generator: torch.Generator) -> Float[Tensor, "dim"]:
        """Where one run starts, on the CPU, in the game's dtype."""


def plane_start(
    fixed: tuple[float, ...], dim: int, game: Game, generator: torch.Generator
) -> Float[Tensor, "dim"]:
    """The start of a small game: the fixed point if given, else standard normal."""
    if fixed:
        return torch.tensor(fixed, dtype=game.dtype)
    # In float64, so that both precisions start at the same point.
    drawn = torch.randn(dim, generator=generator, dtype=torch.float64)
    return drawn.to(game.dtype)
