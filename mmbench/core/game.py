"""Games: two players, each with a loss on the joint vector."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.code_patches import protected
from mmbench.core.errors import MisfitError


@protected
class Game(ABC):
    """A game: x minimises loss_x and y minimises loss_y.

    `z` is x followed by y, shape (runs, dim). A task builds a game for one device and
    dtype; it is used for one computation of a cell. A new game must define `losses`,
    and `draw` if they need data; the other methods follow from the capabilities that
    its task states.

    Attributes:
        dim_x: length of x.
        dim_y: length of y.
        zero_sum: whether loss_y = -loss_x; then f = loss_x.
        batch_size: data points in a minibatch; 0 where losses need no data.
        sample_size: random numbers in a minibatch, which determine how many minibatches
            are drawn at once.
        terms: terms of a finite sum, of which a minibatch is a part; 0 for other games.
        shows_terms: whether methods may ask for all terms, as metrics may.
        device: device of its tensors.
        dtype: dtype of its floats.
        image_shape: channels, height and width of the images that it generates.
        dataset: name of its published data; empty where it has none.
        one_by_one: why runs of a chunk are computed one after the other; empty where
            they are computed side by side.
    """

    dim_x: int
    dim_y: int
    zero_sum: bool = True
    batch_size: int = 0
    sample_size: int = 0
    terms: int = 0
    shows_terms: bool = True
    device: torch.device = torch.device("cpu")
    dtype: torch.dtype = torch.float32
    image_shape: tuple[int, int, int] = (0, 0, 0)
    dataset: str = ""
    one_by_one: str = ""

    def __init_subclass__(cls, **options: Any) -> None:
        """Have replaced methods of mmbench's games be seen."""
        super().__init_subclass__(**options)
        protected(cls)

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
    ) -> tuple[Float[Tensor, " runs"], Float[Tensor, " runs"]]:
        """Return the loss of each player, for each run.

        The losses are separate tensors, so that the gradient of one player does not
        need the graph of the other's loss.

        Args:
            x: first player.
            y: second player.
            sample: a minibatch of `draw` for each run, with a leading `runs` axis; None
                for games without data.
            train: whether dropout is active.
        """

    def _lacks(self, method: str) -> MisfitError:
        """Return the error of a method that a capability of the task asks for."""
        return MisfitError(
            f"{type(self).__name__} must define {method}, which the capabilities that "
            "its task gives promise; got a game without it."
        )

    def draw(self, generator: torch.Generator, count: int) -> Any:
        """Draw `count` consecutive minibatches of one run, on the CPU.

        All random numbers of the losses are part of the minibatch, those of dropout
        masks included. For a GPU it is called in several threads at once.

        Returns:
            A NamedTuple of tensors with leading axis `count`.
        """
        raise self._lacks("draw")

    def all_terms(self) -> Any:
        """Return all terms of a finite sum as one minibatch, on the game's device.

        Returns:
            A NamedTuple of tensors with leading axis `terms`, of the kind that `draw`
            returns with leading axes (count, batch_size).
        """
        raise self._lacks("all_terms")

    def memory(self, z: Float[Tensor, "runs dim"]) -> tuple:
        """Return the game's own state at the start of a run.

        A game may have state that no player chooses, such as the singular vectors of
        spectral normalisation. The engine keeps it, and freezes it when a run ends.

        Returns:
            Tensors with a leading `runs` axis, nested in tuples; empty for most games.
        """
        return ()

    def advance(
        self, z: Float[Tensor, "runs dim"], memory: tuple, sample: Any
    ) -> tuple:
        """Return the memory after a step that led to z.

        Args:
            z: iterates after the step.
            memory: memory before it.
            sample: minibatch that the step drew last; None for games without data.
        """
        return memory

    def recall(self, sample: Any, memory: tuple) -> Any:
        """Return a minibatch, together with what the losses need of the memory."""
        return sample

    def project(self, z: Float[Tensor, "runs dim"]) -> Float[Tensor, "runs dim"]:
        """Return the nearest allowed point; z itself in an unconstrained game."""
        return z

    def mirror(
        self, z: Float[Tensor, "runs dim"], step: Float[Tensor, "runs dim"]
    ) -> Float[Tensor, "runs dim"]:
        """Return where an entropic mirror step leads from z.

        Args:
            z: allowed points.
            step: the change of the dual point.
        """
        raise self._lacks("mirror")

    def distance(self, z: Float[Tensor, "runs dim"], concept: str) -> Tensor:
        """Return the Euclidean distance to the declared solutions, shape (runs,).

        Args:
            z: iterates.
            concept: "declared" for the solutions that the task declares, "nash" for its
                Nash equilibria, "minimax" for its local minimax points, "stationary"
                for all points where the field is zero.
        """
        raise self._lacks("distance")

    def gap(self, z: Float[Tensor, "runs dim"], radius: float) -> Tensor:
        """Return the restricted primal-dual gap, shape (runs,).

        It is the maximum of f over y within `radius` of the solution, minus the minimum
        of f over x within `radius` of the solution.

        Args:
            z: iterates.
            radius: distance from the solution, in units of z.
        """
        raise self._lacks("gap")

    def generate(
        self, z: Float[Tensor, "runs dim"], count: int, seeds: tuple[int, ...]
    ) -> Tensor:
        """Return generated samples in evaluation mode, shape (runs, count, ...).

        The noise of a run depends on its seed alone, so that it is the same at each
        record and for each algorithm.
        """
        raise self._lacks("generate")

    def generate_parts(
        self, z: Float[Tensor, "runs dim"], count: int, seeds: tuple[int, ...]
    ) -> Iterator[Tensor]:
        """Yield generated samples in parts, consecutive ones along the second axis.

        A game overrides it where all samples at once would take much memory.
        """
        yield self.generate(z, count, seeds)

    def real(
        self, split: str
    ) -> tuple[UInt8[Tensor, "count channels height width"], Int64[Tensor, " count"]]:
        """Return real images, from 0 to 255, and the class of each, on the CPU.

        Args:
            split: "train" (the data that the game draws from) or "test".
        """
        raise self._lacks("real")

    def logits(
        self, z: Float[Tensor, "runs dim"], images: Tensor
    ) -> Float[Tensor, "runs count"]:
        """Return the discriminator's logits in evaluation mode.

        Args:
            z: iterates.
            images: values from -1 to 1, flattened or not, shape (runs, count, ...), or
                (1, count, ...) for the same images in all runs.
        """
        raise self._lacks("logits")

    def sheet(
        self, z: Float[Tensor, "runs dim"], seeds: tuple[int, ...]
    ) -> Tensor | None:
        """Return a few samples of each run, which reports show for its end.

        Returns:
            Samples of shape (runs, count, ...); None for games that generate nothing.
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


@runtime_checkable
class GameWithClasses(Protocol):
    """A game that generates images of chosen classes, as `Capability.CLASSES` promises.

    Its real images have the same classes.
    """

    def generated_classes(self, count: int) -> Int64[Tensor, " count"]:
        """Return the class asked for in each of `count` samples of `generate`."""


class LabelledImages(NamedTuple):
    """Images as a classifier reads them, with their classes.

    Args:
        images: flattened images, pixels from 0 to 1.
        labels: class of each image.
    """

    images: Float[Tensor, "count size"]
    labels: Int64[Tensor, " count"]


@runtime_checkable
class GameWithClassifier(Protocol):
    """A game whose x classifies images, as `Capability.CLASSIFIER` promises.

    Attributes:
        radius: largest change of a pixel.
    """

    radius: float

    def held_out(self) -> LabelledImages:
        """Return images that the players do not see."""

    def box(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the smallest and the largest allowed change of each pixel."""

    def classify(
        self, x: Float[Tensor, "runs dim_x"], images: Float[Tensor, "runs count size"]
    ) -> Float[Tensor, "runs count classes"]:
        """Return the logits of each run's classifier, for its own images."""


