"""mmbench figure: a figure of stored results, for a paper."""

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from mmbench.cli import print_stdout
from mmbench.cli._load_results import load_selected
from mmbench.cli._numbers import Folder
from mmbench.cli._selection import Selection, selection_options, store_option
from mmbench.cli.results import write_content
from mmbench.core.errors import DescriptionError, MmbenchError, unknown_name

EXAMPLES = """\b
Examples:
  mmbench figure --list
  mmbench figure convergence --store S --out fig.pdf --against cost --data
  mmbench figure phase_portrait --store S --only bilinear --width page --out fig.svg
  mmbench figure icr/6 --out figures
  mmbench figure --all --out figures
"""

# Parameters that figures of papers take.
OF_PAPERS = ("name", "store", "listing", "every", "out")


@click.command(
    "figure", short_help="Write a figure of stored results.", epilog=EXAMPLES
)
@click.argument("name", required=False)
@selection_options
@store_option
@click.option("--list", "listing", is_flag=True, help="List the figures.")
@click.option("--all", "every", is_flag=True, help="Draw all figures of papers.")
@click.option(
    "--out",
    type=Folder(),
    help="File to write: .pdf, .svg or .png; of figures of papers, the folder.  "
    "[default: figures, for these]",
)
@click.option(
    "--width",
    type=click.Choice(["column", "page"]),
    default="column",
    show_default=True,
    help="3.25 or 6.75 inches.",
)
@click.option("--only", metavar="TASK", multiple=True, help="Task to show; repeatable.")
@click.option("--column", "metric", metavar="NAME", help="Column of curves and modes.")
@click.option(
    "--against",
    type=click.Choice(["step", "cost", "seconds"]),
    default="step",
    show_default=True,
    help="What curves are drawn against.",
)
@click.option("--data", is_flag=True, help="Write what is shown as .csv beside it.")
def command(
    selection: Selection,
    store: Path,
    name: str | None,
    listing: bool,
    every: bool,
    out: Path | None,
    data: bool,
    **options: Any,
) -> None:
    """Write the figure NAME of SUITE, of a grid, or of everything in the store.

    Letters are 7 to 9 points high at the given width, and fonts are embedded.

    A NAME such as icr/6 is a figure of a paper, which is drawn again from runs of its
    own: those of seconds are made where the store lacks them. A page beside it says
    what theirs and ours show.
    """
    from mmbench.analysis.plot.figure import FIGURES, SUFFIXES, describe_figures
    from mmbench.studies.figures import PAPER_FIGURES

    if listing:
        from mmbench.cli._console import print_table

        papers = {name: figure.shows for name, figure in PAPER_FIGURES.items()}
        print_table(("figure", "shows"), list((describe_figures() | papers).items()))
        return
    known = [*FIGURES, *PAPER_FIGURES]
    if name is None and not every:
        raise MmbenchError(
            f"NAME must be one of {', '.join(known)}; got none. `mmbench figure "
            "--list` says what they show."
        )
    if name is not None and name not in known:
        raise unknown_name("figure", name, known)
    if every or name in PAPER_FIGURES:
        from mmbench.cli._paper_figures import write_paper_figures

        _check_paper_options(name if every else None, out)
        names = PAPER_FIGURES if every else [str(name)]
        write_paper_figures(names, store, out or Path("figures"))
        return
    assert name
    if out is None or out.suffix.lower() not in SUFFIXES:
        got = "none" if out is None else repr(str(out))
        raise MmbenchError(
            f"--out must be a file that ends in one of {', '.join(SUFFIXES)}; got "
            f"{got}."
        )
    from mmbench.analysis.export import to_csv
    from mmbench.analysis.plot.figure import make_figure
    from mmbench.analysis.report.page import prepare

    results = prepare(load_selected(selection, store))
    options["tasks"] = options.pop("only")
    content, table = make_figure(results, name, suffix=out.suffix.lower(), **options)
    write_content(content, out)
    print_stdout(f"Figure: {out}")
    if data:
        beside = out.with_suffix(".csv")
        write_content(to_csv(table), beside)
        print_stdout(f"Data: {beside}")


def _check_paper_options(name: str | None, out: Path | None) -> None:
    """Check that figures of papers are given what they take, and nothing else.

    Args:
        name: a name beside --all.
        out: the folder of the figures.

    Raises:
        DescriptionError: when something is given that they do not take.
    """
    from mmbench.analysis.plot.figure import SUFFIXES

    if name is not None:
        raise DescriptionError(
            f"--all must stand without NAME, since it draws all figures of papers; got "
            f"{name!r}."
        )
    context = click.get_current_context()
    given = [
        one.opts[0] if isinstance(one, click.Option) else str(one.name).upper()
        for one in context.command.params
        if one.name not in OF_PAPERS
        and context.get_parameter_source(str(one.name)) is not ParameterSource.DEFAULT
    ]
    if given:
        raise DescriptionError(
            "A figure of a paper must be given --store and --out alone, since its runs "
            f"and its form are its own; got {' and '.join(given)} as well."
        )
    if out and not out.is_dir() and (out.exists() or out.suffix.lower() in SUFFIXES):
        raise DescriptionError(
            "--out must be a folder for figures of papers, whose files have names of "
            f"their own; got {str(out)!r}."
        )
