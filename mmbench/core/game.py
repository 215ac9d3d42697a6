"""A game has two players, each with a loss on the joint vector."""

from abc import ABC, abstractmethod
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from mmbench.core.errors import MisfitError


class Game(ABC):
    """A game in tensors: x minimises loss_x and y minimises loss_y.

    `z` is x followed by y, shape (runs, dim). A task builds a game for one device and
    dtype; it is used in one process and never stored.

    Attributes:
        dim_x: length of x.
        dim_y: length of y.
        zero_sum: whether loss_y = -loss_x; then f = loss_x.
        batch_size: data points in a minibatch; 0 where losses need no data.
        sample_size: random numbers in a minibatch, which decides how many minibatches
            are drawn at once.
        device: device of its tensors.
        dtype: dtype of its floats.
        image_shape: channels, height and width of the images that it generates.
        dataset: name of its data set, by which metrics choose a classifier.
    """

    dim_x: int
    dim_y: int
    zero_sum: bool = True
    batch_size: int = 0
    sample_size: int = 0
    device: torch.device = torch.device("cpu")
    dtype: torch.dtype = torch.float32
    image_shape: tuple[int, int, int] = (0, 0, 0)
    dataset: str = ""

    @property
    def dim(self) -> int:
        """The length of z."""
        return self.dim_x + self.dim_y

    @abstractmethod
    def losses(
        self,
        x: Float[Tensor, "runs dim_x"],
        y: Float[Tensor, "runs dim_y"],
        sample: Any,
        *,
        train: bool = True,
    ) -> tuple[Float[Tensor, "runs"], Float[Tensor, "runs"]]:
        """Return the loss of each player for each run.

        The players are two arguments, so that the gradient of one does not cost that of
        the other.

        Args:
            x: first player of each run.
            y: second player of each run.
            sample: minibatch as `draw` returns it, with a leading `runs` axis; None for
                games without data.
            train: whether dropout is on.
        """

    def draw(self, generator: torch.Generator, count: int) -> Any:
        """Draw `count` consecutive minibatches of one run, on the CPU.

        Everything random in the losses belongs to the minibatch, dropout masks
        included.

        Args:
            generator: random generator of the run.
            count: number of minibatches.

        Returns:
            A NamedTuple of tensors with leading axis `count`.
        """
        raise NotImplementedError

    def memory(self, z: Float[Tensor, "runs dim"]) -> tuple:
        """Return the state of the game itself at the start of a run.

        A game may have state that no player chooses, such as the singular vectors of
        spectral normalisation. The engine carries it from step to step, and keeps that
        of runs that have ended.

        Args:
            z: initial iterates.

        Returns:
            Tensors with a leading `runs` axis, nested in tuples; empty for most games.
        """
        return ()

    def advance(self, z: Float[Tensor, "runs dim"], memory: tuple) -> tuple:
        """Return the memory after a step.

        Args:
            z: iterates that the step led to.
            memory: memory before the step.
        """
        return memory

    def recall(self, sample: Any, memory: tuple) -> Any:
        """Return the minibatch with what the losses need of the memory.

        Args:
            sample: minibatch with a leading `runs` axis; None for games without data.
            memory: memory at the iterates where the minibatch is used.
        """
        return sample

    def project(self, z: Float[Tensor, "runs dim"]) -> Float[Tensor, "runs dim"]:
        """Return the nearest allowed point, which is z where nothing is constrained."""
        return z

    def distance(
        self, z: Float[Tensor, "runs dim"], concept: str
    ) -> Float[Tensor, "runs"]:
        """Return the Euclidean distance of each run to the solutions.

        Args:
            z: iterates.
            concept: "declared" for the largest set of solutions that the task declares,
                "nash" for its Nash equilibria.
        """
        raise NotImplementedError

    def gap(self, z: Float[Tensor, "runs dim"], radius: float) -> Float[Tensor, "runs"]:
        """Return the restricted primal-dual gap of each run.

        It is the maximum of f over y within `radius` of the solution, minus its minimum
        over x within `radius` of the solution.

        Args:
            z: iterates.
            radius: Euclidean distance from the solution.
        """
        raise NotImplementedError

    def generate(
        self, z: Float[Tensor, "runs dim"], count: int, seeds: tuple[int, ...]
    ) -> Float[Tensor, "runs count *point"]:
        """Return samples of the generator in evaluation mode.

        The noise of a run depends on its seed alone, so it is the same at each record
        and for each algorithm.

        Args:
            z: iterates.
            count: number of samples of each run.
            seeds: seed of each run.
        """
        raise NotImplementedError

    def real(
        self, split: str
    ) -> tuple[UInt8[Tensor, "count channels height width"], Int64[Tensor, "count"]]:
        """Return real images, from 0 to 255, and the class of each, on the CPU.

        Args:
            split: "train" (the images that the game draws from) or "test".
        """
        raise NotImplementedError

    def logits(
        self, z: Float[Tensor, "runs dim"], images: Tensor
    ) -> Float[Tensor, "runs count"]:
        """Return the discriminator's logits in evaluation mode.

        Args:
            z: iterates.
            images: images from -1 to 1, flattened or not, shape (runs, count, ...), or
                (1, count, ...) for the same images in all runs.
        """
        raise NotImplementedError

    def sheet(
        self, z: Float[Tensor, "runs dim"], seeds: tuple[int, ...]
    ) -> Tensor | None:
        """Return a few samples of each run that a page shows when the run has ended.

        Args:
            z: last iterates.
            seeds: seed of each run.

        Returns:
            Shape (runs, count, ...); None for games without samples.
        """
        return None


@runtime_checkable
class GameWithModes(Protocol):
    """A game with data around known modes, as `Capability.MODES` promises.

    Attributes:
        batch_size: real points in a minibatch.
        modes: mean of each mode, shape (modes, dim).
        mode_weights: share of the data of each mode, shape (modes,).
        deviation: standard deviation of each mode along each axis.
    """

    batch_size: int
    modes: Tensor
    mode_weights: Tensor
    deviation: float

    def draw_real(self, generator: torch.Generator, count: int) -> Tensor:
        """Draw `count` minibatches of real points, shape (count, batch_size, dim)."""


@runtime_checkable
class GameWithDigits(Protocol):
    """A game that generates the digits 0 and 1, as `Capability.DIGITS` promises."""

    @property
    def share_of_ones(self) -> float:
        """The share of the digit 1 in the data."""


def with_modes(game: Game) -> GameWithModes:
    """Return the game after checking that it has modes.

    Raises:
        MisfitError: when it has not.
    """
    if isinstance(game, GameWithModes):
        return game
    raise MisfitError(
        f"{type(game).__name__} must have modes, mode_weights, deviation and "
        "draw_real, since its task gives Capability.MODES; got a game without them."
    )


def with_digits(game: Game) -> GameWithDigits:
    """Return the game after checking that it has digits.

    Raises:
        MisfitError: when it has not.
    """
    if isinstance(game, GameWithDigits):
        return game
    raise MisfitError(
        f"{type(game).__name__} must have share_of_ones, since its task gives "
        "Capability.DIGITS; got a game without it."
    )
