"""mmbench replay: a stored cell runs again and is compared with what is stored."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmbench.cli import Failed, printed, say
from mmbench.cli._selection import blaming, storing

if TYPE_CHECKING:  # replay imports torch
    import mmbench.runner.replay
    import mmbench.store.folder
    import mmbench.store.stored_files


def computing(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the options of how stored cells are computed again."""
    for option in (
        click.option(
            "--data-dir",
            type=click.Path(path_type=Path),
            help="Folder of data files.  [default: MMBENCH_DATA, then a download]",
        ),
        click.option(
            "--device",
            type=click.Choice(["auto", "cpu", "cuda"]),
            default="auto",
            help="Where it is computed.  [default: what computed it, if it is there]",
        ),
        click.option(
            "--outside",
            metavar="FILE.py:CLASS",
            multiple=True,
            help="A class from outside mmbench that the cell needs. Repeatable.",
        ),
    ):
        verb = option(verb)
    return verb


def again(
    store: "mmbench.store.folder.Store",
    stored: "mmbench.store.stored_files.StoredFiles",
    seed: int | None,
    outside: tuple[str, ...],
    device: str,
    data_dir: Path | None,
    at: str = "",
) -> "mmbench.runner.replay.Replay":
    """Compute a stored cell again where the options say, and say so before.

    Raises:
        MmbenchError: when that cannot be, for what an outside class raises too.
    """
    from mmbench.cli._console import counted
    from mmbench.cli._progress import named
    from mmbench.core.placement import pick_device
    from mmbench.runner.replay import placement_of, replay, steps_to_replay
    from mmbench.runner.stored_cell import stored_cell

    placement = placement_of(stored.footer)
    if device != "auto":
        placement = placement._replace(device=pick_device(device))
    placement = placement._replace(data_dir=data_dir)
    with blaming(lambda: outside):
        cell = stored_cell(stored, outside)
        runs = f"seed {seed}" if seed is not None else counted(len(cell.seeds), "run")
        steps = counted(steps_to_replay(cell, store), "step")
        say(f"{at}{named(cell)}, {runs}: {steps} to compute.")
        return replay(store, stored, seed=seed, external=outside, placement=placement)


@click.command("replay", short_help="Compute a stored cell again and compare.")
@click.argument("key")
@storing
@click.option("--seed", type=click.IntRange(0), help="Of the only run to be compared.")
@computing
def command(
    key: str,
    store: Path,
    seed: int | None,
    outside: tuple[str, ...],
    device: str,
    data_dir: Path | None,
) -> None:
    """Compute the stored cell KEY again and compare every number of every record.

    KEY may be the beginning of a key. On the machine class and with the versions that
    computed it, a cell is bit-identical; elsewhere it agrees within a tolerance (0.001
    of a number, 0.000001 in float64) until roundings have grown, and the first record
    beyond is told.

    Exit codes: 0 when it is bit-identical or, circumstances being others, agrees until
    it departs; 1 when it differs; 2 when it cannot be computed here.
    """
    from mmbench.cli._console import counted
    from mmbench.cli._progress import named
    from mmbench.runner.replay import Verdict
    from mmbench.runner.stored_cell import key_of
    from mmbench.store.folder import Store

    kept = Store(store)
    whole = key_of(kept, key)
    done = again(kept, kept.require(whole), seed, outside, device, data_dir)
    printed(f"{whole}: {named(done.cell)}")
    printed(f"{counted(len(done.seeds), 'run')} of {done.records} records: {done}")
    for difference in done.differences:
        printed(f"Other circumstances: {difference}")
    if done.unmatched:
        printed(f"Not compared, as no metric gives it: {', '.join(done.unmatched)}")
    for fault in done.faults:
        printed(f"Fault: {fault}")
    if done.verdict is Verdict.DIFFERS:
        raise Failed(f"{whole} is not what mmbench computes: it {done}.")
