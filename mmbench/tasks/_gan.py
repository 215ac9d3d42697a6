"""The GAN game: two networks on one flat vector, generator x, discriminator y."""

from abc import abstractmethod
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from mmbench.core.game import Game
from mmbench.core.placement import Placement
from mmbench.core.streams import generator
from mmbench.core.vectors import aligned_size
from mmbench.tasks._layers import Moments
from mmbench.tasks._networks import MLP, Network

Loss = Literal["saturating", "nonsaturating", "wasserstein"]

# Noise vectors whose batch statistics stand for those of all noise, when a generator
# with batch normalisation is judged; and how many samples are made at once.
POPULATION = 1024


class Regulariser(NamedTuple):
    """What keeps the discriminator in bounds, beyond its loss.

    Args:
        l2: λ of λ Σ y² (no ½), subtracted from f.
        penalty: λ of λ E (‖∂D(s)/∂s‖ − 1)² at points s between real and generated ones,
            subtracted from f.
        shared: whether the penalty is part of both players' loss; otherwise the
            generator's leaves it out and the game is not zero-sum.
        between: law of the share u of the real point in s = u real + (1 − u) fake:
            "uniform" on [0, 1], or "normal".
        clip: largest absolute entry of y; 0 leaves y free.
    """

    l2: float = 0.0
    penalty: float = 0.0
    shared: bool = True
    between: Literal["uniform", "normal"] = "uniform"
    clip: float = 0.0


class Batch(NamedTuple):
    """A minibatch: data, noise, dropout masks of each, shares for a penalty.

    `vectors` are what the discriminator's spectral normalisation remembers.
    """

    real: Tensor
    noise: Tensor
    real_masks: Tensor
    fake_masks: Tensor
    shares: Tensor
    vectors: tuple[Tensor, ...] = ()


