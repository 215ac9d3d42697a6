"""mmbench cite: BibTeX of what stored results used."""

from pathlib import Path

import click

from mmbench.cli._load_results import load_selected
from mmbench.cli._numbers import NamedFile
from mmbench.cli._selection import Selection, selection_options, store_option
from mmbench.cli.results import write_content


@click.command("cite", short_help="Print BibTeX of what stored results used.")
@selection_options
@store_option
@click.option(
    "--out", type=NamedFile(".bib"), help="Write to this file, not to stdout."
)
def command(selection: Selection, store: Path, out: Path | None) -> None:
    """Print BibTeX of what SUITE, a grid, or everything in the store used.

    There is an entry for mmbench and for the source of each algorithm, task, data set
    and metric, as far as they state one. Authors are family names; journals are left to
    the links.
    """
    from mmbench.analysis.report.bibliography import to_bibtex
    from mmbench.analysis.report.page import prepare

    results = prepare(load_selected(selection, store))
    write_content(to_bibtex(results.footers.values()).encode(), out)
