"""mmbench replay: compute a stored cell again and compare the results."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmbench.cli import WorkError, print_stderr, print_stdout
from mmbench.cli._numbers import Whole
from mmbench.cli._resource_options import data_dir_option
from mmbench.cli._selection import explain_external_errors, store_option

if TYPE_CHECKING:  # they import torch
    import mmbench.core.placement
    import mmbench.runner.replay
    import mmbench.store.folder
    import mmbench.store.stored_files


class UnconfirmedError(WorkError):
    """What is stored is neither confirmed nor refuted: exit code 3."""

    exit_code = 3


class DamagedFilesError(WorkError):
    """Files are not as they were written: exit code 4."""

    exit_code = 4


def replay_options(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the options for computing stored cells again."""
    return placement_options(
        click.option(
            "--outside",
            "external",
            metavar="FILE.py:CLASS",
            multiple=True,
            help="External class that the cell needs; repeatable.",
        )(verb)
    )


def placement_options(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the options that say where cells are computed again."""
    for option in (
        data_dir_option,
        click.option(
            "--device",
            type=click.Choice(["auto", "cpu", "cuda"]),
            default="auto",
            help="Device to compute on.  [default: the one that computed the cell, if "
            "there is one]",
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
    from mmbench.runner.replay import limit_of, replay, steps_to_replay
    from mmbench.runner.stored_cell import stored_cell

    placement = placement_for(stored, device, data_dir)
    with explain_external_errors(lambda: external):
        cell = stored_cell(stored, external)
        if limit_of(stored):
            return replay(store, stored, seed=seed, external=external)
        runs = f"seed {seed}" if seed is not None else pluralize(len(cell.seeds), "run")
        steps = pluralize(steps_to_replay(cell), "step")
        print_stderr(f"{prefix}{cell_title(cell)}, {runs}: {steps} to compute.")
        return replay(store, stored, seed=seed, external=external, placement=placement)


def placement_for(
    stored: "mmbench.store.stored_files.StoredFiles",
    device: str,
    data_dir: Path | None,
) -> "mmbench.core.placement.Placement":
    """Return where a stored cell is computed again; see `replay_stored_cell`."""
    from mmbench.core.placement import pick_device
    from mmbench.runner.replay import placement_of

    placement = placement_of(stored.footer)._replace(data_dir=data_dir)
    if device == "auto":
        return placement
    return placement._replace(device=pick_device(device))


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
    machine, a cell is bit-identical, or differs. In other circumstances it agrees where
    every number is within a thousand roundings of the one computed and rounding
    may have moved it so far by that step, which is measured by runs with random errors
    of the size of rounding. It departs where numbers are further apart, as rounding
    allows, and differs otherwise. Cells that this one continues are computed as well.

    Exit codes: 0 when the cell is bit-identical or agrees, 1 when it differs, 2 when it
    cannot be computed here, 3 when it departs or is unconfirmed otherwise, which shows
    nothing either way, 4 when its files are damaged.
    """
    from mmbench.cli._console import pluralize
    from mmbench.cli._progress import cell_title
    from mmbench.core.errors import DamagedError
    from mmbench.runner.replay import Verdict
    from mmbench.runner.stored_cell import key_of
    from mmbench.store.folder import Store

    kept = Store(store)
    whole = key_of(kept, key)
    stored = kept.require(whole)
    try:
        done = replay_stored_cell(kept, stored, seed, external, device, data_dir)
    except DamagedError as error:
        raise DamagedFilesError(str(error)) from error
    print_stdout(f"{whole}: {cell_title(done.cell)}")
    print_stdout(
        f"{pluralize(len(done.seeds), 'run')} of {done.records} records: {done}"
    )
    for difference in done.differences:
        print_stdout(f"Other circumstances: {difference}")
    for fault in done.faults:
        print_stdout(f"Fault: {fault}")
    for doubt in done.doubts:
        print_stdout(f"Unconfirmed: {doubt}")
    print_stdout(f"Not checked: {', '.join(done.unchecked)}")
    if done.verdict is Verdict.DIFFERS:
        raise WorkError(f"{whole} is not what mmbench computes: it {done}.")
    if done.verdict in (Verdict.DEPARTS, Verdict.UNCONFIRMED):
        raise UnconfirmedError(f"{whole} is not confirmed: it {done}.")
