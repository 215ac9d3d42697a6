"""mmbench verify: compute a random sample of a store again and compare it."""

from collections import Counter
from pathlib import Path

import click

from mmbench.cli import WorkError, print_stdout
from mmbench.cli._numbers import Folder, Whole
from mmbench.cli.replay import replay_options, replay_stored_cell
from mmbench.core.errors import MmbenchError, StoreError


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
@replay_options
def command(
    store: Path,
    sample: int,
    draw: int,
    external: tuple[str, ...],
    device: str,
    data_dir: Path | None,
) -> None:
    """Draw cells of STORE and a run of each, compute the runs again and compare.

    This is how submitted results are checked. With the same versions and on the same
    class of machine, no run may depart from its stored numbers. Otherwise runs of
    chaotic dynamics depart after a while, and the first record that departs is printed.

    Exit codes: 0 when no run differs, 1 when one does or a cell cannot be computed.
    """
    from mmbench.cli._console import pluralize
    from mmbench.cli._progress import cell_title
    from mmbench.runner.replay import Verdict, sample_keys, sample_seed
    from mmbench.runner.stored_cell import stored_cell
    from mmbench.store.folder import Store

    kept = Store(store)
    keys = sample_keys(list(kept), sample, draw)
    if not keys:
        raise StoreError(f"STORE must be a folder with results; {store} has none.")
    verdicts: Counter[str] = Counter()
    for number, key in enumerate(keys, 1):
        prefix = f"[{number}/{len(keys)}] {key[:8]}"
        try:
            stored = kept.require(key)
            seed = sample_seed(stored_cell(stored, external), draw)
            done = replay_stored_cell(
                kept, stored, seed, external, device, data_dir, f"{prefix} "
            )
        except MmbenchError as error:
            verdicts["not computed"] += 1
            print_stdout(f"{prefix}: not computed: {error}")
            continue
        verdicts[done.verdict] += 1
        differences = f" (other circumstances: {'; '.join(done.differences)})"
        print_stdout(
            f"{prefix} {cell_title(done.cell)}, seed {done.seeds[0]}: {done}"
            f"{differences if done.differences else ''}"
        )
    result = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())
    if verdicts[Verdict.DIFFERS] or verdicts["not computed"]:
        raise WorkError(
            f"{store} is not verified: of {pluralize(len(keys), 'cell')}, {result}."
        )
    print_stdout(f"{store}: of {pluralize(len(keys), 'cell')}, {result}.")
