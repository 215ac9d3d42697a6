"""mmbench report: stored results to a page."""

from pathlib import Path

import click

from mmbench.cli import printed, say
from mmbench.cli._load_results import stored
from mmbench.cli._selection import Selection, selecting, storing


@click.command("report", short_help="Write the page of what is stored.")
@selecting
@storing
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("mmbench-report"),
    show_default=True,
    help="Folder of the page and its tables.",
)
def command(selection: Selection, store: Path, out: Path) -> None:
    """Write the page of SUITE, of a grid, or of everything in the store.

    Nothing is computed: the same store gives the same page.
    """
    write(selection, store, out)


def write(selection: Selection, store: Path, out: Path) -> None:
    """Write the page and say where it is."""
    from mmbench.analysis.report.page import write_report

    results = stored(selection, store)
    for key in results.footers:
        for fault in results.store.faults(key):
            say(f"Note: {fault} What it would show is left out.")
    if selection:
        name, title = selection.suite.name, selection.suite.title
    else:
        name, title = "results", ""
    written = write_report(results, out, name=name, title=title)
    printed(f"Report: {written}")
