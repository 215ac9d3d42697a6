"""mmbench replay: compute a stored cell again and compare the results."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmbench.cli import WorkError, print_stderr, print_stdout
from mmbench.cli._numbers import Whole
from mmbench.cli._resource_options import data_dir_option
from mmbench.cli._selection import explain_external_errors, store_option

if TYPE_CHECKING:  # it imports torch
    import mmbench.runner.replay
    import mmbench.store.folder
    import mmbench.store.stored_files


def replay_options(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the options for computing stored cells again."""
    for option in (
        data_dir_option,
        click.option(
            "--device",
            type=click.Choice(["auto", "cpu", "cuda"]),
            default="auto",
            help="Device to compute on.  [default: the one that computed the cell, if "
            "there is one]",
        ),
        click.option(
            "--outside",
            "external",
            metavar="FILE.py:CLASS",
            multiple=True,
            help="External class that the cell needs; repeatable.",
        ),
    ):
        verb = option(verb)
    return verb


def replay_stored_cell(
    store: "mmbench.store.folder.Store",
    stored: "mmbench.store.stored_files.StoredFiles",
    seed: int | None,
    external: tuple[str, ...],
    device: str,
    data_dir: Path | None,
    prefix: str = "",
) -> "mmbench.runner.replay.Replay":
    """Print what will be computed, and compute a stored cell again.

    Args:
        store: the store that has the cell.
        stored: files of the cell.
        seed: seed of the only run to compute; None for all runs.
        external: references of the external classes that the cell needs.
        device: "auto", "cpu" or "cuda".
        data_dir: folder of data files.
        prefix: text before the printed line.

    Raises:
        MmbenchError: when the cell cannot be computed; exceptions of external classes
            are among the reasons.
    """
    from mmbench.cli._console import pluralize
    from mmbench.cli._progress import cell_title
    from mmbench.core.placement import pick_device
    from mmbench.runner.replay import placement_of, replay, steps_to_replay
    from mmbench.runner.stored_cell import stored_cell

    placement = placement_of(stored.footer)
    if device != "auto":
        placement = placement._replace(device=pick_device(device))
    placement = placement._replace(data_dir=data_dir)
    with explain_external_errors(lambda: external):
        cell = stored_cell(stored, external)
        runs = f"seed {seed}" if seed is not None else pluralize(len(cell.seeds), "run")
        steps = pluralize(steps_to_replay(cell, store), "step")
        print_stderr(f"{prefix}{cell_title(cell)}, {runs}: {steps} to compute.")
        return replay(store, stored, seed=seed, external=external, placement=placement)


@click.command("replay", short_help="Compute a stored cell again and compare.")
@click.argument("key")
@store_option
@click.option(
    "--seed",
    type=Whole(0),
    metavar="N",
    help="Seed of the only run to compare.",
)
@replay_options
def command(
    key: str,
    store: Path,
    seed: int | None,
    external: tuple[str, ...],
    device: str,
    data_dir: Path | None,
) -> None:
    """Compute the stored cell KEY again and compare every number of every record.

    KEY may be the beginning of a key. With the same versions and on the same class of
    machine, a cell is bit-identical. Otherwise it agrees within a tolerance (0.001 of a
    number, 0.000001 in float64) until rounding errors have grown; then the first record
    that departs is printed.

    Exit codes: 0 when the cell is bit-identical or, in other circumstances, agrees
    until it departs; 1 when it differs; 2 when it cannot be computed here.
    """
    from mmbench.cli._console import pluralize
    from mmbench.cli._progress import cell_title
    from mmbench.runner.replay import Verdict
    from mmbench.runner.stored_cell import key_of
    from mmbench.store.folder import Store

    kept = Store(store)
    whole = key_of(kept, key)
    stored = kept.require(whole)
    done = replay_stored_cell(kept, stored, seed, external, device, data_dir)
    print_stdout(f"{whole}: {cell_title(done.cell)}")
    print_stdout(
        f"{pluralize(len(done.seeds), 'run')} of {done.records} records: {done}"
    )
    for difference in done.differences:
        print_stdout(f"Other circumstances: {difference}")
    if done.unmatched:
        print_stdout(
            f"Not compared, as no metric gives it: {', '.join(done.unmatched)}"
        )
    for fault in done.faults:
        print_stdout(f"Fault: {fault}")
    if done.verdict is Verdict.DIFFERS:
        raise WorkError(f"{whole} is not what mmbench computes: it {done}.")
