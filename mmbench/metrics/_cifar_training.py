"""Training of the frozen classifier of CIFAR10, and its evaluation on the test images.

Each batch holds 512 images, mirrored at random, moved by up to four pixels, and with a
grey square of eight by eight pixels. The loss is the cross-entropy; the optimizer is
SGD with Nesterov momentum and weight decay; the step size rises linearly for a fifth of
the steps and falls linearly to zero. The training computes in bfloat16, everything else
in float32. The test images are used once, at the end.

Source: the squares are those of DeVries and Taylor 2017, Improved Regularization of
    Convolutional Neural Networks with Cutout.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Generator, Tensor
from torch.nn import functional

from mmbench.metrics._cifar_classifier import CifarClassifier, CifarNet
from mmbench.metrics._classifier_file import (
    Facts,
    freeze,
    prepare_output,
    scale_pixels,
    to_channels_last,
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

EPOCHS = 20  # two minutes each, on one core

# Common practice on CIFAR10; none of these values was tuned.
_BATCH_IMAGES = 512
_MAX_STEP_SIZE = 0.4
_WARMUP_SHARE = 0.2  # of the steps
_MOMENTUM = 0.9
_WEIGHT_DECAY = 5e-4
_SHIFT_PIXELS = 4  # along each axis
_HOLE_PIXELS = 8

Labelled = tuple[UInt8[Tensor, "_ 3 32 32"], Int64[Tensor, " _"]]


class CifarReport(NamedTuple):
    """The result of a training.

    Args:
        accuracy: share of the test images classified correctly, computed in float32.
        sha256: checksum of the file written.
        confusion: counts on the test images, by true class (rows) and predicted class.
    """

    accuracy: float
    sha256: str
    confusion: Int64[Tensor, "10 10"]


def train(
    data: tuple[Labelled, Labelled],
    out: Path,
    *,
    seed: int = 0,
    epochs: int = EPOCHS,
    progress: Progress | None = None,
) -> CifarReport:
    """Train a classifier, evaluate it, and write its file.

    Args:
        data: pixels and labels to train on, then those to test on.
        out: file to write; replaced if it exists.
        seed: seed of all draws.
        epochs: number of passes over the training images.
        progress: called after each epoch with the epochs done and all epochs.

    Raises:
        DataError: if the file cannot be written.
    """
    prepare_output(out)
    start = time.perf_counter()
    generator = Generator().manual_seed(seed)
    net = to_channels_last(initialise(CifarNet, generator))
    (pixels, labels), test = data
    fit(net, pixels, labels, epochs, generator, progress)
    minutes = (time.perf_counter() - start) / 60
    return evaluate_and_write(net, test, out, seed=seed, epochs=epochs, minutes=minutes)


def evaluate_and_write(
    net: CifarNet,
    test: Labelled,
    out: Path,
    *,
    seed: int,
    epochs: int,
    minutes: float,
) -> CifarReport:
    """Evaluate a trained network and write its file.

    Args:
        net: trained network; it is frozen.
        test: pixels and labels of the test images.
        out: file to write.
        seed: seed of the training.
        epochs: number of epochs of the training.
        minutes: duration of the training.

    Raises:
        DataError: if the file cannot be written.
    """
    unknown = torch.zeros(CLASSES, CLASSES, dtype=torch.int64)
    classifier = CifarClassifier(freeze(net, "cpu"), unknown, {}, "")
    pixels, labels = test
    predicted = classifier.probabilities(pixels).argmax(1)
    confusion = confusion_matrix(labels, predicted)
    accuracy = accuracy_of(confusion)
    facts: Facts = {
        "dataset": "cifar10",
        "seed": seed,
        "epochs": epochs,
        "test_accuracy": accuracy,
        "minutes": round(minutes),
        "machine": "one core, bfloat16 autocast",
        "command": f"mmbench features train cifar10 --seed {seed} "
        f"--epochs {epochs} --out FILE",
    }
    return CifarReport(accuracy, write_weights(out, net, confusion, facts), confusion)


def fit(
    net: CifarNet,
    pixels: UInt8[Tensor, "count 3 32 32"],
    labels: Int64[Tensor, " count"],
    epochs: int,
    generator: Generator,
    progress: Progress | None = None,
) -> None:
    """Train a network in place; an incomplete last batch is left out.

    Args:
        net: network to train.
        pixels: training images.
        labels: classes of the images.
        epochs: number of passes over the images.
        generator: generator of all draws.
        progress: called after each epoch with the epochs done and all epochs.
    """
    batches = max(1, len(pixels) // _BATCH_IMAGES)
    steps = max(1, batches * epochs)
    warmup = _WARMUP_SHARE * steps
    optimizer = torch.optim.SGD(
        net.parameters(),
        lr=_MAX_STEP_SIZE,
        momentum=_MOMENTUM,
        weight_decay=_WEIGHT_DECAY,
        nesterov=True,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / warmup, (steps - step) / (steps - warmup)),
    )

    def losses() -> Iterator[Tensor]:
        order = torch.randperm(len(pixels), generator=generator)
        for batch in order[: batches * _BATCH_IMAGES].split(_BATCH_IMAGES):
            images = augment(scale_pixels(pixels[batch]), generator)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = net(images)
            yield functional.cross_entropy(logits.float(), labels[batch])

    net.train()
    run_epochs(losses, optimizer, schedule, epochs, progress)


def augment(
    images: Float[Tensor, "count 3 side side"], generator: Generator
) -> Float[Tensor, "count 3 side side"]:
    """Mirror and move images at random, and paint a grey square on each.

    A moved image is continued beyond its edge by reflection.

    Args:
        images: images from -1 to 1.
        generator: generator of the draws.
    """
    count, side = len(images), images.shape[-1]
    pixels = torch.arange(side)

    def draw(below: int) -> Int64[Tensor, "count 1"]:
        return torch.randint(below, (count, 1), generator=generator)

    moves = 2 * _SHIFT_PIXELS + 1
    right, down, mirrored = draw(moves), draw(moves), draw(2)
    top, left = draw(side), draw(side)
    columns = torch.where(mirrored == 1, pixels.flip(0), pixels) + right
    rows = pixels + down
    padded = functional.pad(images, [_SHIFT_PIXELS] * 4, mode="reflect")
    padded = padded.permute(0, 2, 3, 1)
    index = torch.arange(count)[:, None, None]
    moved = padded[index, rows[:, :, None], columns[:, None, :]]
    hole = _in_hole(pixels, top)[:, :, None] & _in_hole(pixels, left)[:, None, :]
    return moved.masked_fill(hole[..., None], 0).permute(0, 3, 1, 2)


def _in_hole(
    pixels: Int64[Tensor, " side"], middle: Int64[Tensor, "count 1"]
) -> Bool[Tensor, "count side"]:
    """Return which pixels along one axis the grey square covers."""
    distance = pixels - middle
    return (distance >= -_HOLE_PIXELS // 2) & (distance < _HOLE_PIXELS // 2)
