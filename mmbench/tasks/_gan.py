"""The GAN game: the networks of a generator x and of a discriminator y."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from mmbench.core.game import Game
from mmbench.core.placement import Placement
from mmbench.core.streams import generator
from mmbench.core.vectors import aligned_size
from mmbench.tasks._layers import Initialisation
from mmbench.tasks._networks import Network
from mmbench.tasks.base import Task, clip_y

Loss = Literal["saturating", "nonsaturating", "wasserstein"]

# The number of noise vectors that batch statistics are taken from when a generator is
# evaluated, and of the images that are made at once.
POPULATION = 1024


class Regulariser(NamedTuple):
    """Constraints and penalties on the discriminator, beyond its loss.

    Args:
        l2: λ of λ Σ y² (no ½), subtracted from f.
        penalty: λ of λ E (‖∂D(s)/∂s‖ − 1)² at points s between real and generated ones,
            subtracted from f.
        shared: whether the penalty is part of both players' loss; otherwise the
            generator's leaves it out and the game is not zero-sum.
        between: distribution of the share u of the real point in s = u real +
            (1 − u) fake: "uniform" on [0, 1], or standard "normal".
        clip: largest absolute entry of y; 0 leaves y free.

    Source: Gulrajani, Ahmed, Arjovsky, Dumoulin and Courville 2017, for the penalty.
    """

    l2: float = 0.0
    penalty: float = 0.0
    shared: bool = True
    between: Literal["uniform", "normal"] = "uniform"
    clip: float = 0.0


class Batch(NamedTuple):
    """One minibatch, with a leading `runs` axis (`count` before runs are stacked).

    Args:
        real: real points as they are stored, shape (runs, batch, ...).
        noise: inputs of the generator, shape (runs, batch, noise_size).
        real_masks: dropout masks for real points, shape (runs, batch, mask_width).
        fake_masks: dropout masks for generated points, of the same shape.
        shares: shares of the real points in the mixtures of the penalty, shape (runs,
            batch), or (runs, 0) without a penalty.
        vectors: singular vectors for the discriminator's spectral normalisation, shape
            (runs, length) each; empty without it.
    """

    real: Tensor
    noise: Tensor
    real_masks: Tensor
    fake_masks: Tensor
    shares: Tensor
    vectors: tuple[Tensor, ...] = ()


class GANGame(Game):
    """A GAN, in which a generator plays against a discriminator.

    With logits D(s), the discriminator minimises the cross-entropy

        loss_y = E softplus(−D(real)) + E softplus(D(fake)) = −f

    and the generator minimises f ("saturating"), or E softplus(−D(fake))
    ("nonsaturating"). With "wasserstein", f = E D(real) − E D(fake).

    A subclass defines how real data are drawn (`draw_real`) and, where minibatches
    store them in another form, what the discriminator reads (`unpack`).

    Args:
        generator: network from noise of shape (noise_size,) to samples.
        discriminator: network from samples to one logit.
        loss: losses of the players, as above.
        batch_size: real points in a minibatch, and as many generated ones.
        regulariser: constraints and penalties on the discriminator.
        placement: device and dtype of the tensors.

    Source: Goodfellow et al. 2014; Arjovsky, Chintala and Bottou 2017, for
        "wasserstein".
    """

    def __init__(
        self,
        generator: Network,
        discriminator: Network,
        loss: Loss,
        batch_size: int,
        regulariser: Regulariser,
        placement: Placement,
    ) -> None:
        self.generator, self.discriminator = generator, discriminator
        self.loss, self.batch_size, self.regulariser = loss, batch_size, regulariser
        self.zero_sum = is_zero_sum(loss, regulariser)
        self.dim_x, self.dim_y = generator.layout.size, discriminator.layout.size
        self.device, self.dtype = placement.device, placement.dtype
        self.noise_size = generator.input_shape[0]
        masks = 2 * discriminator.mask_width
        # The 16 allows for the numbers that real points are drawn with.
        self.sample_size = batch_size * (self.noise_size + masks + 16)
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

    def draw(self, generator: torch.Generator, count: int) -> Batch:
        """Draw `count` consecutive minibatches of one run, on the CPU."""
        real = self.draw_real(generator, count)
        shape = (count, self.batch_size)
        noise = torch.randn(*shape, self.noise_size, generator=generator)
        real_masks, fake_masks = (self._masks(generator, shape) for _ in range(2))
        shares = self._shares(generator, shape)
        return Batch(real, noise.to(self.dtype), real_masks, fake_masks, shares)

    def _masks(self, generator: torch.Generator, shape: tuple[int, int]) -> Tensor:
        """Draw dropout masks: 0, or the inverse of the share of units that stay."""
        width, dropped = self.discriminator.mask_width, self.discriminator.dropout
        drawn = torch.rand(*shape, width, generator=generator)
        return drawn.ge_(dropped).mul_(1 / (1 - dropped)).to(self.dtype)

    def _shares(self, generator: torch.Generator, shape: tuple[int, int]) -> Tensor:
        """Draw the shares of the real points in the mixtures of the penalty."""
        if not self.regulariser.penalty:
            return torch.zeros(shape[0], 0, dtype=self.dtype)
        uniform = self.regulariser.between == "uniform"
        draw = torch.rand if uniform else torch.randn
        return draw(*shape, generator=generator).to(self.dtype)

    # ---- memory of spectral normalisation ----

    def memory(self, z: Float[Tensor, "runs dim"]) -> tuple[Tensor, ...]:
        """Return singular vectors of the discriminator's weights, shape (runs, length).

        There are none where the discriminator does not divide its weights by norms.
        """
        return self.discriminator.first_vectors(z[:, self.dim_x :])

    def advance(
        self, z: Float[Tensor, "runs dim"], memory: tuple[Tensor, ...]
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
        fake = self.generator(x, sample.noise)
        real = self.unpack(sample.real)
        # Two calls, so that a gradient of the generator touches the fake half only.
        on_fake = self._judge(y, fake, sample, sample.fake_masks if dropout else None)
        on_real = self._judge(y, real, sample, sample.real_masks if dropout else None)
        if self.loss == "wasserstein":
            f = on_real.mean(1) - on_fake.mean(1)
        else:
            f = -softplus(-on_real).mean(1) - softplus(on_fake).mean(1)
        if self.regulariser.l2:
            f = f - self.regulariser.l2 * (y * y).sum(1)
        loss_y = -f
        if self.regulariser.penalty:
            near = fake if self.regulariser.shared else fake.detach()
            penalty = self.regulariser.penalty * self._steepness(y, real, near, sample)
            loss_y = loss_y + penalty
            f = f - penalty if self.regulariser.shared else f
        if self.loss == "nonsaturating":
            return softplus(-on_fake).mean(1), loss_y
        return f, loss_y

    def _judge(
        self,
        y: Float[Tensor, "runs dim_y"],
        points: Float[Tensor, "runs batch *point"],
        sample: Batch,
        masks: Float[Tensor, "runs batch units"] | None,
    ) -> Float[Tensor, "runs batch"]:
        """Compute the discriminator's logits; without masks, dropout is off."""
        logits = self.discriminator(y, points, masks, vectors=sample.vectors)
        return logits[:, :, 0]

    def _steepness(
        self, y: Tensor, real: Tensor, fake: Tensor, sample: Batch
    ) -> Float[Tensor, " runs"]:
        """Return the mean of (‖∂D(s)/∂s‖ − 1)² over points between real and fake."""
        share = sample.shares.view(*sample.shares.shape, *[1] * (real.ndim - 2))
        with torch.enable_grad():  # also where only the loss's value is asked for
            between = share * real + (1 - share) * fake
            if not between.requires_grad:
                between = between.requires_grad_()
            logits = self._judge(y, between, sample, None)
            slope = torch.autograd.grad(logits.sum(), between, create_graph=True)[0]
            # 1e-12 as in the authors' code: the root has no derivative at zero.
            length = (slope.flatten(2).square().sum(2) + 1e-12).sqrt()
            return (length - 1).square().mean(1)

    def project(self, z: Float[Tensor, "runs dim"]) -> Float[Tensor, "runs dim"]:
        """Clip the entries of y to the largest absolute value allowed."""
        return clip_y(z, self.dim_x, self.regulariser.clip)

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
        size = POPULATION if self._in_parts else count
        return torch.cat(list(self._parts(z, count, seeds, size)), dim=1)

    def generate_parts(
        self, z: Float[Tensor, "runs dim"], count: int, seeds: tuple[int, ...]
    ) -> Iterator[Float[Tensor, "runs _ *point"]]:
        """Yield samples as `generate` returns them, `POPULATION` at a time."""
        yield from self._parts(z, count, seeds, POPULATION)

    def _parts(
        self,
        z: Float[Tensor, "runs dim"],
        count: int,
        seeds: tuple[int, ...],
        size: int,
    ) -> Iterator[Float[Tensor, "runs _ *point"]]:
        """Yield samples in parts of a size."""
        x = z[:, : self.dim_x]
        drawn = max(count, POPULATION) if self._in_parts else count
        noise = self._evaluation_noise(drawn, seeds)
        with torch.no_grad():
            moments = self.generator.moments(x, noise[:, :POPULATION])
        for part in noise[:, :count].split(size, dim=1):
            with torch.no_grad():  # not around the yield, where others compute
                made = self.generator(x, part, moments=moments)
            yield made

    def _evaluation_noise(
        self, count: int, seeds: tuple[int, ...]
    ) -> Float[Tensor, "runs count noise"]:
        """Return the noise of an evaluation, which depends on the seeds alone."""
        if self._noise_key != (count, seeds):
            # torch draws the last 16 numbers again where 16 does not divide the length.
            shape = (aligned_size(count), self.noise_size)
            drawn = [
                torch.randn(shape, generator=generator(seed, "evaluation"))[:count]
                for seed in seeds
            ]
            self._noise = torch.stack(drawn).to(self.device, self.dtype)
            self._noise_key = (count, seeds)
        return self._noise

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
        empty: Any = torch.zeros(0)
        sample = Batch(empty, empty, empty, empty, empty, self.memory(z))
        with torch.no_grad():
            parts = [
                self._judge(y, part, sample, None)
                for part in points.split(POPULATION, dim=1)
            ]
        return torch.cat(parts, dim=1)


class GANTask(Task):
    """A task of a GAN; it adds no fields to the description."""

    @property
    @abstractmethod
    def initialisation(self) -> Initialisation:
        """The distribution of the initial parameters of both networks."""

    def start(self, game: Game, generator: torch.Generator) -> Float[Tensor, " dim"]:
        """Draw the initial parameters of both networks for one run, on the CPU."""
        assert isinstance(game, GANGame)
        return game.start(self.initialisation, generator)


def is_zero_sum(loss: Loss, regulariser: Regulariser) -> bool:
    """Return whether the players' losses add up to zero."""
    unshared = regulariser.penalty > 0 and not regulariser.shared
    return loss != "nonsaturating" and not unshared
