"""What is reached at equal cost: shares of runs, curves, and profiles over tasks."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as MatplotlibFigure

from mmbench.analysis import style
from mmbench.analysis.leaderboard import (
    Board,
    Boards,
    Contest,
    Entry,
    contests,
    entries_of,
)
from mmbench.analysis.numbers import percent, percents
from mmbench.analysis.plot.curves import AXES, WIDE_RATIO, contest_curves, draw_curves
from mmbench.analysis.plot.shares import (
    RATIOS,
    TICKS,
    data_profiles,
    draw_shares,
    performance_profiles,
    shares_of,
)
from mmbench.analysis.report.sections.base import Figure, Section, Subsection
from mmbench.analysis.results import (
    Results,
    describe_starts,
    labels_of,
    real_score_of,
    target_in_words,
    target_of,
)

MAX_COLOURED = 6  # labels of a figure that have a colour of their own
MIN_TASKS = 3  # of profiles
MARGINS = (0.62, 0.46, 0.22, 0.32)  # the title stands in the top margin
WIDTH, HEIGHT = 3.75, 3.1
MAX_TITLE_CHARACTERS = 50  # longer titles are set in a smaller font
COST_SHARE = "cost, share of what runs may spend"
COST_RATIO = "cost, ratio to that of the cheapest method"

PROSE = (
    "Methods differ in what a step costs, so they are compared at the same cost. Costs "
    "are in gradient-equivalents: 1 for a gradient of one player, 2 for a "
    "Hessian-vector product, ½ for an evaluation of the losses. The first picture of a "
    "task shows the share of runs that had reached its target by then and stayed "
    "there, with a 95 % confidence band; a run that ended before is censored "
    "(Kaplan and Meier), and one that broke down counts as a miss. The second shows "
    "the first metric: the line is the median over runs, and its band reaches from the "
    "lower to the upper quartile, which is no confidence band."
)
PROFILES = (
    "The first picture shows the share of runs that had reached the targets, as a mean "
    "over tasks with its 95 % confidence band, against the cost as a share of what "
    "every run may spend on the task. The second one shows on how many of the tasks a "
    "method needs at most so many times the cost of the cheapest method there, by the "
    "median cost to the target; it depends on which methods are compared, and has no "
    "interval, as tasks are no sample."
)


def section(results: Results, made: Boards) -> Section | None:
    """Draw what the methods reach on each task and over all; None if it is nothing.

    Args:
        results: the results.
        made: their boards.
    """
    finished = results.finished
    found = contests(finished)
    entries = {name: entries_of(finished, one) for name, one in found.items()}
    styles = style.label_styles(labels_of(results))
    subsections = [
        *(_profiles(board, found, entries, styles) for board in made.overall),
        *(
            _of_task(finished, name, board, found[name], entries[name], styles)
            for name, board in made.by_task.items()
        ),
    ]
    subsections = [one for one in subsections if one.figures]
    if not subsections:
        return None
    return Section(
        title="At equal cost",
        anchor="equal-cost",
        prose=(PROSE,),
        subsections=subsections,
    )


def _of_task(
    results: Results,
    name: str,
    board: Board,
    contest: Contest,
    entries: Sequence[Entry],
    styles: Mapping[str, style.LabelStyle],
) -> Subsection:
    """Draw shares and the first metric on a task, with the first rows of its board."""
    labels = list(board.table["label"])
    shown = {label: styles[label] for label in labels[:MAX_COLOURED]}
    task, figures, notes = board.task, list[Figure](), list[str]()
    if target_of(results, task):
        if any(entry.success.any() for entry in entries):
            target = target_in_words(results, task)
            figures.append(_shares(name, target, entries, shown))
        else:
            notes.append("No run reached the target.")
    if curves := contest_curves(results, contest):
        column, table = curves
        if len(table) > len(labels) and np.isfinite(table["median"]).any():
            score = real_score_of(results, task, column["name"])
            with _panel(column["title"]) as (figure, axes):
                draw_curves(axes, table, column, "cost", shown, score)
                svg = style.svg(figure, "equal cost", name, column["name"])
            alt = f"Curves of the {column['title']} against cost on {name}."
            figures.append(Figure(alt, svg, width=round(96 * WIDTH)))
    if starts := describe_starts(results, task):
        sentences = [f"“{label}” {where}." for label, where in starts.items()]
        notes.append(" ".join([*sentences, "Costs are counted from there."]))
    return Subsection(
        title=name,
        legend=list(shown),
        figures=figures,
        notes=[*notes, *_others(labels)],
    )


def _profiles(
    board: Board,
    found: Mapping[str, Contest],
    entries: Mapping[str, Sequence[Entry]],
    styles: Mapping[str, style.LabelStyle],
) -> Subsection:
    """Draw the profiles of the entries that have all tasks of a board."""
    labels = list(board.placed["label"])
    # Where a task has several budgets, that of the board.
    names = [
        name
        for name, one in found.items()
        if one.task in board.tasks and one.budget in board.budget.split(" or ")
    ]
    by_label = {
        label: [one for name in names for one in entries[name] if one.label == label]
        for label in labels
    }
    solved = any(one.success.any() for own in by_label.values() for one in own)
    if len(names) < MIN_TASKS or not solved:
        return Subsection()
    shown = {label: styles[label] for label in labels[:MAX_COLOURED]}
    figures = []
    for title, curves, axis in (
        ("share of runs that reached the targets", data_profiles(by_label), COST_SHARE),
        ("share of tasks solved", performance_profiles(by_label), COST_RATIO),
    ):
        with _panel(title) as (figure, axes):
            draw_shares(axes, curves, shown)
            axes.set_xlabel(axis)
            if axis == COST_RATIO:
                style.set_log_scale(axes, "x")
                axes.set_xlim(RATIOS[0], RATIOS[-1])
            else:
                axes.set_xlim(0, 1)
                axes.set_xticks(*TICKS)
            svg = style.svg(figure, "profile", board.budget, title)
        ends = "; ".join(f"{one}: {percent(curves[one].share[-1])}" for one in shown)
        alt = f"Curves of the {title} against the {axis}. At the right end: {ends}."
        figures.append(Figure(alt, svg, width=round(96 * WIDTH)))
    title = "All tasks"
    if len(found) > len(names):
        title = f"{title} with {board.budget}"
    return Subsection(
        title=title,
        prose=(PROFILES,),
        legend=list(shown),
        figures=figures,
        notes=_others(labels),
    )


def _shares(
    name: str,
    target: str,
    entries: Sequence[Entry],
    shown: Mapping[str, style.LabelStyle],
) -> Figure:
    """Draw the share of runs that reached the target of a task against cost."""
    curves = shares_of(entries)
    title = "share of runs that reached the target"
    with _panel(title) as (figure, axes):
        draw_shares(axes, curves, shown)
        axes.set_xlabel(AXES["cost"])
        first = min(float(curve.cost[0]) for curve in curves.values())
        last = max(float(curve.cost[-1]) for curve in curves.values())
        if last > WIDE_RATIO * first:
            style.set_log_scale(axes, "x")
        axes.set_xlim(first, last)
        svg = style.svg(figure, "shares", name)
    ends = "; ".join(
        f"{label}: {percent(curves[label].share[-1])} "
        f"({percents(float(curves[label].low[-1]), float(curves[label].high[-1]))})"
        for label in shown
    )
    alt = f"Share of runs on {name} that end {target}, against cost. In the end {ends}."
    return Figure(alt, svg, width=round(96 * WIDTH))


@contextmanager
def _panel(title: str) -> Iterator[tuple[MatplotlibFigure, Axes]]:
    """Make a figure whose title stands above its axis."""
    with style.panel(WIDTH, HEIGHT, MARGINS) as (figure, axes):
        text = style.shorten(title, 2 * MAX_TITLE_CHARACTERS)
        size = 9 * min(1, MAX_TITLE_CHARACTERS / max(1, len(text)))
        figure.text(0.02, 0.99, text, size=size, va="top")
        yield figure, axes


def _others(labels: Sequence[str]) -> list[str]:
    """Say which labels are grey."""
    if len(labels) <= MAX_COLOURED:
        return []
    return [
        f"The first {MAX_COLOURED} of {len(labels)} rows of the board have markers; "
        "the others are thin and grey."
    ]
