"""Initialisation, training loop and evaluation of the classifiers that metrics use."""

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Int64
from torch import Generator, Tensor, nn

from mmbench.metrics._classifier_file import Net

CLASSES = 10

Progress = Callable[[int, int], None]


def initialise(build: Callable[[], Net], generator: Generator) -> Net:
    """Return a network with He's uniform weights, zero biases and unit scales.

    Args:
        build: function that builds the network.
        generator: generator of the draws.
    """
    with torch.device("meta"):  # torch's initialisation uses the global generator
        net = build()
    net = net.to_empty(device="cpu")
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
    for name, weight in net.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(weight)
        elif weight.ndim > 1:
            nn.init.kaiming_uniform_(weight, nonlinearity="relu", generator=generator)
        else:
            nn.init.ones_(weight)
    return net


def run_epochs(
    losses: Callable[[], Iterator[Tensor]],
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    epochs: int,
    progress: Progress | None,
) -> None:
    """Train a network in place.

    Args:
        losses: function that yields the loss of each batch of an epoch, computed with
            the current weights.
        optimizer: optimizer of the network's parameters.
        schedule: schedule of step sizes, advanced after each batch.
        epochs: number of epochs.
        progress: called after each epoch with the epochs done and all epochs.
    """
    for epoch in range(epochs):
        for loss in losses():
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        if progress is not None:
            progress(epoch + 1, epochs)


def confusion_matrix(
    labels: Int64[Tensor, " count"], predicted: Int64[Tensor, " count"]
) -> Int64[Tensor, "10 10"]:
    """Return the counts of images by true class (rows) and predicted class."""
    pairs = labels * CLASSES + predicted
    return pairs.bincount(minlength=CLASSES**2).reshape(CLASSES, CLASSES)


def accuracy_of(confusion: Int64[Tensor, "10 10"]) -> float:
    """Return the share of images whose class was predicted correctly."""
    return confusion.diagonal().sum().item() / int(confusion.sum())
