"""mmbench verify: a random sample of a store is computed again and compared."""

from collections import Counter
from pathlib import Path

import click

from mmbench.cli import Failed, printed
from mmbench.cli.replay import again, computing
from mmbench.core.errors import MmbenchError, StoreError


@click.command("verify", short_help="Compute a random sample of a store again.")
@click.argument("store", type=click.Path(path_type=Path))
@click.option(
    "--sample",
    type=click.IntRange(1),
    default=5,
    show_default=True,
    help="Cells to draw; one run of each is computed.",
)
@click.option(
    "--seed",
    "draw",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Of the draw; choose one that whoever submitted the results cannot know.",
)
@computing
def command(
    store: Path,
    sample: int,
    draw: int,
    outside: tuple[str, ...],
    device: str,
    data_dir: Path | None,
) -> None:
    """Draw cells of STORE and a run of each, compute these again and compare.

    This is how submitted results are checked. It is strict on the machine class that
    computed them; elsewhere runs of chaotic dynamics depart, and how far they agree
    is told.

    Exit codes: 0 when no run differs, 1 when one does or a cell cannot be computed.
    """
    from mmbench.cli._console import counted
    from mmbench.cli._progress import named
    from mmbench.runner.replay import Verdict, sample_keys, sample_seed
    from mmbench.runner.stored_cell import stored_cell
    from mmbench.store.folder import Store

    kept = Store(store)
    keys = sample_keys(list(kept), sample, draw)
    if not keys:
        raise StoreError(f"STORE must be a folder with results; {store} has none.")
    verdicts: Counter[str] = Counter()
    for number, key in enumerate(keys, 1):
        at = f"[{number}/{len(keys)}] {key[:8]}"
        try:
            stored = kept.require(key)
            seed = sample_seed(stored_cell(stored, outside), draw)
            done = again(kept, stored, seed, outside, device, data_dir, f"{at} ")
        except MmbenchError as error:
            verdicts["not computed"] += 1
            printed(f"{at}: not computed: {error}")
            continue
        verdicts[done.verdict] += 1
        others = f" (other circumstances: {'; '.join(done.differences)})"
        printed(
            f"{at} {named(done.cell)}, seed {done.seeds[0]}: {done}"
            f"{others if done.differences else ''}"
        )
    told = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())
    if verdicts[Verdict.DIFFERS] or verdicts["not computed"]:
        raise Failed(
            f"{store} is not verified: of {counted(len(keys), 'cell')}, {told}."
        )
    printed(f"{store}: of {counted(len(keys), 'cell')}, {told}.")
