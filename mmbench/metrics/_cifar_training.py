"""Training of the frozen classifier of CIFAR10, and its measure on the test images.

Each batch holds 512 images, mirrored at random, moved by up to four pixels, and with a
grey square of eight by eight. Cross-entropy, stochastic gradient descent with the
momentum of Nesterov and weight decay, a step size that rises for a fifth of the steps
and falls in a straight line to zero. Products are rounded to bfloat16 in training and
nowhere else. The images of the test set are seen once, at the end.

Source: the squares are those of DeVries and Taylor 2017, Improved Regularization of
    Convolutional Neural Networks with Cutout.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Generator, Tensor, nn
from torch.nn import functional

from mmbench.metrics._cifar_classifier import CifarClassifier, CifarNet, centred
from mmbench.metrics._classifier_file import frozen, prepare, write

EPOCHS = 20  # two minutes each, on one core

# Common practice on CIFAR10; none of them was tuned.
_BATCH = 512
_PEAK = 0.4  # largest step size
_RISE = 0.2  # share of the steps before the peak
_MOMENTUM = 0.9
_DECAY = 5e-4
_SHIFT = 4  # pixels, along each axis
_HOLE = 8  # pixels
_CLASSES = 10

Labelled = tuple[UInt8[Tensor, "_ 3 32 32"], Int64[Tensor, "_"]]


class CifarReport(NamedTuple):
    """What a training gave.

    Args:
        accuracy: on the test images, computed in float32.
        sha256: of the file written.
        confusion: counts on the test images; rows are true, columns are said.
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
    progress: Callable[[int, int], None] | None = None,
) -> CifarReport:
    """Train a classifier, measure it on the test images, and write its file.

    Args:
        data: pixels and labels to train on, then those to test on.
        out: the file to write; it is replaced if it exists.
        seed: of every draw.
        epochs: times each image is seen.
        progress: called after each epoch with the epochs done and all epochs.

    Raises:
        DataError: when the file cannot be written.
    """
    prepare(out)
    before = time.perf_counter()
    generator = Generator().manual_seed(seed)
    net = fresh(generator)
    (pixels, labels), test = data
    fit(net, pixels, labels, epochs, generator, progress)
    minutes = (time.perf_counter() - before) / 60
    return judge_and_write(net, test, out, seed=seed, epochs=epochs, minutes=minutes)


def judge_and_write(
    net: CifarNet,
    test: Labelled,
    out: Path,
    *,
    seed: int,
    epochs: int,
    minutes: float,
) -> CifarReport:
    """Measure a trained network on the test images and write its file.

    Args:
        net: trained; it is put to rest.
        test: pixels and labels.
        out: the file to write.
        seed: of the training.
        epochs: of the training.
        minutes: that the training took.

    Raises:
        DataError: when the file cannot be written.
    """
    unknown = torch.zeros(_CLASSES, _CLASSES, dtype=torch.int64)
    classifier = CifarClassifier(frozen(net, "cpu"), unknown, {}, "")
    said = classifier.probabilities(test[0]).argmax(1)
    pairs = test[1] * _CLASSES + said
    confusion = pairs.bincount(minlength=_CLASSES**2).reshape(_CLASSES, _CLASSES)
    accuracy = confusion.diagonal().sum().item() / len(said)
    facts = {
        "dataset": "cifar10",
        "seed": seed,
        "epochs": epochs,
        "test_accuracy": accuracy,
        "minutes": round(minutes),
        "machine": "one core, bfloat16 autocast",
        "command": f"mmbench features train cifar10 --seed {seed} "
        f"--epochs {epochs} --out FILE",
    }
    return CifarReport(accuracy, write(out, net, confusion, facts), confusion)


def fresh(generator: Generator) -> CifarNet:
    """A network with He's uniform weights, zero biases and unit scales."""
    with torch.device("meta"):  # its own start would draw from the global generator
        net = CifarNet()
    net = net.to_empty(device="cpu")
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
    for name, weight in net.named_parameters():
        if weight.ndim > 1:
            nn.init.kaiming_uniform_(weight, nonlinearity="relu", generator=generator)
        elif name.endswith("bias"):
            nn.init.zeros_(weight)
        else:
            nn.init.ones_(weight)
    return net.to(memory_format=torch.channels_last)  # faster on a processor


def fit(
    net: CifarNet,
    pixels: UInt8[Tensor, "count 3 32 32"],
    labels: Int64[Tensor, "count"],
    epochs: int,
    generator: Generator,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Train a network in place; a batch that would not be full is left out.

    Args:
        net: to train.
        pixels: of the images.
        labels: of the images.
        epochs: times each image is seen.
        generator: of every draw.
        progress: called after each epoch with the epochs done and all epochs.
    """
    batches = max(1, len(pixels) // _BATCH)
    steps = max(1, batches * epochs)
    rise = _RISE * steps
    descent = torch.optim.SGD(
        net.parameters(),
        lr=_PEAK,
        momentum=_MOMENTUM,
        weight_decay=_DECAY,
        nesterov=True,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        descent, lambda step: min((step + 1) / rise, (steps - step) / (steps - rise))
    )
    net.train()
    for epoch in range(epochs):
        order = torch.randperm(len(pixels), generator=generator)[: batches * _BATCH]
        for chosen in order.split(_BATCH):
            images = varied(centred(pixels[chosen]), generator)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = net(images)
            loss = functional.cross_entropy(logits.float(), labels[chosen])
            descent.zero_grad()
            loss.backward()
            descent.step()
            schedule.step()
        if progress is not None:
            progress(epoch + 1, epochs)


def varied(
    images: Float[Tensor, "count 3 side side"], generator: Generator
) -> Float[Tensor, "count 3 side side"]:
    """Images mirrored and moved at random, each with a grey square.

    What lies beyond an edge is what lies inside it, reflected.

    Args:
        images: from -1 to 1.
        generator: of the draws.
    """
    count, side = len(images), images.shape[-1]
    along = torch.arange(side)

    def drawn(below: int) -> Int64[Tensor, "count 1"]:
        return torch.randint(below, (count, 1), generator=generator)

    right, down, mirrored = drawn(2 * _SHIFT + 1), drawn(2 * _SHIFT + 1), drawn(2)
    top, left = drawn(side), drawn(side)
    columns = torch.where(mirrored == 1, along.flip(0), along) + right
    rows = along + down
    padded = functional.pad(images, [_SHIFT] * 4, mode="reflect").permute(0, 2, 3, 1)
    every = torch.arange(count)[:, None, None]
    moved = padded[every, rows[:, :, None], columns[:, None, :]]
    hole = _near(top, along)[:, :, None] & _near(left, along)[:, None, :]
    return moved.masked_fill(hole[..., None], 0).permute(0, 3, 1, 2)


def _near(
    middle: Int64[Tensor, "count 1"], along: Int64[Tensor, "side"]
) -> Bool[Tensor, "count side"]:
    """Which pixels along one axis the square covers."""
    return (along - middle >= -_HOLE // 2) & (along - middle < _HOLE // 2)
