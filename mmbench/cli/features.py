"""mmbench features: list, train again and fetch the frozen networks of metrics."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from mmbench.cli import print_stdout
from mmbench.cli._numbers import Folder, NamedFile, Whole
from mmbench.cli._resource_options import data_dir_option


@click.group("features", short_help="List, train or fetch the networks of metrics.")
def command() -> None:
    """List, train again and fetch the frozen networks that metrics use."""


# ---- list ----


@command.command("list")
def listing() -> None:
    """List the networks, with their input, accuracy, checksum and origin."""
    from mmbench.cli._console import print_table
    from mmbench.metrics import _cifar_classifier, _classifier
    from mmbench.metrics._inception import CLASSES, FEATURES
    from mmbench.metrics._inception_file import (
        ORIGINAL_SHA256,
        ORIGINAL_URL,
        find_weights,
    )

    rows = []
    cifar = _cifar_classifier.load()
    trained = [("cifar10cnn", "colour 32×32", 256, cifar.facts, cifar.sha256)]
    for dataset, config in _classifier.CONFIGS.items():
        facts = _classifier.load(dataset).facts
        side = f"grey {config.side}×{config.side}"
        trained.append((f"{dataset}cnn", side, config.hidden, facts, config.sha256))
    for name, takes, width, facts, sha256 in trained:
        accuracy = f"{facts['test_accuracy']:.2%}"
        source = f"shipped; {facts['command']}"
        rows.append((name, takes, str(width), "10", accuracy, sha256, source))
    path = find_weights()
    source = f"{path}; {ORIGINAL_URL}" if path else "mmbench features fetch inception"
    widths = (str(FEATURES), str(CLASSES))
    rows.append(("inception", "any", *widths, "", ORIGINAL_SHA256, source))
    columns = ("name", "takes", "features", "classes", "accuracy", "SHA-256", "from")
    print_table(columns, rows)


# ---- train ----


@command.command("train")
@click.argument("dataset", type=click.Choice(["mnist", "digits", "cifar10"]))
@click.option(
    "--out",
    type=NamedFile(".safetensors"),
    required=True,
    help="The safetensors file to write.",
)
@data_dir_option
@click.option(
    "--seed",
    type=Whole(0),
    metavar="N",
    default=0,
    show_default=True,
    help="Seed of the training.",
)
@click.option(
    "--epochs",
    type=Whole(1),
    metavar="N",
    help="Epochs of the training.  [default: those of the shipped file]",
)
def train(
    dataset: str, out: Path, data_dir: Path | None, seed: int, epochs: int | None
) -> None:
    """Train the classifier of a dataset on its ten classes and measure its accuracy.

    This replaces nothing that mmbench uses: metrics read only the shipped file. An
    epoch of cifar10 takes about two minutes.
    """
    import torch

    torch.set_num_threads(1)  # as the shipped files were made
    train_on = _train_cifar10 if dataset == "cifar10" else _train_digits
    print_stdout(train_on(dataset, out, data_dir, seed, epochs))


def _train_digits(
    dataset: str, out: Path, data_dir: Path | None, seed: int, epochs: int | None
) -> str:
    """Train a classifier of digits and return a message about its accuracy."""
    from mmbench.metrics._classifier_training import train as train_classifier
    from mmbench.tasks._digit_data import digits_split, mnist_split

    data = mnist_split(data_dir) if dataset == "mnist" else digits_split()
    with _bar(dataset) as advance:
        report = train_classifier(
            dataset, data, out, seed=seed, epochs=epochs, progress=advance
        )
    return (
        f"{out}: {report.accuracy:.2%} of the test images right; confident (0.9 or "
        f"more) about {report.noise_confident:.2%} of noise and "
        f"{report.average_confident:.2%} of averages of a 0 and a 1.\n"
        f"SHA-256 {report.sha256}"
    )


def _train_cifar10(
    dataset: str, out: Path, data_dir: Path | None, seed: int, epochs: int | None
) -> str:
    """Train the classifier of CIFAR10 and return a message about its accuracy."""
    from mmbench.metrics._cifar_training import EPOCHS
    from mmbench.metrics._cifar_training import train as train_classifier
    from mmbench.tasks._cifar10_data import cifar10_split

    data = cifar10_split(data_dir)
    with _bar(dataset) as advance:
        report = train_classifier(
            data, out, seed=seed, epochs=epochs or EPOCHS, progress=advance
        )
    return (
        f"{out}: {report.accuracy:.2%} of the test images right.\n"
        f"SHA-256 {report.sha256}"
    )


@contextmanager
def _bar(dataset: str) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar of epochs."""
    with click.progressbar(length=1, label=f"training on {dataset}") as bar:

        def advance(done: int, epochs: int) -> None:
            bar.length = epochs
            bar.update(done - bar.pos)

        yield advance


# ---- fetch ----


@command.command("fetch")
@click.argument("network", type=click.Choice(["inception"]))
@click.option(
    "--from",
    "source",
    type=Folder(),
    help="Published file that you have already.  [default: a download of 96 MB]",
)
def fetch(network: str, source: Path | None) -> None:
    """Fetch the weights of a network, check them, and store them in the user's cache.

    Only scores computed with these weights are named FID and IS.
    """
    from mmbench.metrics._inception import shapes
    from mmbench.metrics._inception_file import ORIGINAL_SHA256
    from mmbench.metrics._inception_file import fetch as fetch_weights

    path = fetch_weights(shapes(), source)
    print_stdout(f"{network}: {path}, made from SHA-256 {ORIGINAL_SHA256}")
