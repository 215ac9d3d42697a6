"""The GAN on images, which stay on the device as bytes."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.errors import DescriptionError
from mmbench.core.placement import Placement
from mmbench.tasks._digit_data import Split, scale_pixels
from mmbench.tasks._gan import GANGame, GANTask
from mmbench.tasks._gan_losses import GANLoss
from mmbench.tasks._networks import Network
from mmbench.tasks._regularisers import Regulariser

SHEET_IMAGES = 100  # images of each run that a page shows, ten by ten


class ImageData(NamedTuple):
    """The images that a game draws from.

    Args:
        split: images that the game draws from, and a test set for metrics.
        top: pixel value that becomes 1.
        dataset: name of the data set, by which metrics choose a classifier.
    """

    split: Split
    top: int
    dataset: str


class ImageGame(GANGame):
    """The GAN on images from -1 to 1; a minibatch stores the indices of real images.

    Args:
        generator: network from noise to images, flattened or not.
        discriminator: network from such images to one logit.
        loss: losses of the players, as in `GANGame`.
        batch_size: real images in a minibatch, and as many generated ones.
        regularisers: penalties and constraints on the discriminator.
        data: real images.
        placement: device and dtype of the tensors.
    """

    def __init__(
        self,
        generator: Network,
        discriminator: Network,
        loss: GANLoss,
        batch_size: int,
        regularisers: Iterable[Regulariser],
        data: ImageData,
        placement: Placement,
    ) -> None:
        super().__init__(
            generator, discriminator, loss, batch_size, regularisers, placement
        )
        self.top, self.dataset = data.top, data.dataset
        self._images = data.split._asdict()
        pixels = data.split.train.pixels
        *channels, height, width = pixels.shape[1:]
        self.image_shape = (channels[0] if channels else 1, height, width)
        self.pixels = pixels.reshape(-1, *generator.output_shape).to(self.device)

    def draw_real(
        self, generator: torch.Generator, count: int
    ) -> Int64[Tensor, "count batch"]:
        """Draw the indices of real images of one run, with replacement, on the CPU."""
        shape = (count, self.batch_size)
        return torch.randint(len(self.pixels), shape, generator=generator)

    def unpack(
        self, real: Int64[Tensor, "runs batch"]
    ) -> Float[Tensor, "runs batch *point"]:
        """Return the images of these indices, from -1 to 1."""
        return scale_pixels(self.pixels[real], self.top, self.dtype)

    def real(
        self, split: str
    ) -> tuple[UInt8[Tensor, "count channels height width"], Int64[Tensor, " count"]]:
        """Return real images, from 0 to 255, and the class of each, on the CPU.

        Args:
            split: "train" (the images that the game draws from) or "test".
        """
        pixels, labels = self._images[split]
        pixels = pixels.reshape(len(pixels), *self.image_shape)
        if self.top != 255:
            pixels = (pixels.float() * (255 / self.top)).round().to(torch.uint8)
        return pixels, labels

    def sheet(self, z: Float[Tensor, "runs dim"], seeds: tuple[int, ...]) -> Tensor:
        """Return 100 images of each run, from -1 to 1, in half precision.

        Returns:
            Shape (runs, 100, height, width), with channels last where there are
            several.
        """
        images = self.generate(z, SHEET_IMAGES, seeds).half()
        images = images.reshape(len(z), SHEET_IMAGES, *self.image_shape)
        if self.image_shape[0] == 1:
            return images[:, :, 0]
        return images.movedim(2, -1)


class ImageTask(GANTask):
    """A task of a GAN on images.

    It adds no fields to the description; subclasses declare the fields named here.

    Attributes:
        image_capability: capability that states the shape of the images.
        game_class: class of the game.
    """

    image_capability: ClassVar[Capability]
    game_class: ClassVar[type[ImageGame]] = ImageGame

    @property
    @abstractmethod
    def players(self) -> tuple[Network, Network]:
        """The networks of the generator and of the discriminator."""

    @abstractmethod
    def load(self, data_dir: Path | None) -> ImageData:
        """Return the real images.

        Args:
            data_dir: folder of data files, as in `prepare`.

        Raises:
            DataError: when data are missing or not the published ones.
        """

    @property
    def gives(self) -> frozenset[Capability]:
        """The capabilities of the game beyond its losses."""
        return super().gives | {Capability.IMAGES, self.image_capability}

    def prepare(self, data_dir: Path | None) -> None:
        """Fetch and check the images; called before any cell is computed."""
        self.load(data_dir)

    def build(self, placement: Placement) -> ImageGame:
        """Build the game."""
        return self.game_class(
            *self.players,
            self.loss,
            self.batch,
            self.all_regularisers,
            self.load(placement.data_dir),
            placement,
        )


class ConvolutionalTask(ImageTask):
    """A task of a GAN of convolutional networks on images.

    Attributes:
        images: number of training images, the first ones; 0 means all.
        all_images: number of images of each split of the data set.
    """

    images: int
    all_images: ClassVar[Mapping[str, int]]

    @property
    def has_batch_norm(self) -> bool:
        """Whether the generator has batch normalisation."""
        return True

    def check(self) -> None:
        """Raise `DescriptionError` when fields do not fit the data or the networks."""
        super().check()
        name, most = type(self).__name__, self.all_images["train"]
        if self.images > most:
            raise DescriptionError(
                f"{name}.images must be at most {most}; got {self.images}."
            )
        if self.batch < 2 and self.has_batch_norm:
            raise DescriptionError(
                f"{name}.batch must be at least 2, since its generator normalises each "
                f"batch by its own deviation; got {self.batch}."
            )

    @property
    def real_images(self) -> Mapping[str, int]:
        """The number of images of each split."""
        train = self.images or self.all_images["train"]
        return {**self.all_images, "train": train}

    @property
    def width(self) -> int:
        """The number of runs computed side by side on a CPU."""
        return 1  # convolutions of one run keep a core busy

    @property
    def gpu_width(self) -> int:
        """The number of runs computed side by side on a GPU."""
        return 8  # convolutions of 64 images fill more of it than small games do
