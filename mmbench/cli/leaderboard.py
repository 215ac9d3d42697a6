"""mmbench leaderboard: the ranks of the algorithms, with intervals."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmbench.cli import print_stderr
from mmbench.cli._joining import joined_results
from mmbench.cli._load_results import load_selected
from mmbench.cli._numbers import Folder, Whole
from mmbench.cli._resource_options import data_dir_option
from mmbench.cli._selection import (
    DEFAULT_STORE,
    Selection,
    selection_options,
    store_option,
)
from mmbench.cli.results import (
    FORMATS,
    choose_format,
    format_options,
    write_content,
)
from mmbench.core.errors import DescriptionError, MmbenchError
from mmbench.core.printable import escape_markdown

if TYPE_CHECKING:
    import mmbench.analysis.report.sections.base
    import mmbench.analysis.results


@click.command("leaderboard", short_help="Print the ranks of the algorithms.")
@selection_options
@store_option
@click.option(
    "--with",
    "joining",
    metavar="ALGORITHM",
    multiple=True,
    help="Method that joins the results of --store: it alone is run, on their tasks, "
    "budgets and seeds. Repeatable.",
)
@click.option(
    "--out-store",
    type=Folder(file_okay=False),
    default=DEFAULT_STORE,
    show_default=True,
    help="Folder of the results of --with.",
)
@click.option(
    "--publish",
    "published",
    type=Folder(file_okay=False),
    metavar="FOLDER",
    help="Write the ends and the curves of all runs, of which the boards can be made "
    "again, and the boards as index.html and README.md into FOLDER.",
)
@click.option(
    "--capacity",
    type=Whole(2),
    metavar="N",
    help="Number of entries that a board is made for, at least as many as it has; more "
    "of them need a smaller p to be apart.  [default: 64, or 512 and so on for more]",
)
@data_dir_option
@format_options
def command(
    selection: Selection,
    store: Path,
    joining: tuple[str, ...],
    out_store: Path,
    published: Path | None,
    capacity: int | None,
    data_dir: Path | None,
    form: str | None,
    out: Path | None,
) -> None:
    """Rank the algorithms of SUITE, of a grid, or of everything in the store.

    There is a row for each algorithm over all tasks with a target, and on each task and
    budget. Its place is an interval, by the rules in docs/board.md. csv, json and
    parquet hold all numbers; latex and markdown are tables for readers, in which the
    number of an algorithm that is apart from all others is set in bold.

    A folder that --publish has written is a --store for this verb, and the same boards
    are made of it, byte for byte.

    With --with, the results of --store (a folder, or a file of `mmbench submit` or
    `mmbench store export`; by default those that a checkout has published) are read
    and never changed or computed again. The method's own go into --out-store, so that
    the same command again computes nothing. Only results of the same tasks, budgets
    and versions as the method's are shown.
    """
    form = choose_format(form, out)
    from mmbench.analysis.leaderboard import boards, leaderboard
    from mmbench.analysis.report.latex import format_leaderboard
    from mmbench.analysis.report.page import prepare
    from mmbench.analysis.report.sections import answer, summary

    if joining:
        if published:
            raise DescriptionError(
                "--publish must stand without --with, whose results are read only; got "
                f"{published}."
            )
        if selection:
            raise DescriptionError(
                "--with must stand without a suite or a grid, since it takes those of "
                f"the results in --store; got {selection}."
            )
        loaded = joined_results(joining, store, out_store, data_dir)
    else:
        loaded = load_selected(selection, store)
        if published:
            loaded = _publish(loaded, published, capacity)
            form, out = "markdown", published / "README.md"
    results = prepare(loaded)
    if not results.finished.footers:
        raise MmbenchError(
            f"The store {store} must have a finished cell to rank; it has none yet."
        )
    if form not in ("markdown", "latex"):
        content = FORMATS[form](leaderboard(results, capacity=capacity))
    else:
        made = boards(results, capacity=capacity)
        tables = summary.section(results, made)
        assert tables
        if form == "latex":
            content = format_leaderboard(tables).encode()
        else:
            content = _markdown(results, answer.section(results, made), tables)
    write_content(content, out)
    if out:
        print_stderr(f"Leaderboard: {out}")


def _publish(
    results: "mmbench.analysis.results.Results", folder: Path, capacity: int | None
) -> "mmbench.analysis.results.Results":
    """Write the files of published results and their page; return what they hold."""
    from mmbench.analysis.published import publish, read_published
    from mmbench.analysis.report.page import board_page
    from mmbench.core.files import write_atomically

    publish(results, folder)
    kept = read_published(folder)
    page = folder / "index.html"
    write_atomically(page, [board_page(kept, capacity=capacity)])
    print_stderr(f"Leaderboard: {page}")
    return kept


def _markdown(
    results: "mmbench.analysis.results.Results",
    *sections: "mmbench.analysis.report.sections.base.Section | None",
) -> bytes:
    """Return the sections of boards as one document."""
    from mmbench.analysis.report.sections.tuning import track_in_words

    words = [f"{text}\n" for text in ("# Leaderboard", track_in_words(results)) if text]
    parts = []
    for section in filter(None, sections):
        if section.anchor == "answer":
            words += [f"{escape_markdown(text)}\n" for text in section.prose]
        parts += [_part(one) for one in section.subsections]
    return b"\n".join([*(text.encode() for text in words), *parts])


def _part(part: "mmbench.analysis.report.sections.base.Subsection") -> bytes:
    """Return the first table of a subsection, without pictures, and its sentences."""
    from mmbench.analysis.report.markdown import table_lines

    title = f"## {part.title}" if part.title else ""
    before = [escape_markdown(text) for text in (title, *part.prose) if text]
    after = [escape_markdown(text) for text in part.notes]
    table = "\n".join(table_lines(part.tables[0]))
    return "\n".join(f"{text}\n" for text in (*before, table, *after)).encode()
