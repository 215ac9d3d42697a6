"""Figures for papers: the plots of all tasks, as wide as a column or a page.

Letters are 7 to 9 points high, fonts are embedded, and the same results give the same
bytes. Each figure comes with the table of what it shows.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from math import ceil
from textwrap import fill
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from mmbench.analysis import style
from mmbench.analysis.plot.axes import check_choice, handle
from mmbench.analysis.plot.bars import (
    STATUS_STYLES,
    bars_size,
    draw_bars,
    outcome_counts,
    runs_of,
)
from mmbench.analysis.plot.counts import (
    count_colours,
    count_styles,
    last_records,
    mode_counts,
)
from mmbench.analysis.plot.curves import AXES, curve_of, curves_of, draw_curves
from mmbench.analysis.plot.games import (
    by_success,
    cost_view,
    draw_grid,
    games_table,
    games_with_target,
    grid_size,
    success_view,
)
from mmbench.analysis.plot.portraits import background_of, draw_portrait, paths_of
from mmbench.analysis.plot.ranks import board_height, board_of, draw_board
from mmbench.analysis.plot.samples import (
    draw_sheet,
    is_images,
    is_points,
    sheets_of,
    true_modes,
)
from mmbench.analysis.results import (
    Results,
    columns_of,
    is_count,
    labels_of,
    real_score_of,
    tasks_of,
)
from mmbench.core.errors import DescriptionError

Width = Literal["column", "page"]
WIDTHS: dict[Width, float] = {"column": 3.25, "page": 6.75}  # inches
SUFFIXES = (".pdf", ".svg", ".png")
DPI = 300  # of a PNG
LABEL_CHARACTERS = 30  # of a line beside the axis of curves
LEGEND_TEXT_CHARACTERS = 22
LEGEND_CHARACTERS = {"column": 52, "page": 110}  # of a line of the legend
HANDLE_CHARACTERS = 7  # of the line and the gap before a text in a legend
_SETTINGS = {
    "pdf.fonttype": 42,  # TrueType, embedded
    "svg.fonttype": "path",  # letters are drawn, so that no font is needed
    "svg.hashsalt": "mmbench",
    "axes.titlesize": 8.5,
    "legend.fontsize": 8,
}


class Panel(NamedTuple):
    """One axes of a figure.

    Args:
        title: text above it; empty for none.
        draw: draws on the axes.
        height: height in inches.
        left: inches that labels take beside it.
    """

    title: str
    draw: Callable[[Axes], Any]
    height: float
    left: float = 0.5


class Layout(NamedTuple):
    """What a figure shows.

    Args:
        panels: from left to right, and from top to bottom.
        columns: number of panels side by side.
        legend: text to what it explains, below the panels.
        data: the table of what is shown.
    """

    panels: Sequence[Panel]
    columns: int
    legend: Mapping[str, Artist]
    data: pd.DataFrame


class Choice(NamedTuple):
    """What is shown of results.

    Args:
        results: the results, with labels that differ on each task.
        tasks: the tasks that are shown.
        width: width of the figure.
        metric: column that curves and modes are of; None for the first.
        against: what curves are drawn against, a key of `AXES`.
    """

    results: Results
    tasks: Sequence[str]
    width: Width
    metric: str | None
    against: str

    @property
    def styles(self) -> dict[str, style.LabelStyle]:
        """The style of each label."""
        return style.label_styles(labels_of(self.results))

    def handles(self, labels: Sequence[str]) -> dict[str, Artist]:
        """Return the lines and markers of labels, for a legend."""
        return {label: handle(self.styles[label]) for label in dict.fromkeys(labels)}


def _convergence(choice: Choice) -> Layout:
    """Medians of a metric over runs, with quartiles, a panel for each task."""
    panels, tables = [], []
    for task in choice.tasks:
        if choice.metric is None:
            curves = curves_of(choice.results, task)[:1]
        else:
            columns = columns_of(choice.results, task)
            named = [one for one in columns if one["name"] == choice.metric]
            curves = [curve_of(choice.results, task, column) for column in named]
        for column, table in curves:
            score = real_score_of(choice.results, task, column["name"])

            def draw(
                axes: Axes,
                table: pd.DataFrame = table,
                column: Any = column,
                score: float | None = score,
            ) -> None:
                draw_curves(axes, table, column, choice.against, choice.styles, score)
                axes.set_ylabel(fill(column["title"], LABEL_CHARACTERS))

            panels.append(Panel(task, draw, 2.2))
            tables.append(table.assign(task=task, metric=column["name"]))
    labels = [label for table in tables for label in table["label"]]
    columns_of_panels = 1 if choice.width == "column" else 2
    return Layout(panels, columns_of_panels, choice.handles(labels), _joined(tables))


def _outcomes(choice: Choice) -> Layout:
    """How runs ended, a panel for each task."""
    runs = runs_of(choice.results)
    counts = {task: outcome_counts(runs[runs["task"] == task]) for task in choice.tasks}
    panels = [
        _bars_panel(task, table, STATUS_STYLES, "share of runs (counts in the bars)")
        for task, table in counts.items()
    ]
    there = {kind for table in counts.values() for kind in table}
    colours = {str(one): STATUS_STYLES[one][0] for one in STATUS_STYLES if one in there}
    return Layout(panels, 1, _patches(colours), runs[runs["task"].isin(choice.tasks)])


def _modes(choice: Choice) -> Layout:
    """How many modes or digits runs cover, a panel for each task."""
    panels, tables, legend = [], [], dict[str, str]()
    for task in choice.tasks:
        columns = [
            column
            for column in columns_of(choice.results, task)
            if is_count(column) and choice.metric in (None, column["name"])
        ]
        for column in columns[:1]:
            counts = mode_counts(last_records(choice.results, task), column["name"])
            styles = count_styles(int(max(counts.columns)))
            label = f"share of runs by {column['title']}"
            panels.append(_bars_panel(task, counts, styles, label))
            legend |= count_colours(counts, styles)
            long = counts.reset_index().melt(
                "label", var_name="count", value_name="runs"
            )
            tables.append(long.assign(task=task, metric=column["name"]))
    return Layout(panels, 1, _patches(legend), _joined(tables))


def _phase_portrait(choice: Choice) -> Layout:
    """Paths of first runs on games of two variables, a panel for each algorithm."""
    panels, tables, labels = [], [], []
    for task in choice.tasks:
        paths = paths_of(choice.results, task)
        background = background_of(task, paths.values()) if paths else None
        for label, path in paths.items():

            def draw(
                axes: Axes,
                path: np.ndarray = path,
                label: str = label,
                background: Any = background,
            ) -> None:
                draw_portrait(axes, [(path, choice.styles[label])], background)

            panels.append(Panel(f"{label}\n{task}", draw, 1.8))
            labels.append(label)
            tables += [
                pd.DataFrame(points, columns=["x", "y"]).assign(
                    task=task, label=label, run=run
                )
                for run, points in enumerate(path)
            ]
    columns = 2 if choice.width == "column" else 4
    return Layout(panels, columns, choice.handles(labels), _joined(tables))


def _samples(choice: Choice) -> Layout:
    """Samples at the end of first runs, a panel for each algorithm."""
    panels, tables = [], []
    for task in choice.tasks:
        modes = None
        for label, sheet in sheets_of(choice.results, task).items():
            if not is_points(sheet) and not is_images(sheet):
                continue
            modes = true_modes(task) if modes is None else modes

            def draw(
                axes: Axes,
                sheet: np.ndarray = sheet,
                modes: np.ndarray = modes,
                label: str = label,
            ) -> None:
                draw_sheet(axes, sheet[:1], modes, choice.styles[label])

            panels.append(Panel(f"{label}\n{task}", draw, 1.5))
            if is_points(sheet):
                points = pd.DataFrame(sheet[0], columns=["x", "y"])
                tables.append(points.assign(task=task, label=label, run=0))
    return Layout(panels, 2 if choice.width == "column" else 4, {}, _joined(tables))


def _games(choice: Choice, what: str) -> Layout:
    finished = choice.results.finished
    chosen = {
        name: contest
        for name, contest in games_with_target(finished).items()
        if contest.task in choice.tasks
    }
    if not chosen:
        return Layout([], 1, {}, pd.DataFrame())
    rows, games = games_table(finished, chosen), list(chosen)
    order = by_success(rows)
    view = success_view() if what == "success" else cost_view(rows)
    each = 2 if choice.width == "column" else 6
    panels = []
    for first in range(0, len(games), each):
        part = games[first : first + each]
        here = rows[rows["task"].isin(part)]
        names = [label for label in order if label in set(here["label"])]

        def draw(
            axes: Axes,
            here: pd.DataFrame = here,
            names: list[str] = names,
            part: list[str] = part,
        ) -> None:
            draw_grid(axes, here, names, part, view)

        _, height, (left, *_) = grid_size(names, part)
        title = view.short if not first else ""
        panels.append(Panel(title, draw, height + 0.2, left))
    return Layout(panels, 1, {}, rows)


def _success(choice: Choice) -> Layout:
    """Share of runs that reach the target, of every method on every game."""
    return _games(choice, "success")


def _cost(choice: Choice) -> Layout:
    """Cost to the target, of every method on every game."""
    return _games(choice, "cost")


def _leaderboard(choice: Choice) -> Layout:
    """Ranks with intervals, over all tasks or on the only one."""
    only = choice.tasks[0] if len(choice.tasks) == 1 else None
    board, column = board_of(choice.results, only)

    def draw(axes: Axes) -> None:
        draw_board(axes, board.table, choice.styles, column)

    height = board_height(board)
    return Layout([Panel(only or "", draw, height)], 1, {}, board.table)


FIGURES: dict[str, Callable[[Choice], Layout]] = {
    "convergence": _convergence,
    "outcomes": _outcomes,
    "modes": _modes,
    "samples": _samples,
    "phase_portrait": _phase_portrait,
    "success": _success,
    "cost": _cost,
    "leaderboard": _leaderboard,
}


def make_figure(
    results: Results,
    name: str,
    *,
    width: Width = "column",
    tasks: Sequence[str] = (),
    metric: str | None = None,
    against: str = "step",
    suffix: str = ".pdf",
) -> tuple[bytes, pd.DataFrame]:
    """Return the bytes of a figure, and the table of what it shows.

    Args:
        results: the results, with labels that differ on each task.
        name: one of `FIGURES`.
        width: 3.25 inches (column) or 6.75 inches (page).
        tasks: the tasks that are shown; none means all.
        metric: column that curves and modes are of; None for the first.
        against: what curves are drawn against: step, cost or seconds.
        suffix: one of `SUFFIXES`, which chooses the format.

    Raises:
        DescriptionError: when there is nothing to draw, or something is unknown.
    """
    known = tasks_of(results)
    check_choice("figure", name, FIGURES)
    check_choice("against", against, AXES)
    for task in tasks:
        check_choice("task", task, known)
    shown = tasks or known
    layout = FIGURES[name](Choice(results, shown, width, metric, against))
    if not layout.panels:
        wanted = f" and the metric {metric}" if metric else ""
        raise DescriptionError(
            f"The figure {name} must have something to show; the results of "
            f"{', '.join(shown)}{wanted} have nothing for it."
        )
    with drawing():
        return to_bytes(lay_out(layout, width), suffix), layout.data


def drawing() -> AbstractContextManager[None]:
    """Let figures have the style of papers; draw and save them inside."""
    return style.theme(_SETTINGS)


def to_bytes(figure: Figure, suffix: str, dpi: int = DPI) -> bytes:
    """Return a figure in the format of a suffix, with the same bytes each time."""
    buffer = io.BytesIO()
    no_date = {".pdf": "CreationDate", ".svg": "Date", ".png": "Software"}[suffix]
    figure.savefig(buffer, format=suffix[1:], dpi=dpi, metadata={no_date: None})
    return buffer.getvalue()


def lay_out(layout: Layout, width: Width) -> Figure:
    """Draw all panels, with a legend below them."""
    columns = min(layout.columns, len(layout.panels))
    rows = ceil(len(layout.panels) / columns)
    heights = [
        max(panel.height for panel in layout.panels[row * columns :][:columns])
        + 0.2 * max(panel.title.count("\n") for panel in layout.panels)
        for row in range(rows)
    ]
    texts = [style.shorten(text, LEGEND_TEXT_CHARACTERS) for text in layout.legend]
    longest = max(map(len, texts), default=0) + HANDLE_CHARACTERS
    across = max(1, min(len(texts), LEGEND_CHARACTERS[width] // longest))
    legend_inches = 0.18 * ceil(len(texts) / across) + 0.1 if texts else 0
    figure = Figure(
        figsize=(WIDTHS[width], sum(heights) + legend_inches), layout="constrained"
    )
    grid = figure.subplots(
        rows, columns, squeeze=False, gridspec_kw={"height_ratios": heights}
    ).ravel()
    for axes, panel in zip(grid, layout.panels, strict=False):
        panel.draw(axes)
        inches = WIDTHS[width] / columns - panel.left
        characters = int(inches / style.CHARACTER_INCHES)
        lines = panel.title.split("\n")
        title = "\n".join(style.shorten(line, characters) for line in lines)
        axes.set_title(title, loc="left")
    for axes in grid[len(layout.panels) :]:
        axes.set_axis_off()
    if texts:
        figure.legend(
            list(layout.legend.values()),
            texts,
            loc="outside lower center",
            ncols=across,
            frameon=False,
            columnspacing=1.2,
            handletextpad=0.5,
        )
    return figure


def _bars_panel(
    task: str, counts: pd.DataFrame, styles: Mapping[Any, tuple[str, str]], label: str
) -> Panel:
    def draw(axes: Axes) -> None:
        draw_bars(axes, counts, styles)
        axes.set_xlabel(label)

    _, height, (left, *_) = bars_size(list(counts.index), 1)
    return Panel(task, draw, height + 0.2, left)


def _patches(colours: Mapping[str, str]) -> dict[str, Artist]:
    return {text: Patch(color=colour) for text, colour in colours.items()}


def _joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def describe_figures() -> dict[str, str]:
    """Return what each figure shows, by name."""
    return {name: str(make.__doc__).split("\n")[0] for name, make in FIGURES.items()}
