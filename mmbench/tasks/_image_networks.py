"""Published generators and discriminators of images, as tables of layers.

Each function returns a generator, from noise of shape (noise,) to images from -1 to 1,
and a discriminator, from such images to one logit. `width` scales all channels at once.
"""

from mmbench.tasks._layers import (
    BatchNorm,
    Conv,
    ConvTranspose,
    Dropout,
    Linear,
    MaxPool,
    Rectifier,
    Reshape,
    Tanh,
)
from mmbench.tasks._networks import Network

Players = tuple[Network, Network]  # generator and discriminator
IMAGE_SHAPE = (3, 32, 32)


def icr(noise: int, width: int, normalised: bool = False) -> Players:
    """Return the CIFAR10 networks of the authors' code for implicit regularisation.

    Args:
        noise: length of the generator's input.
        width: channels of the discriminator's first convolution; 64 in the source.
        normalised: whether the discriminator's weights are divided by their spectral
            norms.

    Source: Schäfer, Zheng and Anandkumar 2020, Appendix A.4, and their code.
    """
    generator = _doubling(noise, width, kernel=4, padding=1)
    return generator, _halving(width, kernel=4, padding=1, slope=0.01, norm=normalised)


def wgan_gp(noise: int, width: int, normalised: bool = False) -> Players:
    """Return the CIFAR10 networks of the authors' code for the gradient penalty.

    Where the padding of an even side is odd, torch puts the extra row or column first
    and TensorFlow last.

    Args:
        noise: length of the generator's input.
        width: channels of the discriminator's first convolution; 128 in the source, or
            64, which its authors also advise.
        normalised: whether the discriminator's weights are divided by their spectral
            norms.

    Source: Gulrajani, Ahmed, Arjovsky, Dumoulin and Courville 2017, and their code.
    """
    generator = _doubling(noise, width, kernel=5, padding=2, extra=1)
    return generator, _halving(width, kernel=5, padding=2, slope=0.2, norm=normalised)


def _doubling(
    noise: int, width: int, kernel: int, padding: int, extra: int = 0
) -> Network:
    """Return a generator of three transposed convolutions that double the image.

    Args:
        noise: length of the input.
        width: channels of the last hidden layer.
        kernel: height and width of the kernels, in pixels.
        padding: rows and columns cut off on each side.
        extra: rows and columns put back at the bottom and on the right.
    """
    grow = dict(kernel=kernel, stride=2, padding=padding, extra=extra)
    return Network(
        (noise,),
        (
            Linear(noise, 64 * width),
            BatchNorm(64 * width),
            Rectifier(),
            Reshape((4 * width, 4, 4)),
            ConvTranspose(4 * width, 2 * width, **grow),
            BatchNorm(2 * width),
            Rectifier(),
            ConvTranspose(2 * width, width, **grow),
            BatchNorm(width),
            Rectifier(),
            ConvTranspose(width, 3, **grow),
            Tanh(),
        ),
    )


def _halving(
    width: int, kernel: int, padding: int, slope: float, norm: bool
) -> Network:
    """Return a discriminator of three convolutions that halve the image.

    Args:
        width: channels of the first convolution.
        kernel: height and width of the kernels, in pixels.
        padding: rows and columns of zeros added on each side.
        slope: slope of the rectifiers below zero.
        norm: whether weights are divided by their spectral norms.
    """
    half = dict(kernel=kernel, stride=2, padding=padding)
    return Network(
        IMAGE_SHAPE,
        (
            Conv(3, width, **half),
            Rectifier(slope),
            Conv(width, 2 * width, **half),
            Rectifier(slope),
            Conv(2 * width, 4 * width, **half),
            Rectifier(slope),
            Reshape((64 * width,)),
            Linear(64 * width, 1),
        ),
        norm,
    )


def mangoubi(noise: int, width: int, normalised: bool = False) -> Players:
    """Return the CIFAR10 networks of the authors' accept-reject notebook, with dropout.

    Where the padding of an even side is odd, torch puts the extra row or column first
    and Keras last.

    Args:
        noise: length of the generator's input.
        width: channels of the discriminator's first convolution; 64 in the source.
        normalised: whether the discriminator's weights are divided by their spectral
            norms.

    Source: Mangoubi, Sachdeva and Vishnoi 2020, their CIFAR10 notebook.
    """
    slope, grow = Rectifier(0.2), dict(kernel=4, stride=2, padding=1)
    generator = Network(
        (noise,),
        (
            Linear(noise, 64 * width),
            slope,
            Reshape((4 * width, 4, 4)),
            ConvTranspose(4 * width, 2 * width, **grow),
            slope,
            ConvTranspose(2 * width, 2 * width, **grow),
            slope,
            ConvTranspose(2 * width, 2 * width, **grow),
            slope,
            Conv(2 * width, 3, kernel=3, padding=1),
            Tanh(),
        ),
    )
    discriminator = Network(
        IMAGE_SHAPE,
        (
            Conv(3, width, kernel=3, padding=1),
            slope,
            Conv(width, 2 * width, kernel=3, stride=2, padding=1),
            slope,
            Conv(2 * width, 2 * width, kernel=3, stride=2, padding=1),
            slope,
            Conv(2 * width, 4 * width, kernel=3, stride=2, padding=1),
            slope,
            Reshape((64 * width,)),
            Dropout(0.4),
            Linear(64 * width, 1),
        ),
        normalised,
    )
    return generator, discriminator


def mnist_icr(noise: int, width: int) -> Players:
    """Return the MNIST networks of the authors' code for implicit regularisation.

    Args:
        noise: length of the generator's input.
        width: channels of the discriminator's first convolution; 32 in the source.

    Differs from the source: the paper's table puts batch normalisation before the
        rectifier; as in the code, it comes after.
    Source: Schäfer, Zheng and Anandkumar 2020, Appendix A.2, and their code.
    """
    generator = Network(
        (noise,),
        (
            Linear(noise, 32 * width),
            Rectifier(),
            BatchNorm(32 * width),
            Linear(32 * width, 49 * 4 * width),
            Rectifier(),
            BatchNorm(49 * 4 * width),
            Reshape((4 * width, 7, 7)),
            ConvTranspose(4 * width, 2 * width, kernel=4, stride=2, padding=1),
            Rectifier(),
            BatchNorm(2 * width),
            ConvTranspose(2 * width, 1, kernel=4, stride=2, padding=1),
            Tanh(),
        ),
    )
    slope = Rectifier(0.01)
    discriminator = Network(
        (1, 28, 28),
        (
            Conv(1, width, kernel=5),
            slope,
            MaxPool(),
            Conv(width, 2 * width, kernel=5),
            slope,
            MaxPool(),
            Reshape((32 * width,)),
            Linear(32 * width, 32 * width),
            slope,
            Linear(32 * width, 1),
        ),
    )
    return generator, discriminator