class GANGame(Game):
    """Generator against discriminator.

    With logits D(s), the discriminator minimises the cross-entropy

        loss_y = E softplus(−D(real)) + E softplus(D(fake)) = −f

    and the generator minimises f ("saturating"), or E softplus(−D(fake))
    ("nonsaturating"). With "wasserstein", f = E D(real) − E D(fake).

    A subclass says how real data are drawn (`draw_real`) and, if they travel in another
    form than the network's, how to unpack them (`unpack`).

    Args:
        generator: noise to samples.
        discriminator: samples to one logit.
        loss: as above.
        batch_size: real points in a minibatch, and as many generated ones.
        regulariser: of the discriminator.
        placement: where tensors live.
    """

    def __init__(
        self,
        generator: MLP | Network,
        discriminator: MLP | Network,
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
        # 16 leaves room for the real points' own numbers
        self.sample_size = batch_size * (self.noise_size + masks + 16)
        # Evaluation noise, and the count and seeds that it was drawn for.
        self._asked: tuple[int, tuple[int, ...]] | None = None
        self._noise: Tensor

    @abstractmethod
    def draw_real(self, generator: torch.Generator, count: int) -> Tensor:
        """Draw `count` minibatches of real points of one run, (count, batch, ...)."""

    def unpack(self, real: Tensor) -> Float[Tensor, "runs batch *point"]:
        """Real points as the discriminator reads them."""
        return real

    # ---- minibatches ----

    def draw(self, generator: torch.Generator, count: int) -> Batch:
        """Draw `count` consecutive minibatches of one run, on the CPU."""
        real = self.draw_real(generator, count)
        shape = (count, self.batch_size)
        noise = torch.randn(*shape, self.noise_size, generator=generator)
        masks = [self._masks(generator, shape) for _ in range(2)]
        shares = self._shares(generator, shape)
        return Batch(real, noise.to(self.dtype), *masks, shares)

    def _masks(self, generator: torch.Generator, shape: tuple[int, int]) -> Tensor:
        """Dropout masks, zero or one over the share that stays."""
        width, dropped = self.discriminator.mask_width, self.discriminator.dropout
        drawn = torch.rand(*shape, width, generator=generator)
        return drawn.ge_(dropped).mul_(1 / (1 - dropped)).to(self.dtype)

    def _shares(self, generator: torch.Generator, shape: tuple[int, int]) -> Tensor:
        """Shares of the real points in the mixtures that a penalty looks at."""
        if not self.regulariser.penalty:
            return torch.zeros(shape[0], 0, dtype=self.dtype)
        uniform = self.regulariser.between == "uniform"
        function = torch.rand if uniform else torch.randn
        return function(*shape, generator=generator).to(self.dtype)

    # ---- spectral normalisation remembers ----

    def memory(self, z: Tensor) -> tuple[Tensor, ...]:
        """Singular vectors of the discriminator's weights, where it divides by them."""
        if isinstance(self.discriminator, MLP):
            return ()
        return self.discriminator.first_vectors(z[:, self.dim_x :])

    def advance(self, z: Tensor, memory: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The vectors after one power iteration with the new weights."""
        assert isinstance(self.discriminator, Network)
        return self.discriminator.power_iteration(z[:, self.dim_x :], memory)

    def recall(self, sample: Batch, memory: tuple[Tensor, ...]) -> Batch:
        """The minibatch with these vectors."""
        return sample._replace(vectors=memory)

    # ---- losses ----

    def losses(
        self, x: Tensor, y: Tensor, sample: Batch, *, train: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Generator's and discriminator's loss."""
        dropout = train and self.discriminator.mask_width > 0
        fake = self.generator(x, sample.noise)
        real = self.unpack(sample.real)
        # Apart, so that a gradient of the generator touches the fake half only.
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
        self, y: Tensor, points: Tensor, sample: Batch, masks: Tensor | None
    ) -> Float[Tensor, "runs batch"]:
        if isinstance(self.discriminator, MLP):
            return self.discriminator(y, points, masks)[:, :, 0]
        vectors = sample.vectors
        return self.discriminator(y, points, masks, vectors=vectors)[:, :, 0]

    def _steepness(
        self, y: Tensor, real: Tensor, fake: Tensor, sample: Batch
    ) -> Float[Tensor, "runs"]:
        """Mean square of what the discriminator's slope differs from 1 by."""
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

    def project(self, z: Tensor) -> Tensor:
        """y within the clip."""
        clip = self.regulariser.clip
        if not clip:
            return z
        x, y = z[:, : self.dim_x], z[:, self.dim_x :]
        return torch.cat((x, y.clamp(-clip, clip)), dim=1)

    # ---- looking at the players ----

    def generate(self, z: Tensor, count: int, seeds: tuple[int, ...]) -> Tensor:
        """Generator samples, shape (runs, count, ...).

        Batch normalisation uses the statistics of the first `POPULATION` noise vectors
        of the evaluation, so that a sample does not depend on the others asked for.
        """
        x = z[:, : self.dim_x]
        with torch.no_grad():
            noise = self._evaluation_noise(max(count, self._least), seeds)
            if isinstance(self.generator, MLP):
                return self.generator(x, noise[:, :count])
            moments = self._population(x, noise[:, :POPULATION])
            parts = noise[:, :count].split(POPULATION, dim=1)
            made = [self.generator(x, part, moments=moments) for part in parts]
            return torch.cat(made, dim=1)

    @property
    def _least(self) -> int:
        """Noise vectors that any evaluation needs."""
        return 0 if isinstance(self.generator, MLP) else POPULATION

    def _population(self, x: Tensor, noise: Tensor) -> list[Moments]:
        assert isinstance(self.generator, Network)
        return self.generator.moments(x, noise)

    def _evaluation_noise(self, count: int, seeds: tuple[int, ...]) -> Tensor:
        if self._asked != (count, seeds):
            # torch draws the last numbers of a length that 16 does not divide anew
            shape = (aligned_size(count), self.noise_size)
            drawn = [
                torch.randn(shape, generator=generator(seed, "evaluation"))[:count]
                for seed in seeds
            ]
            self._noise = torch.stack(drawn).to(self.device, self.dtype)
            self._asked = (count, seeds)
        return self._noise

    def logits(self, z: Tensor, images: Tensor) -> Float[Tensor, "runs count"]:
        """The discriminator's logits in evaluation mode."""
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


def is_zero_sum(loss: Loss, regulariser: Regulariser) -> bool:
    """Whether both players share one loss."""
    alone = regulariser.penalty > 0 and not regulariser.shared
    return loss != "nonsaturating" and not alone
