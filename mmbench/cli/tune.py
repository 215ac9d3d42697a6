"""mmbench tune: trials of every method, and a suite of the winners."""

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmbench.cli import print_command, print_stderr, print_stdout
from mmbench.cli._numbers import Folder, Whole
from mmbench.cli._resource_options import data_dir_option, sigterm_as_interrupt
from mmbench.cli._selection import Selection, selection_options

if TYPE_CHECKING:
    import pandas as pd

    import mmbench.runner.tuning

# "\b" keeps click from filling a paragraph.
EXAMPLES = """\b
Examples:
  mmbench tune -t bilinear -a gda -a omd --budget 600 --out tuned
  mmbench run tuned/suite.toml --report page
"""


@click.command(
    "tune", short_help="Tune every method on equal budgets.", epilog=EXAMPLES
)
@selection_options
@click.option(
    "--out",
    type=Folder(),
    required=True,
    help="Folder of the record of tuning and of the suite of the winners.",
)
@click.option(
    "--trials",
    type=Whole(1),
    metavar="N",
    default=16,
    show_default=True,
    help="Points of each method on each task.",
)
@click.option(
    "--tuning-seeds",
    type=Whole(1),
    metavar="N",
    default=3,
    show_default=True,
    help="Runs of each trial.",
)
@click.option(
    "--first-tuning-seed",
    type=Whole(0),
    metavar="N",
    default=10_000,
    show_default=True,
    help="The least seed of these runs.",
)
@click.option(
    "--seed",
    type=Whole(0),
    metavar="N",
    default=0,
    show_default=True,
    help="Seed of the points.",
)
@click.option(
    "--repetitions",
    type=Whole(1),
    metavar="N",
    default=1,
    show_default=True,
    help="Tune so often, with other points, tuning seeds and seeds.",
)
@click.option(
    "--only",
    metavar="TASK",
    multiple=True,
    help="Task or family of SUITE to tune; repeatable.  [default: all]",
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Device that the games are computed on.",
)
@data_dir_option
@click.option(
    "--workers",
    type=Whole(1),
    metavar="N",
    help="Most processes that compute.  [default: one for each core, where the work is "
    "worth it]",
)
def command(
    selection: Selection,
    out: Path,
    trials: int,
    tuning_seeds: int,
    first_tuning_seed: int,
    seed: int,
    repetitions: int,
    only: tuple[str, ...],
    device: str,
    data_dir: Path | None,
    workers: int | None,
) -> None:
    """Tune the methods of SUITE, or of a grid of -t and -a, on each task by itself.

    All methods get the same random points in their search spaces, and each run spends
    the whole --budget. The winners stand in OUT/suite.toml, which `mmbench run` takes:
    it compares them on --seeds, none of which is a tuning seed. The same command goes
    on where it was interrupted.
    """
    from mmbench.core.cost import amount
    from mmbench.core.placement import Placement, pick_device
    from mmbench.runner.tuning import (
        Tuning,
        part_of,
        plan_tuning,
        tune,
        untuned,
        write_suite,
    )
    from mmbench.store.tuning_record import RecordFolder

    tuning = Tuning(trials, tuning_seeds, first_tuning_seed, seed, repetitions)
    with selection.explain_external_errors():
        suite = part_of(untuned(selection.suite), only)
        jobs = plan_tuning(suite, tuning)
    placement = Placement(device=pick_device(device), data_dir=data_dir)
    about = {
        "command": _command(selection, tuning, only, out),
        "suite": selection.suite.name,
        "budgets": sorted({amount(job.cell.budget, job.cell.unit) for job in jobs}),
        **tuning._asdict(),
    }
    folder = RecordFolder(out)
    with selection.explain_external_errors(), sigterm_as_interrupt():
        record = tune(jobs, folder, about, placement, workers or 0, _tell(len(jobs)))
    written = write_suite(suite, record, out, tuning)
    _show(record)
    print_stdout(f"Record: {folder.record}")
    words = ["mmbench", "run", str(written)]
    print_command(words, "Next: ")


def _command(
    selection: Selection,
    tuning: "mmbench.runner.tuning.Tuning",
    only: Sequence[str],
    out: Path,
) -> str:
    """Return the command that makes this record, whatever the defaults become."""
    given = {
        "--trials": tuning.trials,
        "--tuning-seeds": tuning.seeds,
        "--first-tuning-seed": tuning.first_seed,
        "--seed": tuning.seed,
        "--repetitions": tuning.repetitions,
        "--out": out,
    }
    words = [word for name in only for word in ("--only", name)]
    words += [str(word) for pair in given.items() for word in pair]
    return f"mmbench tune {selection} {shlex.join(words)}"


def _tell(count: int) -> "Callable[[mmbench.runner.tuning.Job, pd.DataFrame], None]":
    """Return a function that prints each job that is done."""
    done = 0

    def tell(job: "mmbench.runner.tuning.Job", trials: Any) -> None:
        nonlocal done
        done += 1
        reached = trials.groupby("trial")["cost_to_target"].apply(_is_reached).sum()
        print_stderr(
            f"{job.cell.label} on {job.task}, repetition {job.repetition + 1}: "
            f"{reached} of {len(job.trials)} trials reached the target "
            f"({done} of at most {count} tuned)"
        )

    return tell


def _is_reached(costs: "pd.Series") -> bool:
    return bool(costs.notna().all())


def _show(record: Any) -> None:
    """Print the winners."""
    from mmbench.cli._console import print_table
    from mmbench.runner.tuning_winners import winners

    rows = [
        (
            row["task"],
            row["label"],
            str(row["trial"]),
            row["algorithm"],
            f"{row['reached']:.0%}",
        )
        for row in winners(record).to_dict("records")
        if row["repetition"] == 0
    ]
    columns = ("task", "label", "trial", "winner", "reached")
    print_table(columns, rows, right=("trial", "reached"))
