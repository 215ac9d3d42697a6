"""mmbench features: the frozen networks of metrics, told, trained again and fetched."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from mmbench.cli import printed


@click.group("features")
def command() -> None:
    """Tell, train again and fetch the frozen networks that metrics use."""


# ---- list ----


@command.command("list")
def listing() -> None:
    """List the networks: what they take, how good they are, where they come from."""
    from mmbench.cli._console import console, show, table
    from mmbench.metrics import _cifar_classifier, _classifier
    from mmbench.metrics._inception import CLASSES, FEATURES
    from mmbench.metrics._inception_file import (
        ORIGINAL_SHA256,
        ORIGINAL_URL,
        find_weights,
    )

    rows = table("name", "takes", "features", "classes", "accuracy", "SHA-256", "from")
    cifar = _cifar_classifier.load()
    trained = [("cifar10cnn", "colour 32×32", 256, cifar.facts, cifar.sha256)]
    for dataset, config in _classifier.CONFIGS.items():
        facts = _classifier.load(dataset).facts
        side = f"grey {config.side}×{config.side}"
        trained.append((f"{dataset}cnn", side, config.hidden, facts, config.sha256))
    for name, takes, width, facts, sha256 in trained:
        accuracy = f"{facts['test_accuracy']:.2%}"
        source = f"shipped; {facts['command']}"
        rows.add_row(name, takes, str(width), "10", accuracy, sha256, source)
    path = find_weights()
    source = f"{path}; {ORIGINAL_URL}" if path else "mmbench features fetch inception"
    widths = (str(FEATURES), str(CLASSES))
    rows.add_row("inception", "any", *widths, "", ORIGINAL_SHA256, source)
    show(console(), rows)


# ---- train ----


@command.command("train")
@click.argument("dataset", type=click.Choice(["mnist", "digits", "cifar10"]))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="The safetensors file to write.",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="Folder of data files.  [default: MMBENCH_DATA, then a download]",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option(
    "--epochs", type=click.IntRange(1), help="[default: what the shipped file had]"
)
def train(
    dataset: str, out: Path, data_dir: Path | None, seed: int, epochs: int | None
) -> None:
    """Train the classifier of DATASET on all ten classes and measure it.

    Nothing that mmbench uses is replaced: a metric takes only the shipped file.
    cifar10 takes two minutes an epoch.
    """
    import torch

    torch.set_num_threads(1)  # as the shipped files were made
    work = _train_cifar10 if dataset == "cifar10" else _train_digits
    printed(work(dataset, out, data_dir, seed, epochs))


def _train_digits(
    dataset: str, out: Path, data_dir: Path | None, seed: int, epochs: int | None
) -> str:
    """Train a classifier of digits; the result in words."""
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
    """Train the classifier of CIFAR10; the result in words."""
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
    """A progress bar of epochs."""
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
    type=click.Path(path_type=Path),
    help="The published file, downloaded before.  [default: a download of 96 MB]",
)
def fetch(network: str, source: Path | None) -> None:
    """Fetch the weights of NETWORK, check them, and keep them in the user's cache.

    Scores are named FID and IS only with these.
    """
    from mmbench.metrics._inception import shapes
    from mmbench.metrics._inception_file import ORIGINAL_SHA256
    from mmbench.metrics._inception_file import fetch as fetch_weights

    path = fetch_weights(shapes(), source)
    printed(f"{network}: {path}, made from SHA-256 {ORIGINAL_SHA256}")
