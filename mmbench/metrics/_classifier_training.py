"""Training of the frozen classifiers of digits, and the honest measure of them.

Each batch holds 128 real images, moved, scaled, turned and roughened a little, 64
mixtures of two images whose targets are their shares, and 32 images of noise whose
target is the same for every class. Cross-entropy, Adam, one cycle of step sizes. The
images of the test set are seen once, at the end.

The file is written with one thread by `mmbench features train`; its bits may differ
between machines.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Generator, Tensor, nn
from torch.nn import functional

from mmbench.metrics._classifier import (
    CONFIDENT,
    DigitClassifier,
    DigitNet,
    Kind,
    kind_of,
)
from mmbench.metrics._classifier_file import prepare, write

_REAL = 128
_MIXED = 64
_NOISE = 32
_CLASSES = 10
_JUDGED = 10000  # images of noise, and averages of a 0 and a 1, judged at the end

Labelled = tuple[UInt8[Tensor, "_ _ _"], Int64[Tensor, "_"]]


class TrainingReport(NamedTuple):
    """What a training gave.

    Args:
        accuracy: on the test images.
        sha256: of the file written.
        confusion: counts on the test images; rows are true, columns are said.
        noise_confident: share of images of noise with a confidence of 0.9 or more.
        average_confident: the same of averages of a 0 and a 1 of the test images.
    """

    accuracy: float
    sha256: str
    confusion: Int64[Tensor, "10 10"]
    noise_confident: float
    average_confident: float


def train(
    dataset: str,
    data: tuple[Labelled, Labelled],
    out: Path,
    *,
    seed: int = 0,
    epochs: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> TrainingReport:
    """Train a classifier, write its file, and measure it on the test images.

    Args:
        dataset: "mnist" or "digits".
        data: pixels and labels to train on, then those to test on.
        out: the file to write; it is replaced if it exists.
        seed: of every draw.
        epochs: times each image is seen; None for what the shipped file had.
        progress: called after each epoch with the epochs done and all epochs.

    Raises:
        DataError: when the file cannot be written.
    """
    kind = kind_of(dataset)
    prepare(out)
    epochs = kind.epochs if epochs is None else epochs
    generator = Generator().manual_seed(seed)
    (pixels, labels), test = data
    net = _fresh(kind, generator)
    _fit(net, kind, pixels, labels, epochs, generator, progress)
    unknown = torch.zeros(_CLASSES, _CLASSES, dtype=torch.int64)
    net.eval().requires_grad_(False)
    classifier = DigitClassifier(dataset, net, unknown, {})
    report = _judged(classifier, kind, test, generator)
    facts = {
        "dataset": dataset,
        "seed": seed,
        "epochs": epochs,
        "test_accuracy": report.accuracy,
        "noise_confident": report.noise_confident,
        "average_confident": report.average_confident,
        "command": f"mmbench features train {dataset} --seed {seed} "
        f"--epochs {epochs} --out FILE",
    }
    sha256 = write(out, net, report.confusion, facts)
    return report._replace(sha256=sha256)


# ---- fitting ----


def _fresh(kind: Kind, generator: Generator) -> DigitNet:
    """A network with He's uniform weights and zero biases."""
    with torch.device("meta"):  # its own start would draw from the global generator
        net = DigitNet(kind.side, kind.channels, kind.hidden)
    net = net.to_empty(device="cpu")
    for name, weight in net.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(weight)
        else:
            nn.init.kaiming_uniform_(weight, nonlinearity="relu", generator=generator)
    return net


def _fit(
    net: DigitNet,
    kind: Kind,
    pixels: UInt8[Tensor, "count side side"],
    labels: Int64[Tensor, "count"],
    epochs: int,
    generator: Generator,
    progress: Callable[[int, int], None] | None,
) -> None:
    steps = math.ceil(len(pixels) / _REAL)
    adam = torch.optim.Adam(net.parameters())
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        adam,
        max_lr=3e-3,  # three times Adam's default: a cycle bears more than a constant
        total_steps=max(1, steps * epochs),
    )
    for epoch in range(epochs):
        order = torch.randperm(len(pixels), generator=generator)
        for chosen in order.split(_REAL):
            images = pixels[chosen].float() * (2 / kind.top) - 1
            shares = functional.one_hot(labels[chosen], _CLASSES).float()
            images, shares = _batch(images, shares, kind.shift, generator)
            adam.zero_grad()
            functional.cross_entropy(net(images), shares).backward()
            adam.step()
            cycle.step()
        if progress is not None:
            progress(epoch + 1, epochs)


