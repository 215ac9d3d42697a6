"""GANs of a user's two modules: a generator G is x, a discriminator D is y."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.description import Description
from mmbench.core.errors import DescriptionError
from mmbench.core.placement import Placement
from mmbench.core.printable import shorten
from mmbench.core.streams import generator
from mmbench.tasks._gan_losses import NAMED, Loss
from mmbench.tasks._image_gan import SHEET_IMAGES
from mmbench.tasks._own import POPULATION, OwnGame, OwnTask, Recipe
from mmbench.tasks._own_data import unwrap

SHEET_POINTS = 512
_KIND_OF_IMAGE = {
    (1, 8, 8): Capability.GREY_8,
    (1, 28, 28): Capability.GREY_28,
    (3, 32, 32): Capability.COLOUR_32,
}


class LossOfModules(NamedTuple):
    """The function of a game in which two modules have a loss of mmbench.

    Args:
        loss: the loss; it reads the discriminator's outputs alone.
    """

    loss: Loss

    def __call__(self, G: Any, D: Any, real: Any, noise: Any) -> Any:
        """Return f, or the losses of both players, of one run."""
        points = real[0] if isinstance(real, tuple) else real
        on_fake = self._judged(D(sampled(G, noise)))
        on_real = self._judged(D(points))
        f = self.loss.payoff(on_real, on_fake)[0]
        if self.loss.is_zero_sum:
            return f
        return self.loss.generator_loss(on_real, on_fake, ())[0], -f

    def _judged(self, outputs: Tensor) -> Tensor:
        """Return outputs of a minibatch as losses take them, for one run."""
        columns = outputs.reshape(1, len(outputs), -1)
        if columns.shape[2] != self.loss.outputs:
            raise DescriptionError(
                f"D must give {self.loss.outputs} number for each point with this "
                f"loss; got {columns.shape[2]}."
            )
        return columns[:, :, 0] if self.loss.outputs == 1 else columns


def named_loss(loss: Loss | str) -> LossOfModules:
    """Return the function of a game with a loss of mmbench.

    Raises:
        DescriptionError: when the loss reads more than the discriminator's outputs.
    """
    chosen = NAMED[loss] if isinstance(loss, str) else loss
    if chosen.reads_features:
        raise DescriptionError(
            "loss must read the outputs of D alone, since a module's features are not "
            f"known; got {chosen}. Write a function (G, D, real, noise) instead."
        )
    return LossOfModules(chosen)


def sampled(G: Any, noise: Any) -> Tensor:
    """Return samples of a generator; noise of several tensors is several arguments."""
    made = G(*noise) if isinstance(noise, tuple) else G(noise)
    if not isinstance(made, Tensor):
        raise DescriptionError(f"G must return a tensor; got {shorten(made)}.")
    return made


class Normal(NamedTuple):
    """Standard normal noise of a shape.

    Args:
        shape: shape of the noise of one point.
    """

    shape: tuple[int, ...]

    def __call__(self, generator: torch.Generator, count: int) -> Tensor:
        """Draw the noise of some points."""
        return torch.randn(count, *self.shape, generator=generator)


class OwnGAN(OwnGame):
    """A GAN of two modules; its sources are real points and noise."""

    def __init__(
        self, recipe: Recipe, placement: Placement, name: str, width: int
    ) -> None:
        super().__init__(recipe, placement, name, width)
        self.dataset = recipe.dataset
        real = recipe.sources[0].points
        if real is not None:
            self.image_shape = image_shape(tuple(real.tensors[0].shape[1:]))
        if recipe.modes is not None:
            means, self.deviation = recipe.modes
            self.modes = means
            self.mode_weights = torch.full((len(means),), 1 / len(means))

    def generate(
        self, z: Float[Tensor, "runs dim"], count: int, seeds: tuple[int, ...]
    ) -> Tensor:
        """Return samples of the generator in evaluation mode."""
        return torch.cat(list(self.generate_parts(z, count, seeds)), dim=1)

    def generate_parts(
        self, z: Float[Tensor, "runs dim"], count: int, seeds: tuple[int, ...]
    ) -> Iterator[Tensor]:
        """Yield samples as `generate` returns them, `POPULATION` at a time."""
        source, make = self._recipe.sources[1], self._recipe.sampler or sampled
        drawn = [
            source.draws(generator(seed, "evaluation"), count, self.dtype)
            for seed in seeds
        ]
        noise = [torch.stack(each).to(self.device) for each in zip(*drawn, strict=True)]

        def samples(G: Any, _: Any, *noise: Tensor) -> Tensor:
            return make(G, unwrap(noise))

        for first in range(0, count, POPULATION):
            part = [one[:, first : first + POPULATION] for one in noise]
            yield torch.stack(self.evaluate(z, seeds, samples, *part))

    def logits(
        self, z: Float[Tensor, "runs dim"], images: Tensor
    ) -> Float[Tensor, "runs count"]:
        """Return the discriminator's outputs in evaluation mode."""
        points = images.to(self.device, self.dtype).expand(len(z), *images.shape[1:])

        def judged(_: Any, D: Any, points: Tensor) -> Tensor:
            outputs: Tensor = D(points)
            return outputs.reshape(len(points))

        return torch.stack(self.evaluate(z, (0,) * len(z), judged, points))

    def draw_real(self, generator: torch.Generator, count: int) -> Tensor:
        """Draw minibatches of real points, shape (count, batch, ...), on the CPU."""
        source = self._recipe.sources[0]
        drawn = source.sample(generator, count, self.dtype)
        points = source.look_up(drawn, count, torch.device("cpu"), self.dtype)
        return points[0] if isinstance(points, tuple) else points

    def real(self, split: str) -> tuple[Tensor, Tensor]:
        """Return the images as bytes, and their classes; there are none of "test"."""
        points = self._recipe.sources[0].points
        if points is None:
            return super().real(split)
        images, *labels = points.tensors
        found = labels[0] if labels else torch.zeros(len(images))
        pixels = images.float().clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)
        count = len(images) if split == "train" else 0
        return pixels.reshape(-1, *self.image_shape)[:count], found[:count].long()

    def sheet(
        self, z: Float[Tensor, "runs dim"], seeds: tuple[int, ...]
    ) -> Tensor | None:
        """Return a few samples of each run: points of the plane, or images."""
        is_image = all(self.image_shape)
        made = self.generate(z, SHEET_IMAGES if is_image else SHEET_POINTS, seeds)
        if not is_image:
            return made if made.ndim == 3 else None
        images = made.half().reshape(*made.shape[:2], *self.image_shape)
        return images[:, :, 0] if self.image_shape[0] == 1 else images.movedim(2, -1)


