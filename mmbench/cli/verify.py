"""mmbench verify: compute a random sample of a store or a bundle again and compare."""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import click

from mmbench.cli import InputError, WorkError, print_stderr, print_stdout
from mmbench.cli._numbers import Folder, Number, Whole
from mmbench.cli._resource_options import Size, sigterm_as_interrupt
from mmbench.cli.replay import (
    DamagedFilesError,
    UnconfirmedError,
    placement_for,
    placement_options,
    replay_stored_cell,
)
from mmbench.core.errors import DamagedError, DescriptionError, MmbenchError, StoreError

if TYPE_CHECKING:  # they import torch
    import mmbench.runner.fresh_seeds
    import mmbench.runner.replay
    import mmbench.store.folder
    import mmbench.store.stored_files

# Verdicts besides those of a replay.
DAMAGED, NOT_COMPUTED = "damaged", "not computed"
CONFIRMED = "departs and agrees with fresh seeds"


TIMEOUT_SECONDS, MEMORY_BYTES = 600.0, 4 * 2**30  # of the check of a bundle
_OF_BUNDLE = "OF-BUNDLE"  # the value of --outside without one


@click.command("verify", short_help="Compute a random sample of a store again.")
@click.argument("store", type=Folder(), metavar="STORE|BUNDLE")
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
@click.option(
    "--outside",
    "external",
    metavar="[FILE.py:CLASS]",
    multiple=True,
    is_flag=False,
    flag_value=_OF_BUNDLE,
    help="External class that the cells of STORE need; repeatable. After BUNDLE and "
    "without a value: run the classes that it brings.",
)
@click.option(
    "--timeout",
    type=Number("seconds"),
    metavar="SECONDS",
    help=f"End the check of BUNDLE after so long.  [default: {TIMEOUT_SECONDS:g}]",
)
@click.option(
    "--memory",
    type=Size(),
    help="End the check of BUNDLE if its process needs more.  [default: 4GB]",
)
# The process with limits is started by the same verb, with this option.
@click.option("--limited", is_flag=True, hidden=True)
@placement_options
def command(
    store: Path,
    sample: int,
    draw: int,
    fresh_seeds: bool,
    external: tuple[str, ...],
    device: str,
    data_dir: Path | None,
    timeout: float | None,
    memory: int | None,
    limited: bool,
) -> None:
    """Draw cells of STORE and a run of each, compute the runs again and compare.

    STORE may be a folder of `mmbench leaderboard --publish`, of which the two records
    of each run are compared that are published; its curves and pages are not.

    This is how submitted results are checked. With the same versions and on the same
    class of machine, no run may depart from its stored numbers. In other circumstances
    a run agrees, or departs as far as rounding errors have grown by then, which
    confirms nothing: such cells are listed as unconfirmed, unless --fresh-seeds shows
    that they agree in distribution with other seeds. See `mmbench replay --help`.

    The files of all other cells are read, and compared with what follows from their
    descriptions; nothing is known of their numbers.

    BUNDLE is a file of `mmbench submit`. It is unpacked into a folder that is deleted
    afterwards, and checked in a process with limits. Code that it brings runs only with
    --outside. The process is no sandbox: such code can do what you can, and may print
    any verdict. Read it first.

    Exit codes, the first that applies: 1 when a cell differs, 4 when a file is damaged,
    2 when a cell cannot be computed here, 3 when a cell is unconfirmed, 0 when all that
    were drawn are bit-identical or agree.
    """
    options = _Options(draw, fresh_seeds, external, device, data_dir)
    if limited:
        _verify_bundle(store, sample, options)
    elif store.is_file():
        if external not in ((), (_OF_BUNDLE,)):
            raise DescriptionError(
                "--outside must have no value for a bundle, whose own classes it "
                f"means; got {external[0]!r}."
            )
        _verify_in_process(store, timeout or TIMEOUT_SECONDS, memory or MEMORY_BYTES)
    else:
        if _OF_BUNDLE in external:
            raise DescriptionError(
                "--outside must name a class for a store, path/to/file.py:Class; got "
                "none."
            )
        if timeout or memory:
            raise DescriptionError(
                "--timeout and --memory must be given for a bundle alone; "
                f"{store} is none."
            )
        _verify_store(store, str(store), sample, options)


def _verify_store(
    folder: Path,
    name: str,
    sample: int,
    options: "_Options",
    unknown: Sequence[str] = (),
) -> None:
    """Check a store, print what came of it, and raise where it is not verified.

    Args:
        folder: its folder.
        name: what it is called.
        sample: number of cells to draw.
        options: those of the verb.
        unknown: keys of cells of code that is not run.
    """
    from mmbench.cli._console import pluralize
    from mmbench.runner.replay import Verdict, sample_keys

    kept = _opened(folder, options)
    everything = list(kept)
    keys = sample_keys(sorted({*everything} - {*unknown}), sample, options.draw)
    if not everything:
        raise StoreError(f"STORE must be a folder with results; {name} has none.")
    checked = [
        _check(kept, key, options, f"[{number}/{len(keys)}] {key[:8]}")
        for number, key in enumerate(keys, 1)
    ]
    others = sorted({*everything} - {*keys} - {*unknown})
    checked += [one for key in others if (one := _read(kept, key, options))]
    checked += [_Checked(key, NOT_COMPUTED) for key in unknown]
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
            raise error(f"{name} is not verified: {summary}")
    print_stdout(f"{name}: {summary}")