@runtime_checkable
class GameWithPlayers(Protocol):
    """A game of a user's function, whose players a function of theirs can measure."""

    def evaluate(
        self,
        z: Float[Tensor, "runs dim"],
        seeds: tuple[int, ...],
        function: Callable[..., Any],
        *arguments: Any,
    ) -> list[Any]:
        """Return what a function says of the players of each run."""


def with_players(game: Game) -> GameWithPlayers:
    """Return the game after checking that functions can measure its players.

    Raises:
        MisfitError: when they cannot.
    """
    if isinstance(game, GameWithPlayers):
        return game
    raise MisfitError(
        "A metric of a function needs a task of mmbench.game or mmbench.torch_task; "
        f"{type(game).__name__} is of another."
    )


def with_modes(game: Game) -> GameWithModes:
    """Return the game after checking that it has modes.

    Raises:
        MisfitError: when it has not.
    """
    if isinstance(game, GameWithModes):
        return game
    members = "modes, mode_weights, deviation and draw_real"
    raise _without(game, members, Capability.MODES)


def with_digits(game: Game) -> GameWithDigits:
    """Return the game after checking that it has digits.

    Raises:
        MisfitError: when it has not.
    """
    if isinstance(game, GameWithDigits):
        return game
    raise _without(game, "share_of_ones", Capability.DIGITS)


def with_classifier(game: Game) -> GameWithClassifier:
    """Return the game after checking that it has a classifier.

    Raises:
        MisfitError: when it has not.
    """
    if isinstance(game, GameWithClassifier):
        return game
    members = "radius, held_out, box and classify"
    raise _without(game, members, Capability.CLASSIFIER)


def with_classes(game: Game) -> GameWithClasses:
    """Return the game after checking that it generates images of chosen classes.

    Raises:
        MisfitError: when it does not.
    """
    if isinstance(game, GameWithClasses):
        return game
    raise _without(game, "generated_classes", Capability.CLASSES)


def _without(game: Game, members: str, capability: Capability) -> MisfitError:
    """Return the error of a game that has not what its task promises."""
    return MisfitError(
        f"{type(game).__name__} must have {members}, since its task gives "
        f"Capability.{capability.name}; it does not."
    )
