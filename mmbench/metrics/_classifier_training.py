"""Training of the frozen classifiers of digits, and their evaluation.

Each batch holds 128 real images, slightly moved, scaled, rotated and with some noise;
64 mixtures of two images, with the mixing weights as target probabilities; and 32
images of noise, with the same target probability for each class. The loss is the
cross-entropy; the optimizer is Adam with one cycle of step sizes. The test images are
used once, at the end.

`mmbench features train` writes the file with one thread; its bits may differ between
machines.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Generator, Tensor
from torch.nn import functional

from mmbench.metrics._classifier import (
    CONFIDENT,
    ClassifierConfig,
    DigitClassifier,
    DigitNet,
    config_for,
)
from mmbench.metrics._classifier_file import (
    Facts,
    freeze,
    prepare_output,
    scale_pixels,
    write_weights,
)
from mmbench.metrics._training import (
    CLASSES,
    Progress,
    accuracy_of,
    confusion_matrix,
    initialise,
    run_epochs,
)

# Images in a batch.
_REAL_IMAGES = 128
_MIXED_IMAGES = 64
_NOISE_IMAGES = 32

_TEST_IMAGES = 10000  # of noise, and averages of a 0 and a 1

Labelled = tuple[UInt8[Tensor, "_ _ _"], Int64[Tensor, " _"]]


class TrainingReport(NamedTuple):
    """The result of a training.

    Args:
        accuracy: share of the test images classified correctly.
        sha256: checksum of the file written.
        confusion: counts on the test images, by true class (rows) and predicted class.
        noise_confident: share of images of noise with a confidence of 0.9 or more.
        average_confident: share of averages of a 0 and a 1 of the test images with a
            confidence of 0.9 or more.
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
    progress: Progress | None = None,
) -> TrainingReport:
    """Train a classifier, evaluate it, and write its file.

    Args:
        dataset: "mnist" or "digits".
        data: pixels and labels to train on, then those to test on.
        out: file to write; replaced if it exists.
        seed: seed of all draws.
        epochs: number of passes over the training images; None for as many as for the
            shipped file.
        progress: called after each epoch with the epochs done and all epochs.

    Raises:
        DataError: if the file cannot be written.
    """
    config = config_for(dataset)
    prepare_output(out)
    epochs = config.epochs if epochs is None else epochs
    generator = Generator().manual_seed(seed)
    (pixels, labels), test = data
    net = initialise(
        lambda: DigitNet(config.side, config.channels, config.hidden), generator
    )
    _fit(net, config, pixels, labels, epochs, generator, progress)
    unknown = torch.zeros(CLASSES, CLASSES, dtype=torch.int64)
    classifier = DigitClassifier(dataset, freeze(net, "cpu"), unknown, {})
    report = _evaluate(classifier, config, test, generator)
    facts: Facts = {
        "dataset": dataset,
        "seed": seed,
        "epochs": epochs,
        "test_accuracy": report.accuracy,
        "noise_confident": report.noise_confident,
        "average_confident": report.average_confident,
        "command": f"mmbench features train {dataset} --seed {seed} "
        f"--epochs {epochs} --out FILE",
    }
    sha256 = write_weights(out, net, report.confusion, facts)
    return report._replace(sha256=sha256)


# ---- training ----


def _fit(
    net: DigitNet,
    config: ClassifierConfig,
    pixels: UInt8[Tensor, "count side side"],
    labels: Int64[Tensor, " count"],
    epochs: int,
    generator: Generator,
    progress: Progress | None,
) -> None:
    steps = math.ceil(len(pixels) / _REAL_IMAGES)
    optimizer = torch.optim.Adam(net.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=3e-3,  # three times Adam's default, since only the peak is that large
        total_steps=max(1, steps * epochs),
    )

    def losses() -> Iterator[Tensor]:
        order = torch.randperm(len(pixels), generator=generator)
        for batch in order.split(_REAL_IMAGES):
            images = scale_pixels(pixels[batch], config.top)
            targets = functional.one_hot(labels[batch], CLASSES).float()
            images, targets = _make_batch(images, targets, config.shift, generator)
            yield functional.cross_entropy(net(images), targets)

    run_epochs(losses, optimizer, schedule, epochs, progress)


