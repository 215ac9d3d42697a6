"""Tuning: how well each method can be tuned, and at which step sizes it works."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.ticker import MaxNLocator

from mmbench.analysis import style
from mmbench.analysis.numbers import number
from mmbench.analysis.plot.curves import draw_faintly
from mmbench.analysis.report.sections.base import (
    Figure,
    Section,
    Subsection,
    Table,
    TableCell,
)
from mmbench.analysis.results import Results, games_of, labels_of, tracks_of
from mmbench.analysis.tuning_curves import RANK, scored_trials, tuning_curve
from mmbench.core.printable import printable
from mmbench.store.tuning_record import TuningRecord

PROSE = (
    "All methods had the same random points of their search spaces, each a trial whose "
    "runs spent the whole budget, on seeds by which the methods are not compared. The "
    "first pictures of a task show the best score that so many trials are expected to "
    "find, with a 95 % confidence band that holds for all numbers of trials together, "
    "over the draw of the points. A curve that rises early is one of a method that is "
    "easy to tune.",
    "The pictures of step sizes show the trials of each method over those of x and y, "
    "darker for a better score. A ring marks the winner, and a cross a trial of which "
    "more than half of the runs broke down.",
)
UNKNOWN = (
    "The hyperparameters are winners of a tuning, and the verdicts hold for these "
    "winners. Name their suite for its record."
)
LEFT_IN_WORDS = (
    "The score of a trial is the share of the budget that is left when the target is "
    "reached, 0 for a run that misses it, averaged over the tuning seeds."
)
RANK_IN_WORDS = (
    "No trial reached the target, or there is none: the score of a trial is the share "
    "of all trials on this task that have a worse {metric} at the end, by the median "
    "over the tuning seeds."
)

MAX_DRAWN = 9  # methods of a task that have pictures
CUT = (
    f"The {MAX_DRAWN} methods whose best trials have the highest scores have pictures; "
    "the table has all."
)
MAX_POINTS = 100  # trials on a map of step sizes
THINNED = (
    "A map has the winners of all repetitions, and the other trials of the first "
    "{count}; the record has all."
)


def section(results: Results) -> Section | None:
    """Show the tuning of a suite of winners; None where no record is known."""
    record = results.tuning
    if record is None:
        return None
    scores = scored_trials(record)
    tasks = [task for task in games_of(results) if task in set(scores["task"])]
    if not tasks:
        return None
    styles = style.label_styles(labels_of(results))
    curves: list[pd.DataFrame] = []
    subsections: list[Subsection] = []
    for task in tasks:
        shown = scores[(scores["task"] == task) & scores["label"].isin(styles)]
        if shown.empty:
            continue
        found = {
            str(label): tuning_curve(rows["score"].to_numpy(), _trials_of(rows))
            for label, rows in shown.groupby("label", sort=False)
        }
        curves += [
            curve.assign(task=task, label=label) for label, curve in found.items()
        ]
        subsections += _subsections(task, shown, found, record, styles)
    if not subsections:
        return None
    table = pd.concat(curves, ignore_index=True)
    names = ["task", "label"]
    return Section(
        title="Tuning",
        anchor="tuning",
        prose=(tuned_in_words(record), *PROSE),
        subsections=subsections,
        files={
            "tuning.csv": scores,
            "tuning_curves.csv": table[[*names, *table.columns.drop(names)]],
        },
    )


def track_in_words(results: Results) -> str:
    """Return how the winners that are compared were found; empty for other methods."""
    if results.tuning:
        return tuned_in_words(results.tuning)
    return UNKNOWN if tracks_of(results) == {"tuned"} else ""


def tuned_in_words(record: TuningRecord) -> str:
    """Return how the winners of a record were found, and what verdicts hold for."""
    about = record.about
    amounts: dict[str, list[str]] = {}  # by unit
    for facts in about["tasks"].values():
        of_unit = amounts.setdefault(printable(str(facts["unit"])), [])
        if (amount := f"{facts['budget']:g}") not in of_unit:
            of_unit.append(amount)
    budgets = " or ".join(
        f"{' or '.join(of_unit)} {unit}" for unit, of_unit in amounts.items()
    )
    count = int(about["repetitions"])
    verdicts = (
        "the verdicts are conditional on one tuning, that of the winners on record"
        if count == 1
        else f"the tuning was repeated {count} times with other trials and seeds, and "
        "the verdicts have the repetition as their unit"
    )
    return (
        f"Tuned on {about['trials']} trials x {about['seeds']} seeds at {budgets}; "
        f"{verdicts}."
    )


def _trials_of(rows: pd.DataFrame) -> int:
    """Return the number of trials of a method in each repetition."""
    return int(rows["trial"].max()) + 1


def _subsections(
    task: str,
    scores: pd.DataFrame,
    curves: Mapping[str, pd.DataFrame],
    record: TuningRecord,
    styles: Mapping[str, style.LabelStyle],
) -> list[Subsection]:
    """Return what is shown of a task: curves, winners, and maps of step sizes."""
    facts = record.about["tasks"][task]
    words = LEFT_IN_WORDS
    if scores["meaning"].iloc[0] == RANK:
        metric = printable(str(facts["metric"])) or "value"
        words = RANK_IN_WORDS.format(metric=metric)
    best = scores.groupby("label", sort=False)["score"].max()
    drawn = {*best.nlargest(MAX_DRAWN, keep="first").index}
    notes = [CUT] if len(best) > MAX_DRAWN else []
    figures = [
        _curve(task, label, curves, styles)
        for label, curve in curves.items()
        if len(curve) > 1 and label in drawn
    ]
    maps = [
        _map(task, str(label), rows)
        for label, rows in scores.groupby("label", sort=False)
        if rows[["step_size_x", "step_size_y"]].notna().all(axis=None)
        and label in drawn
    ]
    if scores["repetition"].max() > 0:
        table = _table_of_repetitions(scores)
    else:
        table = _table(scores, int(record.about["seeds"]))
    first = Subsection(
        title=task, prose=(words,), figures=figures, notes=notes, tables=[table]
    )
    if not maps:
        return [first]
    shown = _shown_repetitions(scores)
    cut = shown <= scores["repetition"].max()
    notes = [THINNED.format(count=shown)] if cut else []
    return [first, Subsection(title=f"{task}: step sizes", figures=maps, notes=notes)]


def _shown_repetitions(scores: pd.DataFrame) -> int:
    """Return of how many repetitions a map has all trials."""
    return max(1, MAX_POINTS // _trials_of(scores))


def _curve(
    task: str,
    label: str,
    curves: Mapping[str, pd.DataFrame],
    styles: Mapping[str, style.LabelStyle],
) -> Figure:
    """Draw the curve of a method with its band, and those of the others in grey."""
    curve, look = curves[label], styles[label]
    with style.panel(2.15, 1.75, (0.46, 0.4, 0.12, 0.07)) as (figure, axes):
        others = [
            (one["trials"].to_numpy(), one["expected"].to_numpy())
            for other, one in curves.items()
            if other != label and len(one) > 1
        ]
        draw_faintly(axes, others)
        axes.fill_between(
            curve["trials"], curve["low"], curve["high"], color=look.colour, alpha=0.25
        )
        axes.plot(
            curve["trials"],
            curve["expected"],
            color=look.colour,
            linestyle=look.linestyle,
        )
        axes.set(xlim=(1, len(curve)), ylim=(-0.03, 1.03))
        axes.set(xlabel="trials", ylabel="best score")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
        svg = style.svg(figure, "tuning curve", task, label)
    last = curve.iloc[-1]
    alt = (
        f"Expected best score of {label} on {task}: {last['expected']:.2f} after "
        f"{len(curve)} trials, with a band from {last['low']:.2f} to "
        f"{last['high']:.2f}."
    )
    return Figure(alt, svg, title=label, label=True, width=206)


def _map(task: str, label: str, rows: pd.DataFrame) -> Figure:
    """Draw the trials of a method over the step sizes of x and of y."""
    count, is_best = len(rows), rows["place"] == 1
    rows = rows[is_best | (rows["repetition"] < _shown_repetitions(rows))]
    died = rows["died"] > 0.5
    with style.panel(2.15, 2.05, (0.6, 0.42, 0.07, 0.07)) as (figure, axes):
        for kept, marker, size in ((~died, "o", 34), (died, "x", 22)):
            some = rows[kept]
            axes.scatter(
                some["step_size_x"],
                some["step_size_y"],
                c=some["score"] if marker == "o" else style.GREY,
                cmap=style.SHADES if marker == "o" else None,
                vmin=0 if marker == "o" else None,
                vmax=1 if marker == "o" else None,
                marker=marker,
                s=size,
                linewidths=0.6 if marker == "o" else 1,
                edgecolors=style.GREY if marker == "o" else None,
            )
        best = rows[rows["place"] == 1]
        axes.scatter(
            best["step_size_x"],
            best["step_size_y"],
            s=95,
            facecolors="none",
            edgecolors=style.INK,
            linewidths=1.4,
        )
        at_x, at_y = rows["step_size_x"], rows["step_size_y"]
        axes.set(xlabel="step size of x", ylabel="step size of y")
        axes.set(xlim=(at_x.min() / 1.6, at_x.max() * 1.6))
        axes.set(ylim=(at_y.min() / 1.6, at_y.max() * 1.6))
        style.set_log_scale(axes, "x")
        style.set_log_scale(axes, "y")
        svg = style.svg(figure, "tuning map", task, label)
    points = "; ".join(
        f"({row['step_size_x']:g}, {row['step_size_y']:g}): {row['score']:.2f}"
        for row in best.to_dict("records")
    )
    alt = (
        f"Scores of {count} trials of {label} on {task} by the step sizes of x and "
        f"y; the best are at {points}."
    )
    return Figure(alt, svg, title=label, label=True, width=206)


def _table(scores: pd.DataFrame, seeds: int) -> Table:
    """Return the table of the winners."""
    best = scores[scores["place"] == 1]
    rows = [_winner(row, seeds) for row in best.to_dict("records")]
    columns = [
        *("Algorithm", "Winner", "#Tuning", "#Trial", "#Reached", "#Cost to target"),
        *("#Score", "#Broken down"),
    ]
    return Table(
        "The winners, by the runs that chose them.", columns, rows, folded=True
    )


def _winner(row: Mapping[Any, Any], seeds: int) -> list[TableCell]:
    reached, cost = row["reached"], row["cost_to_target"]
    is_known = cost < float("inf")
    return [
        TableCell(row["label"], label=True),
        TableCell(row["algorithm"], code=True),
        TableCell(str(row["repetition"] + 1), row["repetition"]),
        TableCell(str(row["trial"]), row["trial"]),
        TableCell(f"{round(reached * seeds)} of {seeds}", reached),
        TableCell(number(cost) if is_known else "–", cost if is_known else None),
        TableCell(f"{row['score']:.2f}", row["score"]),
        TableCell(f"{row['died']:.0%}", row["died"]),
    ]


def _table_of_repetitions(scores: pd.DataFrame) -> Table:
    """Return a table of what the winners of each method have in common."""
    rows = []
    for label, best in scores[scores["place"] == 1].groupby("label", sort=False):
        different = best["algorithm"].nunique()
        low, middle, high = best["score"].quantile([0, 0.5, 1])
        rows.append(
            [
                TableCell(str(label), label=True),
                TableCell(f"{different} of {len(best)}", different),
                *(_range(best[name]) for name in ("step_size_x", "step_size_y")),
                TableCell(f"{middle:.2f} ({low:.2f} to {high:.2f})", middle),
            ]
        )
    columns = [
        *("Algorithm", "#Different winners", "#Step size of x", "#Step size of y"),
        "#Score",
    ]
    return Table(
        "The winners of all repetitions: medians, and from least to greatest. The "
        "record has each.",
        columns,
        rows,
        folded=True,
    )


def _range(values: pd.Series) -> TableCell:
    """Return the median of the winners' step sizes, and their range."""
    if values.isna().any():
        return TableCell("–")
    low, middle, high = values.quantile([0, 0.5, 1])
    return TableCell(f"{number(middle)} ({number(low)} to {number(high)})", middle)
