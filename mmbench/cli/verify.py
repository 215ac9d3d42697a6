"""mmbench verify: compute a random sample of a store again and compare it."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from mmbench.cli import InputError, WorkError, print_stderr, print_stdout
from mmbench.cli._numbers import Folder, Whole
from mmbench.cli.replay import (
    DamagedFilesError,
    UnconfirmedError,
    placement_for,
    replay_options,
    replay_stored_cell,
)
from mmbench.core.errors import DamagedError, MmbenchError, StoreError

if TYPE_CHECKING:  # they import torch
    import mmbench.runner.fresh_seeds
    import mmbench.runner.replay
    import mmbench.store.folder
    import mmbench.store.stored_files

# Verdicts besides those of a replay.
DAMAGED, NOT_COMPUTED = "damaged", "not computed"
CONFIRMED = "departs and agrees with fresh seeds"


@click.command("verify", short_help="Compute a random sample of a store again.")
@click.argument("store", type=Folder())
@click.option(
    "--sample",
    type=Whole(1),
    metavar="N",
    default=5,
    show_default=True,
    help="Number of cells to draw; one run of each is computed.",
)
@click.option(
    "--seed",
    "draw",
    type=Whole(0),
    metavar="N",
    default=0,
    show_default=True,
    help="Seed of the draw; choose one that the author of the results cannot know.",
)
@click.option(
    "--fresh-seeds",
    is_flag=True,
    help="Compute cells that depart with as many other seeds (32 at the least), and "
    "compare the distributions by permutation tests, at level 0.001 for each cell.",
)
@replay_options
def command(
    store: Path,
    sample: int,
    draw: int,
    fresh_seeds: bool,
    external: tuple[str, ...],
    device: str,
    data_dir: Path | None,
) -> None:
    """Draw cells of STORE and a run of each, compute the runs again and compare.

    This is how submitted results are checked. With the same versions and on the same
    class of machine, no run may depart from its stored numbers. In other circumstances
    a run agrees, or departs as far as rounding errors have grown by then, which
    confirms nothing: such cells are listed as unconfirmed, unless --fresh-seeds shows
    that they agree in distribution with other seeds. See `mmbench replay --help`.

    The files of all other cells are read, and compared with what follows from their
    descriptions; nothing is known of their numbers.

    Exit codes, the first that applies: 1 when a cell differs, 4 when a file is damaged,
    2 when a cell cannot be computed here, 3 when a cell is unconfirmed, 0 when all that
    were drawn are bit-identical or agree.
    """
    from mmbench.cli._console import pluralize
    from mmbench.runner.replay import Verdict, sample_keys
    from mmbench.store.folder import Store

    kept = Store(store)
    everything = list(kept)
    keys = sample_keys(everything, sample, draw)
    if not keys:
        raise StoreError(f"STORE must be a folder with results; {store} has none.")
    options = _Options(draw, fresh_seeds, external, device, data_dir)
    checked = [
        _check(kept, key, options, f"[{number}/{len(keys)}] {key[:8]}")
        for number, key in enumerate(keys, 1)
    ]
    others = sorted({*everything} - {*keys})
    checked += [one for key in others if (one := _read(kept, key, options))]
    for one in checked:
        if one.verdict in {Verdict.DEPARTS, Verdict.UNCONFIRMED}:
            print_stdout(f"Unconfirmed: {one.key} {one.title}")
    if unchecked := dict.fromkeys(name for one in checked for name in one.unchecked):
        print_stdout(f"Not checked: {', '.join(unchecked)}")
    verdicts = Counter(one.verdict for one in checked)
    result = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())
    drawn = f"{len(keys):,} of {pluralize(len(everything), 'cell')} checked"
    summary = f"{drawn}, one run of each: {result}."
    errors: tuple[tuple[str, type[WorkError]], ...] = (
        (Verdict.DIFFERS, WorkError),
        (DAMAGED, DamagedFilesError),
        (NOT_COMPUTED, InputError),
        (Verdict.DEPARTS, UnconfirmedError),
        (Verdict.UNCONFIRMED, UnconfirmedError),
    )
    for verdict, error in errors:
        if verdicts[verdict]:
            raise error(f"{store} is not verified: {summary}")
    print_stdout(f"{store}: {summary}")


class _Options(NamedTuple):
    """The options of the verb, as it describes them."""

    draw: int
    fresh_seeds: bool
    external: tuple[str, ...]
    device: str
    data_dir: Path | None


class _Checked(NamedTuple):
    """What a check of one cell gave: a verdict, and what was not compared."""

    key: str
    verdict: str
    title: str = ""
    unchecked: Sequence[str] = ()


def _check(
    kept: "mmbench.store.folder.Store", key: str, options: _Options, prefix: str
) -> _Checked:
    """Compute a run of a cell, compare it, and print what came of it."""
    from mmbench.cli._progress import cell_title
    from mmbench.runner.replay import Verdict, sample_seed
    from mmbench.runner.stored_cell import stored_cell

    try:
        stored = kept.require(key)
        _raise_if_damaged(stored)
        cell = stored_cell(stored, options.external)
        seed = sample_seed(cell, options.draw)
        given = options.external, options.device, options.data_dir
        done = replay_stored_cell(kept, stored, seed, *given, f"{prefix} ")
        verdict, words, unchecked = str(done.verdict), str(done), done.unchecked
        if options.fresh_seeds and done.verdict is Verdict.DEPARTS:
            tested = _compare_with_fresh_seeds(done, stored, options, prefix)
            words, unchecked = f"{words}; {tested}", [*unchecked, *tested.untested]
            if tested.differ:
                verdict = Verdict.DIFFERS
            elif tested.agree:  # which answers no doubt but that of the departure
                verdict = Verdict.UNCONFIRMED if done.doubts else CONFIRMED
    except MmbenchError as error:
        verdict = DAMAGED if isinstance(error, DamagedError) else NOT_COMPUTED
        print_stdout(f"{prefix}: {verdict}: {error}")
        return _Checked(key, verdict)
    title = f"{cell_title(cell)}, seed {seed}"
    differences = f" (other circumstances: {'; '.join(done.differences)})"
    print_stdout(f"{prefix} {title}: {words}{differences if done.differences else ''}")
    for doubt in done.doubts:
        print_stdout(f"{prefix} not confirmed: {doubt}")
    return _Checked(key, verdict, title, unchecked)


def _compare_with_fresh_seeds(
    done: "mmbench.runner.replay.Replay",
    stored: "mmbench.store.stored_files.StoredFiles",
    options: _Options,
    prefix: str,
) -> "mmbench.runner.fresh_seeds.FreshSeeds":
    """Compute fresh seeds of a departing cell, and compare the distributions."""
    from mmbench.runner.fresh_seeds import compare_with_fresh_seeds

    print_stderr(f"{prefix} departs: computing fresh seeds.")
    placement = placement_for(stored, options.device, options.data_dir)
    return compare_with_fresh_seeds(
        done.cell, stored, placement, options.draw, done.growth
    )


def _read(
    kept: "mmbench.store.folder.Store", key: str, options: _Options
) -> _Checked | None:
    """Read a cell that is not computed, and print what is wrong with its file.

    None where nothing is wrong, or where its external classes are not given.
    """
    from mmbench.runner.replay import Verdict, judge_file, placement_of
    from mmbench.runner.stored_cell import stored_cell

    try:
        stored = kept.require(key)
        _raise_if_damaged(stored)
        cell = stored_cell(stored, options.external)
        faults, _ = judge_file(cell, stored, placement_of(stored.footer))
    except DamagedError as error:
        print_stdout(f"{key[:8]}: damaged: {error}")
        return _Checked(key, DAMAGED)
    except MmbenchError:
        return None
    for fault in faults[:1]:
        print_stdout(f"{key[:8]} {cell.label} on {cell.task}: differs: {fault}")
    return _Checked(key, Verdict.DIFFERS) if faults else None


def _raise_if_damaged(stored: "mmbench.store.stored_files.StoredFiles") -> None:
    for fault in stored.faults:
        raise DamagedError(fault)