def _make_batch(
    images: Float[Tensor, "count side side"],
    targets: Float[Tensor, "count classes"],
    shift: float,
    generator: Generator,
) -> tuple[Float[Tensor, "all side side"], Float[Tensor, "all classes"]]:
    """Return augmented images, mixtures of them and noise, with their targets."""
    moved = augment(images, shift, generator)
    first = torch.randint(len(moved), (_MIXED_IMAGES,), generator=generator)
    second = torch.randint(len(moved), (_MIXED_IMAGES,), generator=generator)
    # At most three quarters: the rest must be more than a flaw that a digit may have.
    weight = 0.5 + 0.25 * torch.rand(_MIXED_IMAGES, 1, generator=generator)
    mixed = torch.lerp(moved[second], moved[first], weight[:, None])
    mixed_targets = torch.lerp(targets[second], targets[first], weight)
    junk = draw_noise(_NOISE_IMAGES, images.shape[-1], generator)
    junk_targets = torch.full((_NOISE_IMAGES, CLASSES), 1 / CLASSES)
    return (
        torch.cat((moved, mixed, junk)),
        torch.cat((targets, mixed_targets, junk_targets)),
    )


def augment(
    images: Float[Tensor, "count side side"], shift: float, generator: Generator
) -> Float[Tensor, "count side side"]:
    """Rotate, scale and move images at random, and add noise to half of them.

    Args:
        images: images from -1 to 1.
        shift: largest move along each axis, in pixels.
        generator: generator of the draws.
    """
    count, side = images.shape[0], images.shape[-1]
    angle, scale, right, down, noise = (
        2 * torch.rand(count, generator=generator) - 1 for _ in range(5)
    )
    angle = angle * math.radians(10)  # a larger angle would turn some 7s into 1s
    scale = 1 + 0.1 * scale
    cosine, sine = angle.cos() / scale, angle.sin() / scale
    unit = 2 / side  # one pixel, where the image reaches from -1 to 1
    maps = torch.stack(
        (
            torch.stack((cosine, -sine, right * shift * unit), 1),
            torch.stack((sine, cosine, down * shift * unit), 1),
        ),
        1,
    )
    grid = functional.affine_grid(maps, [count, 1, side, side], align_corners=False)
    # The image continues as paper, -1, but grid_sample pads with 0.
    moved = functional.grid_sample(images[:, None] + 1, grid, align_corners=False) - 1
    grain = torch.randn(moved.shape, generator=generator)
    grain = grain * (0.2 * noise.clamp(min=0))[:, None, None, None]  # 0 for half
    return (moved + grain).clamp(-1, 1)[:, 0]


def draw_noise(
    count: int, side: int, generator: Generator
) -> Float[Tensor, "count side side"]:
    """Draw images of no digit, of five kinds in turn.

    The kinds are uniform noise, normal noise around a random grey, salt-and-pepper
    noise, smooth blots (interpolated coarse noise), and a constant grey.

    Args:
        count: number of images.
        side: height and width, in pixels.
        generator: generator of the draws.
    """
    shape = (count, side, side)
    grey = 2 * torch.rand(count, 1, 1, generator=generator) - 1
    uniform = 2 * torch.rand(shape, generator=generator) - 1
    normal = grey + torch.randn(shape, generator=generator)
    salt = torch.where(uniform > grey, -1.0, 1.0)
    coarse = 2 * torch.randn(count, 1, side // 4, side // 4, generator=generator)
    blots = functional.interpolate(
        coarse, (side, side), mode="bilinear", align_corners=False
    )
    kinds = torch.stack((uniform, normal, salt, blots[:, 0], grey.expand(shape)))
    return kinds[torch.arange(count) % len(kinds), torch.arange(count)].clamp(-1, 1)


# ---- evaluation ----


def _evaluate(
    classifier: DigitClassifier,
    config: ClassifierConfig,
    test: Labelled,
    generator: Generator,
) -> TrainingReport:
    """Return the report on the test images and on junk, without a checksum."""
    pixels, labels = test
    images = scale_pixels(pixels, config.top)
    predicted = classifier.probabilities(images).argmax(1)
    confusion = confusion_matrix(labels, predicted)
    zeros, ones = images[labels == 0], images[labels == 1]
    chosen_zeros = torch.randint(len(zeros), (_TEST_IMAGES,), generator=generator)
    chosen_ones = torch.randint(len(ones), (_TEST_IMAGES,), generator=generator)
    averages = (zeros[chosen_zeros] + ones[chosen_ones]) / 2
    junk = draw_noise(_TEST_IMAGES, config.side, generator)
    return TrainingReport(
        accuracy=accuracy_of(confusion),
        sha256="",
        confusion=confusion,
        noise_confident=_share_confident(classifier, junk),
        average_confident=_share_confident(classifier, averages),
    )


def _share_confident(
    classifier: DigitClassifier, images: Float[Tensor, "count side side"]
) -> float:
    """Return the share of images with a confidence of 0.9 or more."""
    best = classifier.probabilities(images).amax(1)
    return (best >= CONFIDENT).float().mean().item()
