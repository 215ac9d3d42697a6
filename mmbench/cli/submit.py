"""mmbench submit: make a bundle of a store, which others can verify."""

from pathlib import Path
from tempfile import TemporaryDirectory

import click

from mmbench.cli import print_command, print_stdout
from mmbench.cli._numbers import Folder, NamedFile
from mmbench.cli._selection import explain_external_errors
from mmbench.core.errors import DescriptionError
from mmbench.suites import SUITES


@click.command("submit", short_help="Make a bundle of a store for others to verify.")
@click.argument("store", type=Folder())
@click.option(
    "--out",
    type=NamedFile(".zip"),
    help="Bundle to write.  [default: STORE.mmbench.zip]",
)
@click.option(
    "--outside",
    "external",
    metavar="FILE.py:CLASS",
    multiple=True,
    help="External class that computed cells; its source goes with them. Repeatable.",
)
@click.option(
    "--suite",
    type=Folder(dir_okay=False),
    help="A suite.toml, or a built-in suite of winners; the tuning record that it "
    "names under `tuned` goes with the results.",
)
def command(
    store: Path, out: Path | None, external: tuple[str, ...], suite: Path | None
) -> None:
    """Write all cells of STORE to a bundle: a file that `mmbench verify` checks.

    It has the results, as `mmbench store export` writes them; the source files of your
    classes, with all files beside them that they import; versions and processor of the
    machines that computed, but no names of hosts and no paths; and a manifest with the
    SHA-256 of each. What is in it is printed. The same store gives the same bytes.

    What cannot be verified elsewhere is refused: cells that are damaged, unfinished or
    ended by a limit or an error, classes of a session, code that is not the code which
    computed a cell, and files outside the folder of a class.
    """
    from importlib.metadata import version

    from mmbench.analysis.published import is_published
    from mmbench.cli._console import pluralize
    from mmbench.runner.submission import gather_submission
    from mmbench.store.bundle import SUFFIX, write_bundle
    from mmbench.store.folder import Store

    if is_published(store):
        raise DescriptionError(
            "STORE must be a folder of whole results, from which they were published; "
            f"{store} has published ones, which others verify as they are: `mmbench "
            f"verify {store}`."
        )
    if suite and (built_in := SUITES.get(str(suite))) and built_in.tuned:
        suite = Path(built_in.tuned).with_name("suite.toml")
    name = store.resolve().name
    out = out or Path(f"{name}{SUFFIX}")
    if out.resolve().parent == store.resolve():
        raise DescriptionError(
            f"--out must lie outside the store, which it is made of; got {out}."
        )
    with TemporaryDirectory(prefix="mmbench-") as folder:
        with explain_external_errors(lambda: external):
            made = gather_submission(Store(store), external, suite, Path(folder))
        manifest = write_bundle(out, made.files, made.classes, version("mmbench"))
    for member, entry in manifest["members"].items():
        print_stdout(f"{entry['bytes']:>12,}  {member}")
    print_stdout(f"{pluralize(made.cells, 'cell')} in {out}")
    words = ["mmbench", "verify", str(out), *(["--outside"] if made.classes else [])]
    print_command(words, "Next: ")
