"""mmbench report: a page about stored results."""

from pathlib import Path

import click

from mmbench.cli import print_stderr, print_stdout
from mmbench.cli._load_results import load_selected
from mmbench.cli._numbers import Folder
from mmbench.cli._selection import Selection, selection_options, store_option
from mmbench.core.errors import MmbenchError

FILE_SUFFIXES = (".csv", ".htm", ".html", ".json", ".md", ".pdf", ".tex", ".zip")


@click.command("report", short_help="Write a page about stored results.")
@selection_options
@store_option
@click.option(
    "--out",
    type=Folder(),
    default=Path("mmbench-report"),
    show_default=True,
    help="Folder to write into.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["html", "latex"]),
    default="html",
    show_default=True,
    help="The page, or its tables as files of LaTeX.",
)
def command(selection: Selection, store: Path, out: Path, form: str) -> None:
    """Write a page about SUITE, a grid, or everything in the store.

    Nothing is computed: the same store gives the same page.
    """
    if out.suffix.lower() in FILE_SUFFIXES and not out.is_dir():
        raise MmbenchError(
            f"--out must be a folder; got {str(out)!r}, which is the name of a file."
        )
    if form == "html":
        write_page(selection, store, out)
        return
    from mmbench.analysis.report.page import write_tables

    files = write_tables(load_selected(selection, store), out)
    for file in files:
        print_stdout(str(file))


def write_page(selection: Selection, store: Path, out: Path) -> None:
    """Write the page and print its path."""
    from mmbench.analysis.report.page import write_report

    results = load_selected(selection, store)
    if kept := results.store:  # none of published results
        for key in results.footers:
            for fault in kept.faults(key):
                print_stderr(f"Note: {fault} The report leaves out what it would show.")
    if selection:
        name, title = selection.suite.name, selection.suite.title
    else:
        name, title = "results", ""
    page = write_report(results, out, name=name, title=title)
    print_stdout(f"Report: {page}")
