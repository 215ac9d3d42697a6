"""Figures of papers: their runs, their files and the page that shows them."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmbench.cli import print_stderr, print_stdout
from mmbench.cli._published import find_published
from mmbench.cli.results import write_content
from mmbench.core.errors import DamagedError, StoreError
from mmbench.core.files import make_folder
from mmbench.studies.figures import PAPER_FIGURES, PaperFigure
from mmbench.suites import SUITES

if TYPE_CHECKING:  # these import pandas and torch
    import pandas as pd

    import mmbench.analysis.results

MAP = "icr/stability"  # is made of a map, not of runs of a suite
PNG_DPI = 180
HEAD = """# Figures of the papers, drawn again

Every empirical figure of the papers and lectures that mmbench started from, drawn from
runs of mmbench. Beside each stands what the authors' figure shows and what ours does;
the numbers in our sentences are those of the runs drawn. This page is made by

```sh
# Not run by the tests: it takes minutes where no runs are stored.
mmbench figure --all --out reports/claims/figures
```
"""


def write_paper_figures(names: Iterable[str], store: Path, out: Path) -> None:
    """Draw figures of papers into a folder, with their page.

    Args:
        names: names of the figures.
        store: folder of results, where runs of seconds go that are missing.
        out: the folder.

    Raises:
        MmbenchError: when the only figure cannot be drawn, or the folder not be made.
    """
    names = list(names)
    entries = []
    for name in names:
        try:
            entries.append(_write(name, store, out))
        except StoreError as error:
            if len(names) == 1:
                raise
            print_stderr(f"Note: {error}")
            is_damaged = isinstance(error, DamagedError)
            why = "Stored results are damaged." if is_damaged else _not_run(name)
            entries.append(_entry(name, "", f"Not drawn here. {why}"))
    is_whole = len(names) > 1
    page = out / ("README.md" if is_whole else f"{_stem(names[0])}.md")
    text = "\n".join(([HEAD] if is_whole else []) + entries)
    write_content(text.encode(), page)
    print_stdout(f"Page: {page}")


def _write(name: str, store: Path, out: Path) -> str:
    """Write the files of a figure, and return its part of the page."""
    from mmbench.analysis.plot.animation import to_gif
    from mmbench.analysis.plot.figure import drawing, to_bytes

    figure = PAPER_FIGURES[name]
    with drawing():
        drawn, ours, remark = _draw(name, store, out)
        make_folder(out, "--out")
        still = out / f"{_stem(name)}.png"
        write_content(to_bytes(drawn, ".png", PNG_DPI), still)
        print_stdout(f"Figure: {still}")
        shown = still
        if figure.is_moving:
            shown = still.with_suffix(".gif")
            write_content(to_gif(drawn), shown)
            print_stdout(f"Animation: {shown}")
    return _entry(name, shown.name, f"{ours}{remark and ' '}{remark}")


def _entry(name: str, picture: str, ours: str) -> str:
    """Return the part of a page about a figure; without a picture if it is empty."""
    figure = PAPER_FIGURES[name]
    image = f"![{figure.shows}]({picture})\n\n" if picture else ""
    still = f" [Still]({_stem(name)}.png)." if picture.endswith(".gif") else ""
    return (
        f"## {name}\n\n{image}"
        f"*{figure.source}*: {figure.shows}.{still}\n\n"
        f"- **Theirs.** {figure.theirs}\n"
        f"- **Ours.** {ours}\n\n"
        f"`mmbench figure {name}`\n"
    )


def _stem(name: str) -> str:
    return name.replace("/", "-")


def _draw(name: str, store: Path, out: Path) -> tuple[Any, str, str]:
    """Return the figure, what it shows, and a remark on how it is unlike theirs."""
    from mmbench.analysis.plot.figure import lay_out
    from mmbench.analysis.plot.paper import DRAWINGS
    from mmbench.analysis.plot.stability import stability_figure

    if name == MAP:
        return *stability_figure(_map(out)), PAPER_FIGURES[name].remark
    results, remark = _results(name, store)
    shown = DRAWINGS[name](results)
    remarks = (PAPER_FIGURES[name].remark, remark)
    return lay_out(shown.layout, "page"), shown.ours, " ".join(filter(None, remarks))


def _map(out: Path) -> "pd.DataFrame":
    """Return the map of stable step sizes, computed where it is not stored.

    Raises:
        DamagedError: when it is stored and cannot be read.
    """
    from mmbench.studies.stability import FILE

    for folder in (out, find_published("reports/claims/figures")):
        if folder and (folder / FILE).exists():
            return _read_map(folder / FILE)
    make_folder(out, "--out")
    from mmbench.testing.stable_regions import stable_regions

    print_stderr(f"Note: {out / FILE} is not there; it is computed, in minutes.")
    table = stable_regions()
    write_content(table.to_parquet(compression="zstd", index=False), out / FILE)
    return table


def _read_map(file: Path) -> "pd.DataFrame":
    import pandas as pd
    import pyarrow as pa

    from mmbench.testing.stable_regions import COLUMNS

    try:
        return pd.read_parquet(file, columns=COLUMNS)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DamagedError(
            f"{file} must be a map of stable step sizes that mmbench wrote; it is "
            "damaged or foreign. Without it the map is computed again, in minutes."
        ) from error


def _results(name: str, store: Path) -> "tuple[mmbench.analysis.results.Results, str]":
    """Return the results that a figure shows, and what is said of their scale.

    Raises:
        StoreError: when runs of hours are missing.
    """
    import pandas as pd

    figure = PAPER_FIGURES[name]
    found, remark = None, ""
    if figure.suites:
        found, remark = _stored(name, figure, store)
    if not figure.runs:
        assert found
        return found, remark
    made = _made(name, figure, store)
    if found:
        frames = [found.frame, made.frame]
        made = made._replace(
            frame=pd.concat(frames, ignore_index=True),
            footers=found.footers | made.footers,
        )
    return made, remark


def _stored(
    name: str, figure: PaperFigure, store: Path
) -> "tuple[mmbench.analysis.results.Results, str]":
    """Return stored results of the first suite that a store has cells of."""
    from mmbench.analysis.results import gather_planned
    from mmbench.runner.plan import plan
    from mmbench.store.folder import Store

    there = find_published(figure.published) if figure.published else None
    folders = [store, *filter(None, [there])]
    for suite in figure.suites:
        cells = plan(SUITES[suite])
        for folder in folders:
            if folder.is_dir():
                results = gather_planned(Store(folder), cells)
                if results.footers and not results.missing:
                    is_small = suite != figure.suites[0]
                    title = SUITES[suite].title
                    return results, f"Not run at scale ({title})." if is_small else ""
    raise StoreError(
        f"{name} must have its runs in a store; {store} lacks some. {_not_run(name)}"
    )


def _not_run(name: str) -> str:
    suite = PAPER_FIGURES[name].suites[0]
    return f"Its runs take hours; `mmbench run {suite}` makes them."


def _made(
    name: str, figure: PaperFigure, store: Path
) -> "mmbench.analysis.results.Results":
    """Return the results of runs of seconds, made where the store lacks them."""
    from mmbench.analysis.results import gather_planned
    from mmbench.core.placement import Placement
    from mmbench.engine.cell import Cell
    from mmbench.runner.execute import Observer, execute
    from mmbench.runner.limits import Workers
    from mmbench.runner.plan import plan
    from mmbench.store.folder import Store

    class Told(Observer):
        """Says what is run."""

        def on_plan(self, cells: Sequence[Cell], waiting: Sequence[Cell]) -> None:
            """Say how many cells the store lacks."""
            if waiting:
                print_stderr(
                    f"Note: {store} lacks {len(waiting)} of {len(cells)} cells of "
                    f"{name}; they are run."
                )

    assert figure.runs
    cells, kept = plan(figure.runs), Store(store)
    execute(cells, kept, Placement(compiled=None), Told(), workers=Workers(1))
    return gather_planned(kept, cells)
