"""The GAN game: the networks of a generator x and of a discriminator y."""

import math
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.errors import DescriptionError
from mmbench.core.game import Game
from mmbench.core.placement import Placement
from mmbench.core.streams import generator
from mmbench.core.vectors import aligned_size
from mmbench.tasks._gan_losses import GANLoss, loss_of
from mmbench.tasks._layers import Initialisation, Moments
from mmbench.tasks._networks import Network
from mmbench.tasks._regularisers import Judgement, Regulariser, Regularisers
from mmbench.tasks.base import Task

# The number of noise vectors that batch statistics are taken from when a generator is
# evaluated, and of the images that are made at once.
POPULATION = 1024
IMAGES_ON_CPU = 64  # that a network with convolutions makes at once there


class Batch(NamedTuple):
    """One minibatch, with a leading `runs` axis (`count` before runs are stacked).

    Args:
        real: real points as they are stored, shape (runs, batch, ...).
        noise: inputs of the generator, shape (runs, batch, noise_size).
        real_masks: dropout masks for real points, shape (runs, batch, mask_width).
        fake_masks: dropout masks for generated points, of the same shape.
        drawn: random numbers of the loss, and of each regulariser in turn.
        vectors: singular vectors for the discriminator's spectral normalisation, shape
            (runs, length) each; empty without it.
    """

    real: Tensor
    noise: Tensor
    real_masks: Tensor
    fake_masks: Tensor
    drawn: tuple[tuple[Tensor, ...], ...] = ()
    vectors: tuple[Tensor, ...] = ()


