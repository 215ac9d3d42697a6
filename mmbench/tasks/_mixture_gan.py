"""The GAN on a mixture of narrow Gaussians in the plane, whatever its modes."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.placement import Placement
from mmbench.tasks._gan import GANGame, GANTask
from mmbench.tasks._layers import Initialisation
from mmbench.tasks._networks import mlp
from mmbench.tasks._regularisers import Regulariser, clipping


class Mixture(NamedTuple):
    """A mixture of Gaussians in the plane.

    Args:
        modes: mean of each Gaussian, shape (modes, 2), on the CPU.
        weights: share of the data of each, shape (modes,), on the CPU.
        deviation: standard deviation of each Gaussian along each axis.
    """

    modes: Float[Tensor, "modes 2"]
    weights: Float[Tensor, " modes"]
    deviation: float


class MixtureTask(GANTask):
    """A task of a GAN of perceptrons on a mixture of Gaussians in the plane.

    It adds no fields to the description; subclasses declare the fields named here.

    Attributes:
        hidden: width of each of the two hidden layers of both players.
        noise: length of the generator's input.
        clip: largest absolute weight of the discriminator; 0 leaves it free.
        gain: factor of the orthogonal initial weights.
    """

    hidden: int
    noise: int
    clip: float
    gain: float

    @property
    def mixture(self) -> Mixture:
        """The distribution of the data."""
        raise NotImplementedError

    @property
    def gives(self) -> frozenset[Capability]:
        """The capabilities of the game beyond its losses."""
        return super().gives | {Capability.MODES}

    @property
    def all_regularisers(self) -> Iterator[Regulariser]:
        """The regularisers, and the bound on the discriminator's weights."""
        yield from clipping(self.clip)
        yield from self.regularisers

    @property
    def metrics(self) -> tuple[str, ...]:
        """The specs of the metrics measured when none are chosen."""
        return ("mode_coverage", "sliced_wasserstein", "forgetting[of=modes]")

    @property
    def width(self) -> int:
        """The number of runs computed side by side on a CPU."""
        return 8 if self.hidden >= 128 else 16

    def build(self, placement: Placement) -> "MixtureGame":
        """Build the game."""
        return MixtureGame(self, placement)

    @property
    def initialisation(self) -> Initialisation:
        """Orthogonal weights times the gain, and zero biases."""
        return Initialisation(linear="orthogonal", bias="zero", gain=self.gain)


class MixtureGame(GANGame):
    """The GAN on points of the plane.

    Attributes:
        modes: mean of each Gaussian, shape (modes, 2), on the CPU.
        mode_weights: share of the data of each, shape (modes,), on the CPU.
        deviation: standard deviation of each Gaussian along each axis.

    Args:
        task: description of the game.
        placement: device and dtype of the tensors.
    """

    def __init__(self, task: MixtureTask, placement: Placement) -> None:
        super().__init__(
            mlp((task.noise, task.hidden, task.hidden, 2)),
            mlp((2, task.hidden, task.hidden, 1)),
            task.loss,
            task.batch,
            task.all_regularisers,
            placement,
        )
        self.modes, self.mode_weights, self.deviation = task.mixture

    def draw_real(
        self, generator: torch.Generator, count: int
    ) -> Float[Tensor, "count batch 2"]:
        """Draw minibatches of real points of one run, on the CPU."""
        total = count * self.batch_size
        which = torch.multinomial(
            self.mode_weights, total, replacement=True, generator=generator
        )
        noise = torch.randn(total, 2, generator=generator)
        points = self.modes[which] + self.deviation * noise
        return points.view(count, self.batch_size, 2).to(self.dtype)

    def sheet(
        self, z: Float[Tensor, "runs dim"], seeds: tuple[int, ...]
    ) -> Float[Tensor, "runs 512 2"]:
        """Return 512 points of each run for a scatter plot."""
        return self.generate(z, 512, seeds)