def _opened(folder: Path, options: "_Options") -> "mmbench.store.folder.Store":
    """Open a store, or a folder of published results.

    Raises:
        DescriptionError: when these cannot be verified as the options say.
    """
    from mmbench.analysis.published import is_published, read_published
    from mmbench.runner.published_cell import PublishedStore
    from mmbench.store.folder import Store

    if not is_published(folder):
        return Store(folder)
    if options.fresh_seeds:
        raise DescriptionError(
            "--fresh-seeds must be given for a store, whose runs are whole; "
            f"{folder} has published results."
        )
    try:
        results = read_published(folder)
    except DamagedError as error:
        raise DamagedFilesError(str(error)) from error
    return PublishedStore(folder, results.footers, results.frame)


# ---- bundles ----

_VERIFIED = "The bundle is verified"  # the last line of a check that found no fault


def _verify_in_process(file: Path, timeout: float, memory: int) -> None:
    """Check a bundle in a process with limits, which has the options of this verb.

    Nothing of the bundle is read here.
    """
    from mmbench.runner.limited_process import run_limited
    from mmbench.runner.limits import Limits

    given = click.get_current_context().params
    words = ["verify", str(file.absolute()), "--limited", f"--device={given['device']}"]
    words += [f"--sample={given['sample']}", f"--seed={given['draw']}"]
    if given["data_dir"]:
        words += ["--data-dir", str(given["data_dir"].absolute())]
    words += ["--fresh-seeds"] * given["fresh_seeds"]
    words += ["--outside"] * bool(given["external"])
    last = ""

    def print_line(line: str) -> None:
        nonlocal last
        last = line
        print_stdout(line)

    limits = Limits(timeout, memory)
    with sigterm_as_interrupt(), TemporaryDirectory(prefix="mmbench-") as folder:
        ended = run_limited(words, Path(folder), limits, print_line, print_stderr)
    if ended.passed:
        raise InputError(
            f"{file} must be checked within the limits; its process {ended.passed}. "
            "--timeout and --memory set others."
        )
    if ended.code == 0 and not last.startswith(_VERIFIED):
        raise InputError(
            f"{file} is not verified: the process that checked it ended without a "
            "verdict."
        )
    if ended.code < 0:
        raise InputError(
            f"{file} is not verified: the process that checked it ended with signal "
            f"{-ended.code}."
        )
    sys.exit(ended.code)


def _verify_bundle(file: Path, sample: int, options: "_Options") -> None:
    """Unpack a bundle and check it in this process.

    Args:
        file: the bundle.
        sample: number of cells to draw.
        options: those of the verb; with external classes, code of the bundle is run.
    """
    from mmbench.store import archive
    from mmbench.store.bundle import RESULTS, SOURCE, unpack
    from mmbench.store.folder import Store

    with TemporaryDirectory(prefix="mmbench-") as scratch:
        folder = Path(scratch)
        kept = Store(folder / "store")
        try:
            manifest = unpack(file, folder)
            archive.take(folder / RESULTS, kept)
        except DamagedError as error:
            raise DamagedFilesError(str(error)) from error
        run = "Code of the bundle, run" if options.external else "Not run"
        for name in manifest["members"]:
            if name.startswith(f"{SOURCE}/"):
                print_stdout(f"{run}: {name}")
        external, unknown = _prepare_code(kept, folder, manifest["classes"], options)
        options = options._replace(external=external)
        _verify_store(kept.folder, "The bundle", sample, options, unknown)
    print_stdout(f"{_VERIFIED}.")


def _prepare_code(
    kept: "mmbench.store.folder.Store",
    folder: Path,
    classes: Mapping[str, str],
    options: "_Options",
) -> tuple[tuple[str, ...], list[str]]:
    """Check that cells have their code in a bundle, and load it if it is to be run.

    Args:
        kept: the cells.
        folder: where the bundle was unpacked.
        classes: those of its manifest.
        options: those of the verb.

    Returns:
        The locations of the classes that were loaded, and the keys of the cells of code
        that is not run.
    """
    from mmbench.cli._console import pluralize
    from mmbench.runner.submission import check_classes, classes_of

    needed = {key: classes_of(kept.require(key)) for key in kept}
    for key, references in needed.items():
        for reference in references:
            if reference not in classes:
                raise StoreError(
                    f"A bundle must have the source of each class; {reference}, which "
                    f"computed {key}, is not in its manifest."
                )
    own = [key for key, references in needed.items() if references]
    if options.external:
        external = check_classes(kept, folder, classes)
        print_stdout(f"{pluralize(len(own), 'cell')} of the code in the bundle.")
        return tuple(external), []
    if own:
        print_stdout(
            f"{pluralize(len(own), 'cell')} of code in the bundle, not computed: read "
            "it, and give --outside to run it."
        )
    return (), own


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
