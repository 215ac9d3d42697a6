"""The GAN game: two networks on one flat vector, generator x, discriminator y."""

from abc import abstractmethod
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from mmbench.core.game import Game
from mmbench.core.place import Place
from mmbench.core.streams import generator
from mmbench.tasks._networks import MLP

Loss = Literal["saturating", "nonsaturating", "wasserstein"]


class Batch(NamedTuple):
    """A minibatch: data, noise, and dropout masks of each."""

    real: Tensor
    noise: Tensor
    real_masks: Tensor
    fake_masks: Tensor


class GANGame(Game):
    """Generator against discriminator, both multilayer perceptrons.

    With logits D(s), the discriminator minimises the cross-entropy

        loss_y = E softplus(−D(real)) + E softplus(D(fake)) = −f

    and the generator minimises f ("saturating"), or E softplus(−D(fake))
    ("nonsaturating"). With "wasserstein", f = E D(real) − E D(fake) and the entries of
    y stay within ±clip by projection.

    A subclass says how real data are drawn (`draw_real`) and, if they travel in another
    form than the network's, how to unpack them (`unpack`).

    Args:
        generator: noise to samples.
        discriminator: samples to one logit.
        loss: as above.
        batch_size: real points in a minibatch, and as many generated ones.
        clip: largest absolute entry of y; 0 leaves y free.
        place: where tensors live.
    """

    def __init__(
        self,
        generator: MLP,
        discriminator: MLP,
        loss: Loss,
        batch_size: int,
        clip: float,
        place: Place,
    ) -> None:
        self.generator, self.discriminator = generator, discriminator
        self.loss, self.batch_size, self.clip = loss, batch_size, clip
        self.zero_sum = loss != "nonsaturating"
        self.dim_x, self.dim_y = generator.layout.size, discriminator.layout.size
        self.device, self.dtype = place.device, place.dtype
        self.noise_size = generator.widths[0]
        masks = 2 * discriminator.mask_width
        # 16 leaves room for the real points' own numbers
        self.sample_size = batch_size * (self.noise_size + masks + 16)
        # Evaluation noise, and the count and seeds that it was drawn for.
        self._asked: tuple[int, tuple[int, ...]] | None = None
        self._noise: Tensor

    @abstractmethod
    def draw_real(self, generator: torch.Generator, count: int) -> Tensor:
        """Draw `count` minibatches of real points of one run, (count, batch, ...)."""

    def unpack(self, real: Tensor) -> Float[Tensor, "runs batch features"]:
        """Real points as the discriminator reads them."""
        return real

    def draw(self, generator: torch.Generator, count: int) -> Batch:
        """Draw `count` consecutive minibatches of one run, on the CPU."""
        real = self.draw_real(generator, count)
        shape = (count, self.batch_size)
        noise = torch.randn(*shape, self.noise_size, generator=generator)
        masks = [self._masks(generator, shape) for _ in range(2)]
        return Batch(real, noise.to(self.dtype), *masks)

    def _masks(self, generator: torch.Generator, shape: tuple[int, int]) -> Tensor:
        """Dropout masks, zero or one over the share that stays."""
        width, dropped = self.discriminator.mask_width, self.discriminator.dropout
        drawn = torch.rand(*shape, width, generator=generator)
        return drawn.ge_(dropped).mul_(1 / (1 - dropped)).to(self.dtype)

    def losses(
        self, x: Tensor, y: Tensor, sample: Batch, *, train: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Generator's and discriminator's loss."""
        dropout = train and self.discriminator.mask_width > 0
        fake = self.generator(x, sample.noise)
        # Apart, so that a gradient of the generator touches the fake half only.
        on_fake = self._judge(y, fake, sample.fake_masks if dropout else None)
        on_real = self._judge(
            y, self.unpack(sample.real), sample.real_masks if dropout else None
        )
        if self.loss == "wasserstein":
            f = on_real.mean(1) - on_fake.mean(1)
            return f, -f
        f = -softplus(-on_real).mean(1) - softplus(on_fake).mean(1)
        if self.loss == "nonsaturating":
            return softplus(-on_fake).mean(1), -f
        return f, -f

    def _judge(
        self, y: Tensor, points: Tensor, masks: Tensor | None
    ) -> Float[Tensor, "runs batch"]:
        return self.discriminator(y, points, masks)[:, :, 0]

    def project(self, z: Tensor) -> Tensor:
        """y within the clip."""
        if not self.clip:
            return z
        x, y = z[:, : self.dim_x], z[:, self.dim_x :]
        return torch.cat((x, y.clamp(-self.clip, self.clip)), dim=1)

    def generate(self, z: Tensor, count: int, seeds: tuple[int, ...]) -> Tensor:
        """Generator samples, shape (runs, count, features)."""
        if self._asked != (count, seeds):
            drawn = [
                torch.randn(
                    count, self.noise_size, generator=generator(seed, "evaluation")
                )
                for seed in seeds
            ]
            self._noise = torch.stack(drawn).to(self.device, self.dtype)
            self._asked = (count, seeds)
        with torch.no_grad():
            return self.generator(z[:, : self.dim_x], self._noise)