class GANGame(Game):
    """A GAN, in which a generator plays against a discriminator.

    The discriminator maximises f, the payoff of the loss less the penalties of the
    regularisers. The generator minimises f, or the loss's own generator loss.

    A subclass defines how real data are drawn (`draw_real`) and, where minibatches
    store them in another form, what the discriminator reads (`unpack`).

    Args:
        generator: network from noise of shape (noise_size,) to samples.
        discriminator: network from samples to one logit; its last layer is widened for
            losses that need more outputs.
        loss: losses of the players.
        batch_size: real points in a minibatch, and as many generated ones.
        regularisers: penalties and constraints on the discriminator.
        placement: device and dtype of the tensors.

    Source: Goodfellow et al. 2014.
    """

    def __init__(
        self,
        generator: Network,
        discriminator: Network,
        loss: GANLoss,
        batch_size: int,
        regularisers: Iterable[Regulariser],
        placement: Placement,
    ) -> None:
        self.loss, self.batch_size = loss_of(loss), batch_size
        self.regularisers = tuple(regularisers)
        if self.loss.outputs != 1:
            discriminator = discriminator.with_outputs(self.loss.outputs)
        for regulariser in self.regularisers:
            discriminator = regulariser.network(discriminator)
        self.generator, self.discriminator = generator, discriminator
        self.zero_sum = is_zero_sum(loss, self.regularisers)
        self.dim_x, self.dim_y = generator.layout.size, discriminator.layout.size
        self.device, self.dtype = placement.device, placement.dtype
        self.noise_size = generator.input_shape[0]
        masks = 2 * discriminator.mask_width
        # The 16 allows for the numbers that real points are drawn with.
        self.sample_size = batch_size * (self.noise_size + masks + 16)
        self.sample_size += self.loss.numbers(discriminator.features)
        entries = batch_size * math.prod(generator.output_shape)
        self.sample_size += sum(one.numbers(entries) for one in self.regularisers)
        # Images are large, and batch statistics need a population; other samples are
        # made all at once.
        self._in_parts = generator.has_batch_norm or len(generator.output_shape) > 1
        # The count and the seeds that the noise of the last evaluation was drawn for.
        self._noise_key: tuple[int, tuple[int, ...]] | None = None
        self._noise: Tensor

    def start(
        self, initialisation: Initialisation, generator: torch.Generator
    ) -> Float[Tensor, " dim"]:
        """Draw the initial parameters of both networks for one run, on the CPU.

        Args:
            initialisation: distribution of the parameters.
            generator: random generator of the run.
        """
        players = (self.generator, self.discriminator)
        parts = [player.start(initialisation, generator) for player in players]
        return torch.cat(parts).to(self.dtype)

    # ---- minibatches ----

    @abstractmethod
    def draw_real(self, generator: torch.Generator, count: int) -> Tensor:
        """Draw minibatches of real points of one run, on the CPU.

        Args:
            generator: random generator of the run.
            count: number of minibatches.

        Returns:
            Shape (count, batch, ...).
        """

    def unpack(self, real: Tensor) -> Float[Tensor, "runs batch *point"]:
        """Return the discriminator's inputs for real points as they are stored."""
        return real

    def conditioned(
        self, inputs: Float[Tensor, "runs batch *input"], sample: Batch
    ) -> Float[Tensor, "runs batch *conditioned"]:
        """Return a network's inputs with what it is told about the minibatch's points.

        Here that is nothing. Regularisers change and penalise the inputs without it.

        Args:
            inputs: noise for the generator, or points for the discriminator.
            sample: minibatch.
        """
        return inputs

    def draw(self, generator: torch.Generator, count: int) -> Batch:
        """Draw `count` consecutive minibatches of one run, on the CPU."""
        real = self.draw_real(generator, count)
        shape = (count, self.batch_size)
        noise = torch.randn(*shape, self.noise_size, generator=generator)
        real_masks, fake_masks = (self._masks(generator, shape) for _ in range(2))
        features = self.discriminator.features
        points = (*shape, *self.generator.output_shape)
        drawn = [self.loss.draw(generator, count, features)]
        drawn += [one.draw(generator, points) for one in self.regularisers]
        drawn = [tuple(part.to(self.dtype) for part in parts) for parts in drawn]
        return Batch(real, noise.to(self.dtype), real_masks, fake_masks, tuple(drawn))

    def _masks(self, generator: torch.Generator, shape: tuple[int, int]) -> Tensor:
        """Draw dropout masks: 0, or the inverse of the share of units that stay."""
        width, dropped = self.discriminator.mask_width, self.discriminator.dropout
        if not width:
            return torch.empty(*shape, 0, dtype=self.dtype)
        drawn = torch.rand(*shape, width, generator=generator)
        return drawn.ge_(dropped).mul_(1 / (1 - dropped)).to(self.dtype)

    # ---- memory of spectral normalisation ----

    def memory(self, z: Float[Tensor, "runs dim"]) -> tuple[Tensor, ...]:
        """Return singular vectors of the discriminator's weights, shape (runs, length).

        There are none where the discriminator does not divide its weights by norms.
        """
        return self.discriminator.first_vectors(z[:, self.dim_x :])

    def advance(
        self, z: Float[Tensor, "runs dim"], memory: tuple[Tensor, ...], sample: Any
    ) -> tuple[Tensor, ...]:
        """Return the singular vectors after one power iteration with new weights."""
        return self.discriminator.power_iteration(z[:, self.dim_x :], memory)

    def recall(self, sample: Batch, memory: tuple[Tensor, ...]) -> Batch:
        """Return the minibatch with these singular vectors."""
        return sample._replace(vectors=memory)

    # ---- losses ----

    def losses(
        self,
        x: Float[Tensor, "runs dim_x"],
        y: Float[Tensor, "runs dim_y"],
        sample: Batch,
        *,
        train: bool = True,
    ) -> tuple[Float[Tensor, " runs"], Float[Tensor, " runs"]]:
        """Return the loss of the generator and that of the discriminator."""
        dropout = train and self.discriminator.mask_width > 0
        fake = self.generator(x, self.conditioned(sample.noise, sample))
        real = self.unpack(sample.real)
        of_loss, *of_each = sample.drawn
        regularisers = list(zip(self.regularisers, of_each, strict=True))
        for one, drawn in regularisers:
            real, fake = one.show(real, fake, drawn)
        # Two calls, so that a gradient of the generator touches the fake half only.
        on_fake = self._judge(y, fake, sample, sample.fake_masks if dropout else None)
        on_real = self._judge(y, real, sample, sample.real_masks if dropout else None)
        f = self.loss.payoff(on_real, on_fake)
        at = Judgement(y, real, fake, partial(self._penalised_logits, y, sample))
        unshared = []
        for one, drawn in regularisers:
            penalty = one.penalty(at, drawn)
            if penalty is not None and one.is_shared:
                f = f - penalty
            elif penalty is not None:
                unshared.append(penalty)
        loss_y = sum(unshared, -f)
        if self.loss.is_zero_sum:
            return f, loss_y
        return self.loss.generator_loss(on_real, on_fake, of_loss), loss_y

    def _judge(
        self,
        y: Float[Tensor, "runs dim_y"],
        points: Float[Tensor, "runs batch *point"],
        sample: Batch,
        masks: Float[Tensor, "runs batch units"] | None,
    ) -> Float[Tensor, "runs batch *columns"]:
        """Compute what the loss reads; without masks, dropout is off."""
        judged = self.discriminator(
            y,
            self.conditioned(points, sample),
            masks,
            vectors=sample.vectors,
            with_features=self.loss.reads_features,
        )
        return judged.flatten(1) if judged.shape[2] == 1 else judged

    def _penalised_logits(
        self,
        y: Float[Tensor, "runs dim_y"],
        sample: Batch,
        points: Float[Tensor, "runs batch *point"],
    ) -> Float[Tensor, "runs batch"]:
        """Compute the logits that regularisers penalise, without dropout."""
        return self._logits(y, self.conditioned(points, sample), sample.vectors)

    def _logits(
        self,
        y: Float[Tensor, "runs dim_y"],
        points: Float[Tensor, "runs batch *point"],
        vectors: tuple[Tensor, ...],
    ) -> Float[Tensor, "runs batch"]:
        """Compute the discriminator's logits without dropout."""
        return self.discriminator(y, points, vectors=vectors)[:, :, 0]

    def project(self, z: Float[Tensor, "runs dim"]) -> Float[Tensor, "runs dim"]:
        """Return the nearest point that the regularisers allow."""
        for regulariser in self.regularisers:
            z = regulariser.project(z, self.dim_x)
        return z

    # ---- evaluation of the players ----

    def generate(
        self, z: Float[Tensor, "runs dim"], count: int, seeds: tuple[int, ...]
    ) -> Float[Tensor, "runs count *point"]:
        """Return samples of the generator in evaluation mode.

        Batch normalisation uses the statistics of the first `POPULATION` noise vectors
        of the evaluation, so that a sample does not depend on how many are asked for.

        Args:
            z: iterates.
            count: number of samples of each run.
            seeds: seed of each run.
        """
        drawn = max(count, POPULATION) if self._in_parts else count
        size = POPULATION if self._in_parts else count
        noise = self._inputs(self._evaluation_noise(drawn, seeds), 0)
        parts = noise[:, :count].split(size, dim=1)
        return torch.cat(list(self._parts(z, noise[:, :POPULATION], parts)), dim=1)

    def generate_parts(
        self, z: Float[Tensor, "runs dim"], count: int, seeds: tuple[int, ...]
    ) -> Iterator[Float[Tensor, "runs _ *point"]]:
        """Yield samples as `generate` returns them, part by part.

        On a CPU parts are small, since the arrays of a network take much more memory
        than its images, and large ones save no time there. So does their noise, which
        is drawn part by part.
        """
        if self.device.type == "cpu":
            population = next(self._noise_parts(POPULATION, seeds, POPULATION))
            together = IMAGES_ON_CPU if self._in_parts else POPULATION
            parts = self._noise_parts(count, seeds, max(1, together // len(z)))
        else:
            noise = self._inputs(
                self._evaluation_noise(max(count, POPULATION), seeds), 0
            )
            population = noise[:, :POPULATION]
            parts = iter(noise[:, :count].split(POPULATION, dim=1))
        yield from self._parts(z, population, parts)

    def _parts(
        self,
        z: Float[Tensor, "runs dim"],
        population: Float[Tensor, "runs population inputs"],
        parts: Iterable[Float[Tensor, "runs _ inputs"]],
    ) -> Iterator[Float[Tensor, "runs _ *point"]]:
        """Yield the samples of each part of the generator's inputs.

        Args:
            z: iterates.
            population: inputs whose batch statistics all samples share.
            parts: the inputs.
        """
        x = z[:, : self.dim_x]
        with torch.no_grad():
            moments = self._moments(x, population)
        for part in parts:
            with torch.no_grad():  # not around the yield, where others compute
                made = self.generator(x, part, moments=moments)
            yield made

    def _moments(
        self, x: Float[Tensor, "runs dim_x"], noise: Float[Tensor, "runs count noise"]
    ) -> list[Moments]:
        """Return the statistics of the generator's layers; on a CPU, run by run."""
        size = 1 if self.device.type == "cpu" else len(x)
        pairs = zip(x.split(size), noise.split(size), strict=True)
        made = [self.generator.moments(*pair) for pair in pairs]
        return [
            Moments(*(torch.cat(each) for each in zip(*layer, strict=True)))
            for layer in zip(*made, strict=True)
        ]

    def _evaluation_noise(
        self, count: int, seeds: tuple[int, ...]
    ) -> Float[Tensor, "runs count noise"]:
        """Return the noise of an evaluation, which depends on the seeds alone."""
        if self._noise_key != (count, seeds):
            # torch draws the last 16 numbers again where 16 does not divide the length.
            shape = (aligned_size(count), self.noise_size)
            self._noise_key = None
            self._noise = torch.empty(
                (len(seeds), count, self.noise_size),
                device=self.device,
                dtype=self.dtype,
            )
            for row, seed in zip(self._noise, seeds, strict=True):
                random = generator(seed, "evaluation")
                row.copy_(torch.randn(shape, generator=random)[:count])
            self._noise_key = (count, seeds)
        return self._noise

    def _noise_parts(
        self, count: int, seeds: tuple[int, ...], size: int
    ) -> Iterator[Float[Tensor, "runs _ inputs"]]:
        """Yield the generator's inputs of an evaluation, of which none is kept.

        The noise has the numbers of `_evaluation_noise`, on a CPU.

        Args:
            count: number of inputs of each run.
            seeds: seed of each run.
            size: number of inputs of each run in a part.
        """
        streams = [generator(seed, "evaluation") for seed in seeds]
        held = torch.empty((len(seeds), 0, self.noise_size), dtype=self.dtype)
        for first in range(0, count, size):
            wanted = min(size, count - first)
            # What torch draws at once and in parts is equal where 16 divides the parts.
            shape = aligned_size(max(0, wanted - held.shape[1])), self.noise_size
            drawn = [torch.randn(shape, generator=one) for one in streams]
            held = torch.cat((held, torch.stack(drawn).to(self.dtype)), dim=1)
            yield self._inputs(held[:, :wanted], first)
            held = held[:, wanted:]

    def _inputs(
        self, noise: Float[Tensor, "runs count noise"], first: int
    ) -> Float[Tensor, "runs count inputs"]:
        """Return the generator's inputs of an evaluation: the noise.

        Args:
            noise: the noise of consecutive samples.
            first: number of samples before them.
        """
        return noise

    def logits(
        self, z: Float[Tensor, "runs dim"], images: Tensor
    ) -> Float[Tensor, "runs count"]:
        """Return the discriminator's logits in evaluation mode.

        Args:
            z: iterates.
            images: points as the discriminator reads them, flattened or not, shape
                (runs, count, ...), or (1, count, ...) for the same points in all runs.
        """
        y = z[:, self.dim_x :]
        shape = (*images.shape[:2], *self.discriminator.input_shape)
        points = images.to(self.device, self.dtype).reshape(shape)
        points = points.expand(len(z), *shape[1:])
        vectors = self.memory(z)
        with torch.no_grad():
            parts = [
                self._logits(y, part, vectors)
                for part in points.split(POPULATION, dim=1)
            ]
        return torch.cat(parts, dim=1)


class GANTask(Task):
    """A task of a GAN.

    It adds no fields to the description; subclasses declare the fields named here.

    Attributes:
        loss: losses of the players.
        batch: real points in a minibatch, and as many generated ones.
        regularisers: penalties and constraints on the discriminator.
    """

    loss: GANLoss
    batch: int
    regularisers: Regularisers

    @property
    def all_regularisers(self) -> Iterator[Regulariser]:
        """The regularisers, and those that other fields of the task stand for."""
        yield from self.regularisers

    @property
    def gives(self) -> frozenset[Capability]:
        """The capabilities of the game beyond its losses."""
        given = {Capability.SAMPLES}
        if is_zero_sum(self.loss, self.all_regularisers):
            given.add(Capability.ZERO_SUM)
        if loss_of(self.loss).outputs == 1:
            given.add(Capability.LOGITS)
        return frozenset(given)

    def check(self) -> None:
        """Raise `DescriptionError` when the loss does not fit the other fields."""
        loss, name = loss_of(self.loss), type(self).__name__
        if self.batch < loss.fewest:
            raise DescriptionError(
                f"{name}.batch must be at least {loss.fewest} with {loss}; got "
                f"{self.batch}."
            )
        unfit = next((one for one in self.all_regularisers if one.needs_logit), None)
        if loss.outputs != 1 and unfit:
            raise DescriptionError(
                f"{name}.loss must have one output with {unfit}; got {loss}."
            )

    @property
    @abstractmethod
    def initialisation(self) -> Initialisation:
        """The distribution of the initial parameters of both networks."""

    def start(self, game: Game, generator: torch.Generator) -> Float[Tensor, " dim"]:
        """Draw the initial parameters of both networks for one run, on the CPU."""
        assert isinstance(game, GANGame)
        return game.start(self.initialisation, generator)


def is_zero_sum(loss: GANLoss, regularisers: Iterable[Regulariser]) -> bool:
    """Return whether the players' losses add up to zero."""
    return loss_of(loss).is_zero_sum and all(one.is_shared for one in regularisers)
