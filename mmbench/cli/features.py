"""mmbench features: the frozen classifiers of digits, and how to train them again."""

from pathlib import Path

import click


@click.group("features")
def command() -> None:
    """Train again the frozen networks that metrics use."""


@command.command("train")
@click.argument("dataset", type=click.Choice(["mnist", "digits"]))
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
    """Train the classifier of DATASET on all ten digits and measure it.

    Nothing that mmbench uses is replaced: a metric takes only the shipped file.
    """
    from mmbench.metrics._classifier_training import train as train_classifier
    from mmbench.tasks._datasets import digits_split, mnist_split

    data = mnist_split(data_dir) if dataset == "mnist" else digits_split()
    with click.progressbar(length=1, label=f"training on {dataset}") as bar:

        def advance(done: int, epochs: int) -> None:
            bar.length = epochs
            bar.update(done - bar.pos)

        report = train_classifier(
            dataset, data, out, seed=seed, epochs=epochs, progress=advance
        )
    click.echo(
        f"{out}: {report.accuracy:.2%} of the test images right; confident (0.9 or "
        f"more) about {report.noise_confident:.2%} of noise and "
        f"{report.average_confident:.2%} of averages of a 0 and a 1.\n"
        f"SHA-256 {report.sha256}"
    )