def _batch(
    images: Float[Tensor, "count side side"],
    shares: Float[Tensor, "count classes"],
    shift: float,
    generator: Generator,
) -> tuple[Float[Tensor, "all side side"], Float[Tensor, "all classes"]]:
    """Real images varied, mixtures of them, and noise, with the targets of each."""
    moved = varied(images, shift, generator)
    first = torch.randint(len(moved), (_MIXED,), generator=generator)
    second = torch.randint(len(moved), (_MIXED,), generator=generator)
    # From even to three quarters; a smaller share is a flaw that a digit may have.
    part = 0.5 + 0.25 * torch.rand(_MIXED, 1, generator=generator)
    mixed = torch.lerp(moved[second], moved[first], part[:, None])
    mixed_shares = torch.lerp(shares[second], shares[first], part)
    junk = noise(_NOISE, images.shape[-1], generator)
    even = torch.full((_NOISE, _CLASSES), 1 / _CLASSES)
    return torch.cat((moved, mixed, junk)), torch.cat((shares, mixed_shares, even))


def varied(
    images: Float[Tensor, "count side side"], shift: float, generator: Generator
) -> Float[Tensor, "count side side"]:
    """Images turned, scaled, moved and roughened at random.

    Args:
        images: from -1 to 1.
        shift: largest move along each axis, in pixels.
        generator: of the draws.
    """
    count, side = images.shape[0], images.shape[-1]
    turn, scale, right, down, rough = (
        2 * torch.rand(count, generator=generator) - 1 for _ in range(5)
    )
    turn = turn * math.radians(10)  # more would make some 1s of 7s
    scale = 1 + 0.1 * scale
    cosine, sine = turn.cos() / scale, turn.sin() / scale
    unit = 2 / side  # one pixel, where the image reaches from -1 to 1
    maps = torch.stack(
        (
            torch.stack((cosine, -sine, right * shift * unit), 1),
            torch.stack((sine, cosine, down * shift * unit), 1),
        ),
        1,
    )
    grid = functional.affine_grid(maps, [count, 1, side, side], align_corners=False)
    # Around the image lies paper, -1, while grid_sample pads with 0.
    moved = functional.grid_sample(images[:, None] + 1, grid, align_corners=False) - 1
    grain = torch.randn(moved.shape, generator=generator)
    grain = grain * (0.2 * rough.clamp(min=0))[:, None, None, None]  # half stay smooth
    return (moved + grain).clamp(-1, 1)[:, 0]


def noise(
    count: int, side: int, generator: Generator
) -> Float[Tensor, "count side side"]:
    """Images of no digit: five kinds in turn.

    Even noise, normal noise about a random grey, salt on paper, blots (coarse noise
    made smooth), and one grey all over.

    Args:
        count: how many.
        side: height and width.
        generator: of the draws.
    """
    shape = (count, side, side)
    grey = 2 * torch.rand(count, 1, 1, generator=generator) - 1
    even = 2 * torch.rand(shape, generator=generator) - 1
    normal = grey + torch.randn(shape, generator=generator)
    salt = torch.where(even > grey, -1.0, 1.0)
    coarse = 2 * torch.randn(count, 1, side // 4, side // 4, generator=generator)
    blots = functional.interpolate(
        coarse, (side, side), mode="bilinear", align_corners=False
    )
    kinds = torch.stack((even, normal, salt, blots[:, 0], grey.expand(shape)))
    return kinds[torch.arange(count) % len(kinds), torch.arange(count)].clamp(-1, 1)


# ---- judging ----


def _judged(
    classifier: DigitClassifier, kind: Kind, test: Labelled, generator: Generator
) -> TrainingReport:
    """The report on the test images and on junk, without a checksum."""
    images = test[0].float() * (2 / kind.top) - 1
    said = classifier.probabilities(images).argmax(1)
    pairs = test[1] * _CLASSES + said
    confusion = pairs.bincount(minlength=_CLASSES**2).reshape(_CLASSES, _CLASSES)
    zeros, ones = images[test[1] == 0], images[test[1] == 1]
    chosen_zeros = torch.randint(len(zeros), (_JUDGED,), generator=generator)
    chosen_ones = torch.randint(len(ones), (_JUDGED,), generator=generator)
    averages = (zeros[chosen_zeros] + ones[chosen_ones]) / 2
    return TrainingReport(
        accuracy=confusion.diagonal().sum().item() / len(said),
        sha256="",
        confusion=confusion,
        noise_confident=_confident(classifier, noise(_JUDGED, kind.side, generator)),
        average_confident=_confident(classifier, averages),
    )


def _confident(
    classifier: DigitClassifier, images: Float[Tensor, "count side side"]
) -> float:
    """The share of images with a confidence of 0.9 or more."""
    best = classifier.probabilities(images).amax(1)
    return (best >= CONFIDENT).float().mean().item()
