"""Three tasks of networks, written as one writes them in PyTorch.

    mmbench run -t own_networks.py:dcgan -a "gda[direction=adam,step_size=0.0002]" ...

A DCGAN on MNIST, a residual GAN on CIFAR10, and adversarial training of a small
classifier: the minimum over its weights of the maximum over perturbations in a ball.
Both data sets are found in, or downloaded to, the folder that MMBENCH_DATA names.
"""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import avg_pool2d, cross_entropy, interpolate
from torch.nn.utils.parametrizations import spectral_norm

import mmbench
from mmbench.tasks import CIFAR10, MNISTICR


def images_of(task: mmbench.Task) -> torch.Tensor:
    """Return the training images of a task, bytes of shape (count, channels, ...)."""
    return task.build(mmbench.Placement()).real("train")[0]


# ---- a DCGAN on MNIST ----


class Generator(nn.Sequential):
    """From 64 numbers to images of 28 x 28."""

    def __init__(self, width: int = 16) -> None:
        super().__init__(
            nn.Linear(64, 4 * width * 49),
            nn.Unflatten(1, (4 * width, 7, 7)),
            nn.BatchNorm2d(4 * width),
            nn.ReLU(),
            nn.ConvTranspose2d(4 * width, 2 * width, 4, 2, 1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * width, 1, 4, 2, 1),
            nn.Tanh(),
        )


class Discriminator(nn.Sequential):
    """From images of 28 x 28 to one number."""

    def __init__(self, width: int = 16) -> None:
        super().__init__(
            nn.Conv2d(1, width, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Dropout2d(0.25),
            nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(2 * width * 49, 1),
        )


dcgan = mmbench.torch_task(
    Generator,
    Discriminator,
    data=images_of(MNISTICR())[:2000],
    noise=64,
    batch=16,
    loss="nonsaturating",
    dataset="mnist",
    name="dcgan",
)

# ---- a residual GAN on CIFAR10 ----


class Up(nn.Module):
    """A residual block that doubles height and width."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU())
        self.one = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.rest = nn.Sequential(
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1),
        )
        self.skip = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return images of twice the size."""
        up = self.one(interpolate(self.first(x), scale_factor=2))
        return self.rest(up) + self.skip(interpolate(x, scale_factor=2))


class Down(nn.Module):
    """A residual block that halves height and width, its weights normalised."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.rest = nn.Sequential(
            nn.ReLU(),
            spectral_norm(nn.Conv2d(inputs, outputs, 3, padding=1)),
            nn.ReLU(),
            spectral_norm(nn.Conv2d(outputs, outputs, 3, padding=1)),
        )
        self.skip = spectral_norm(nn.Conv2d(inputs, outputs, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return images of half the size."""
        return avg_pool2d(self.rest(x) + self.skip(x), 2)


class ResidualGenerator(nn.Sequential):
    """From 32 numbers to images of 32 x 32 in three colours."""

    def __init__(self, width: int = 8) -> None:
        super().__init__(
            nn.Linear(32, 16 * width),
            nn.Unflatten(1, (width, 4, 4)),
            *(Up(width, width) for _ in range(3)),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, 3, 3, padding=1),
            nn.Tanh(),
        )


class ResidualDiscriminator(nn.Module):
    """From such images to one number, with a projection on a learned vector."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.blocks = nn.Sequential(Down(3, width), Down(width, width))
        self.head = spectral_norm(nn.Linear(width, 1))
        self.embedding = nn.Embedding(1, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return one number for each image."""
        features = self.blocks(x).relu().sum((2, 3))
        projection = features @ self.embedding.weight[0]
        return self.head(features)[:, 0] + projection


resnet = mmbench.torch_task(
    ResidualGenerator,
    ResidualDiscriminator,
    data=images_of(CIFAR10())[:1000],
    noise=32,
    batch=8,
    loss="hinge",
    dataset="cifar10",
    name="resnet",
)

# ---- adversarial training of a small classifier ----

RADIUS = 0.1
digits = load_digits()
images = torch.tensor(digits.images[:200] / 16, dtype=torch.float32).flatten(1)
classes = torch.tensor(digits.target[:200])


def classifier() -> nn.Module:
    """Return a classifier with weights of its own."""
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def loss(network: nn.Module, change: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy of perturbed images."""
    return cross_entropy(network(images.to(change) + change), classes)


def clip(network: dict, change: torch.Tensor) -> tuple:
    """Return the nearest perturbations in the ball."""
    return network, change.clamp(-RADIUS, RADIUS)


def accuracy(network: nn.Module, change: torch.Tensor) -> float:
    """Return the share of perturbed images that are classified rightly."""
    found = network(images.to(change) + change).argmax(1)
    return float((found == classes).double().mean())


robust = mmbench.game(
    loss,
    x=classifier,
    y=torch.zeros(200, 64),
    project=clip,
    metrics=["losses", (accuracy, "higher")],
    name="robust",
)
