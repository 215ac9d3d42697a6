"""The base classes of metrics, which measure an iterate or a whole trajectory.

A metric sees the game itself, and what it computes is never charged to a run's cost.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, UInt8
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.description import Description
from mmbench.core.game import Game
from mmbench.core.linearisation import Linearisation
from mmbench.core.oracle import Oracle
from mmbench.core.oracle_state import OracleState
from mmbench.core.source import Source


class Column(NamedTuple):
    """A column of the tidy table, filled by a metric.

    Args:
        name: name in the table.
        title: label in figures, with the unit where there is one.
        better: direction that is better; "neither" for a value that only describes.
        scale: scale of the axis in figures.
    """

    name: str
    title: str
    better: Literal["lower", "higher", "neither"] = "lower"
    scale: Literal["linear", "log"] = "linear"


class Point:
    """The iterates of all runs at one record, with values that metrics share.

    Args:
        game: game of the iterates.
        z: iterates, shape (runs, dim).
        seeds: seed of each run.
        start: iterates at step 0, shape (runs, dim); None for z itself.
        state: state of the method, for metrics that read it.
    """

    def __init__(
        self,
        game: Game,
        z: Float[Tensor, "runs dim"],
        seeds: tuple[int, ...],
        start: Float[Tensor, "runs dim"] | None = None,
        state: Any = (),
    ) -> None:
        self.game, self.z, self.seeds, self.state = game, z, seeds, state
        self.start = z if start is None else start
        self._samples: dict[int, Tensor] = {}
        self._images: dict[int, tuple[Tensor, Tensor]] = {}

    @cached_property
    def field(self) -> Float[Tensor, "runs dim"]:
        """The field F(z), on an evaluation minibatch where the game has data.

        That of a finite sum is the one over all its terms.
        """
        return self.oracle_with_data().field(self.z)

    @cached_property
    def linearisation(self) -> Linearisation:
        """The gradients with their graphs, on the minibatch or the terms of `field`."""
        return self.oracle_with_data().linearise(self.z, cross=True)

    @cached_property
    def jacobian(self) -> Float64[Tensor, "runs dim dim"]:
        """The Jacobian J of the field F, on the CPU; a reverse pass for each row."""
        game, found = self.game, self.linearisation
        rows = []
        for through, dim in (
            (found.through_x, game.dim_x),
            (found.through_y, game.dim_y),
        ):
            for i in range(dim):
                basis = self.z.new_zeros(len(self.z), dim)
                basis[:, i] = 1
                rows.append(torch.cat(through(basis), dim=1))
        return torch.stack(rows, dim=1).cpu().double()

    def oracle(self) -> Oracle:
        """Return an oracle at the beginning of the evaluation stream.

        The game's memory is that of a run that starts at z. So a value depends on z
        alone, and is the same during a run and for a stored iterate afterwards.
        """
        return Oracle(self._oracle_state())

    def oracle_with_data(self) -> Oracle:
        """Return an oracle with a minibatch, or with all terms of a finite sum."""
        state = self._oracle_state()
        if self.game.terms:
            rows = torch.arange(len(self.z), device=self.z.device)
            state.sample = state.all_terms(rows)
        else:
            state.resample()
        return Oracle(state)

    def _oracle_state(self) -> OracleState:
        memory = self.game.memory(self.z)
        return OracleState(self.game, self.seeds, "evaluation", memory)

    def samples(self, count: int) -> Tensor:
        """Return samples of the generator, drawn once for each count.

        Args:
            count: number of samples of each run.
        """
        if count not in self._samples:
            self._samples[count] = self.game.generate(self.z, count, self.seeds)
        return self._samples[count]

    def images(self, count: int) -> UInt8[Tensor, "runs count channels height width"]:
        """Return the samples as 8-bit images, rounded as in an image file.

        NaN becomes 0, the middle grey; see `has_finite_images`.

        Args:
            count: number of images of each run.
        """
        return self._bytes(count)[0]

    def has_finite_images(self, count: int) -> Bool[Tensor, " runs"]:
        """Return whether all pixels of a run's images were finite before the rounding.

        Args:
            count: number of images of each run.
        """
        return self._bytes(count)[1]

    def _bytes(self, count: int) -> tuple[Tensor, Tensor]:
        """Return images as bytes, and whether they were finite, drawn once a count.

        Each part becomes bytes as it is made, a run after the other, since floats take
        four times the memory.
        """
        if count not in self._images:
            runs, shape = len(self.z), self.game.image_shape
            images = self.z.new_empty((runs, count, *shape), dtype=torch.uint8)
            finite = self.z.new_ones(runs, dtype=torch.bool)
            filled = 0
            for part in self.game.generate_parts(self.z, count, self.seeds):
                end = filled + part.shape[1]
                for run, made in enumerate(part):
                    finite[run] &= made.isfinite().all()
                    pixels = made.float().nan_to_num(nan=0.0).clamp_(-1, 1)
                    rounded = pixels.add_(1).mul_(127.5).round_().to(torch.uint8)
                    images[run, filled:end] = rounded.reshape(-1, *shape)
                filled = end
            self._images[count] = images, finite
        return self._images[count]


@dataclass(frozen=True, kw_only=True)
class Metric(Description, ABC):
    """Base of all metrics; a metric is an `IterateMetric` or a `TrajectoryMetric`.

    Attributes:
        version: increased whenever the numbers change.
        reads_state: whether it reads the method's state, which is not kept, so that it
            is measured during a run alone.
        sources: publications of the metric, for a bibliography.
    """

    reads_state: ClassVar[bool] = False
    sources: ClassVar[tuple[Source, ...]] = ()

    @property
    def needs(self) -> frozenset[Capability]:
        """Capabilities that the game must have; none by default."""
        return frozenset()

    @property
    @abstractmethod
    def columns(self) -> tuple[Column, ...]:
        """Columns that the metric fills."""

    @property
    def protocol(self) -> Mapping[str, str | int]:
        """Settings that a comparison of values needs; stored with the values."""
        return {}

    def prepare(self) -> None:
        """Check that the data the metric needs are available, before a run starts.

        Raises:
            DataError: if weights are missing or damaged.
        """

    def check_images(self, task: str, real_images: Mapping[str, int]) -> None:
        """Raise a `MisfitError` if a task has too few real images for the metric.

        Args:
            task: the task, for the message.
            real_images: number of real images of each split; empty if it is not known.
        """

    def real_score(self, game: Game) -> Mapping[str, float]:
        """Return the score of real data, by column name.

        It bounds what a generator can be expected to reach. Columns for which it has no
        meaning are left out; by default all are.

        Args:
            game: game with the real data.
        """
        return {}


@dataclass(frozen=True, kw_only=True)
class IterateMetric(Metric):
    """Base of metrics that are computed from the iterates at one record.

    Attributes:
        by_iterate: whether the values of a run, in a game without data, depend on its
            iterate alone, and take memory for a few such iterates. Several records may
            then be measured at once.
    """

    by_iterate: ClassVar[bool] = False

    @abstractmethod
    def measure(self, at: Point) -> Mapping[str, Float[Tensor, " runs"]]:
        """Return the values of each column, one for each run.

        Args:
            at: iterates of all runs at one record.
        """


@dataclass(frozen=True, kw_only=True)
class TrajectoryMetric(Metric):
    """Base of metrics that are computed from one column of a whole trajectory."""

    @property
    @abstractmethod
    def of(self) -> str:
        """Name of the column that the metric is computed from."""

    @abstractmethod
    def summarise(
        self, steps: Sequence[int], values: Float[np.ndarray, "records runs"]
    ) -> Mapping[str, Float[np.ndarray, " runs"]]:
        """Return the values of each column, one for each run.

        Args:
            steps: step of each record.
            values: column that the metric is computed from, shape (records, runs); NaN
                where nothing was measured.
        """
