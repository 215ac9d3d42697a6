"""Metric: what is measured, of an iterate or of a whole trajectory; never charged."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.description import Description
from mmbench.core.game import Game
from mmbench.core.oracle import Oracle
from mmbench.core.oracle_state import OracleState


class Column(NamedTuple):
    """One column of the tidy table that a metric fills.

    Args:
        name: of the column.
        title: for figures, with its unit where it has one.
        better: which direction is better; "neither" where the value only describes.
        scale: of the axis in figures.
    """

    name: str
    title: str
    better: Literal["lower", "higher", "neither"] = "lower"
    scale: Literal["linear", "log"] = "linear"


class Point:
    """The iterates of all runs at one record, with what several metrics may share.

    Args:
        game: the game they belong to.
        z: shape (runs, dim).
        seeds: one a run.
        start: z at step 0; z itself where nothing is said.
    """

    def __init__(
        self,
        game: Game,
        z: Float[Tensor, "runs dim"],
        seeds: tuple[int, ...],
        start: Float[Tensor, "runs dim"] | None = None,
    ) -> None:
        self.game, self.z, self.seeds = game, z, seeds
        self.start = z if start is None else start
        self._samples: dict[int, Tensor] = {}
        self._images: dict[int, Tensor] = {}

    @cached_property
    def field(self) -> Float[Tensor, "runs dim"]:
        """F(z), on a minibatch of the evaluation stream where the game has data."""
        oracle = self.oracle()
        oracle.resample()
        return oracle.field(self.z)

    def oracle(self) -> Oracle:
        """An oracle on the evaluation stream, from its beginning.

        What the game remembers is what it would if it began at z, so that what is
        measured depends on z alone, during a run and of kept iterates afterwards.
        """
        memory = self.game.memory(self.z)
        return Oracle(OracleState(self.game, self.seeds, "evaluation", memory))

    def samples(self, count: int) -> Tensor:
        """Generator samples, the same for every metric that asks for as many."""
        if count not in self._samples:
            self._samples[count] = self.game.generate(self.z, count, self.seeds)
        return self._samples[count]

    def images(self, count: int) -> UInt8[Tensor, "runs count channels height width"]:
        """The samples as images from 0 to 255, rounded as an image file would be."""
        if count not in self._images:
            pixels = self.samples(count).float().nan_to_num(nan=0.0).clamp(-1, 1)
            bytes_ = ((pixels + 1) * 127.5).round().to(torch.uint8)
            shape = (*bytes_.shape[:2], *self.game.image_shape)
            self._images[count] = bytes_.reshape(shape)
        return self._images[count]


@dataclass(frozen=True, kw_only=True)
class Metric(Description, ABC):
    """What is measured; either an `IterateMetric` or a `TrajectoryMetric`.

    Attributes:
        version: raised when the numbers change.
    """

    @property
    def needs(self) -> frozenset[Capability]:
        """What it asks of a game; nothing unless a metric says otherwise."""
        return frozenset()

    @property
    @abstractmethod
    def columns(self) -> tuple[Column, ...]:
        """What it fills."""

    @property
    def protocol(self) -> Mapping[str, str | int]:
        """How it is measured, for whoever wants to compare: stored with the numbers."""
        return {}

    def prepare(self) -> None:
        """Check that what it needs is there; called before any work starts.

        Raises:
            DataError: when weights are missing or not what they should be.
        """

    def real_score(self, game: Game) -> Mapping[str, float]:
        """What real data of the game get, by column: the floor or the ceiling.

        Empty for columns where that has no meaning.
        """
        return {}


@dataclass(frozen=True, kw_only=True)
class IterateMetric(Metric):
    """A metric of the iterates at one record."""

    @abstractmethod
    def measure(self, at: Point) -> Mapping[str, Float[Tensor, "runs"]]:
        """One number for each column and run."""


@dataclass(frozen=True, kw_only=True)
class TrajectoryMetric(Metric):
    """A metric of a run as a whole, from columns measured at its records."""

    @property
    @abstractmethod
    def of(self) -> str:
        """The column it is computed from."""

    @abstractmethod
    def summarise(
        self, steps: Sequence[int], values: Float[np.ndarray, "records runs"]
    ) -> Mapping[str, Float[np.ndarray, "runs"]]:
        """One number for each column and run.

        Args:
            steps: of the records.
            values: the column it is computed from; NaN where nothing was measured.
        """