def image_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return channels, height and width of points that are images; else zeros."""
    if len(shape) == 2:
        return 1, *shape
    return shape if len(shape) == 3 and shape[0] in (1, 3) else (0, 0, 0)


@dataclass(frozen=True, kw_only=True)
class OwnGANTask(OwnTask):
    """A task of a GAN of two modules.

    Attributes:
        has_logit: whether the discriminator gives one number for each point.
        images: channels, height and width of images; zeros for other points.
    """

    game_class: ClassVar[type[OwnGame]] = OwnGAN
    has_logit: ClassVar[bool] = False
    images: ClassVar[tuple[int, int, int]] = (0, 0, 0)

    @property
    def gives(self) -> frozenset[Capability]:
        """The capabilities of the game beyond its losses."""
        given = {Capability.SAMPLES}
        given |= {Capability.LOGITS} if self.has_logit else set()
        given |= {Capability.MODES} if self.recipe.modes else set()
        if all(self.images):
            given |= {Capability.IMAGES}
            given |= {_KIND_OF_IMAGE.get(self.images, Capability.IMAGES)}
        return super().gives | given

    @property
    def metrics(self) -> tuple[str | Description, ...]:
        """The metrics measured when none are chosen."""
        if self.own_metrics or not self.recipe.modes:
            return super().metrics
        return ("mode_coverage", "sliced_wasserstein")
