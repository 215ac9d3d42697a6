"""The figures of papers, drawn again from stored runs, each with what it shows.

`mmbench.studies.figures` says from which runs. The sentences are made of the numbers
that are drawn.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import e
from textwrap import fill
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from mmbench.analysis import style
from mmbench.analysis.numbers import number, percent
from mmbench.analysis.plot.animation import PATH
from mmbench.analysis.plot.axes import handle
from mmbench.analysis.plot.counts import last_records
from mmbench.analysis.plot.curves import curve_of, draw_curves
from mmbench.analysis.plot.figure import LABEL_CHARACTERS, Layout, Panel
from mmbench.analysis.plot.portraits import (
    WINDOW_RATIO,
    background_of,
    draw_portrait,
    paths_of,
)
from mmbench.analysis.plot.samples import draw_sheet, sheets_of, true_modes
from mmbench.analysis.results import Results, columns_of, labels_of, tasks_of
from mmbench.core.status import Status
from mmbench.studies import figures as studies
from mmbench.studies.figures import ALTERNATING, PAIRS, RK4, SIMULTANEOUS

DRAWN_RUNS = 4
TARGET = 2.0  # of both coordinates of the projection


class Shown(NamedTuple):
    """A figure, and what it shows.

    Args:
        layout: the panels.
        ours: what they show, in a sentence or two.
    """

    layout: Layout
    ours: str


# ---- parts ----


def _styles(results: Results) -> dict[str, style.LabelStyle]:
    return style.label_styles(labels_of(results))


def _portraits(
    results: Results,
    chosen: Iterable[tuple[str, str, str]],
    runs: int = DRAWN_RUNS,
    points: int | None = None,
    height: float = 2.4,
    reach: float | None = None,
    circle: float | None = None,
) -> list[Panel]:
    """Return a panel of paths for each task, label and title.

    Args:
        results: runs of games of two variables.
        chosen: task, label and title of each panel.
        runs: number of first runs.
        points: number of first points of each path; None for all.
        height: of a panel, in inches.
        reach: half-width of the window; None for one by the starts.
        circle: radius of an orbit of the flow, which is dashed; None for none.
    """
    panels, styles = [], _styles(results)
    for task, label, title in chosen:
        path = paths_of(results, task)[label][:runs, :points]
        widest = path if reach is None else np.full((1, 1, 2), reach / WINDOW_RATIO)
        background = background_of(task, [widest])

        def draw(
            axes: Axes,
            path: np.ndarray = path,
            label: str = label,
            background: Any = background,
        ) -> None:
            draw_portrait(axes, [(path, styles[label])], background)
            if circle is not None:
                turn = np.linspace(0, 2 * np.pi, 200)
                round_trip = circle * np.cos(turn), circle * np.sin(turn)
                axes.plot(*round_trip, color=style.GREY, linewidth=1, linestyle="--")

        panels.append(Panel(title, draw, height))
    return panels


def _curve(
    results: Results, task: str, name: str, labels: Sequence[str] = ()
) -> pd.DataFrame:
    """Return the quartiles of a column of a task, by label and step."""
    column = _column(results, task, name)
    table = curve_of(results, task, column)[1].assign(task=task, metric=name)
    return table[table["label"].isin(labels)] if labels else table


def _column(results: Results, task: str, name: str) -> Any:
    return next(one for one in columns_of(results, task) if one["name"] == name)


def _curves_panel(
    results: Results,
    table: pd.DataFrame,
    title: str,
    ylabel: str,
    scale: str = "",
    x: str = "step",
) -> Panel:
    """Return a panel of the medians of a column, with quartiles."""
    name, task = table["metric"].iloc[0], table["task"].iloc[0]
    column = _column(results, task, name) | ({"scale": scale} if scale else {})

    def draw(axes: Axes) -> None:
        draw_curves(axes, table, column, x, _styles(results), None)
        axes.set_ylabel(fill(ylabel, LABEL_CHARACTERS))

    return Panel(title, draw, 2.2)


def _handles(results: Results, labels: Iterable[str]) -> dict[str, Any]:
    styles = _styles(results)
    return {label: handle(styles[label]) for label in dict.fromkeys(labels)}


def _median_at(results: Results, task: str, label: str, name: str, step: int) -> float:
    """Return the median of a column over the runs at a record; infinite for none.

    Args:
        results: the runs.
        task: spec of the task.
        label: the algorithm.
        name: the column.
        step: step of the record; -1 for the last.
    """
    frame = results.frame
    rows = frame[(frame["task"] == task) & (frame["label"] == label)]
    at = rows["step"].max() if step < 0 else step
    values = rows.loc[rows["step"] == at, name].to_numpy(float)
    return float(np.median(np.where(np.isnan(values), np.inf, values)))


def _movement(results: Results, task: str, label: str) -> str:
    """Say where runs went: from which median distance to which, or when they left."""
    rows = last_records(results, task)
    rows = rows[rows["label"] == label]
    left = rows.loc[rows["status"] == Status.DIVERGED, "stopped_at"]
    if 2 * len(left) > len(rows):
        return (
            f"diverges in {_share(rows['status'] == Status.DIVERGED)}, in the median "
            f"at step {left.median():.0f}"
        )
    first, last = (_median_at(results, task, label, "distance", at) for at in (0, -1))
    if last < 1e-3 * first:
        verb = "converges"
    elif last < 0.95 * first:
        verb = "comes nearer"
    elif last <= 1.05 * first:
        verb = "keeps its distance"
    else:
        verb = "moves away"
    return f"{verb} ({number(first)} to {number(last)})"


def _layout(
    panels: Sequence[Panel], columns: int, legend: Mapping[str, Any] = {}
) -> Layout:
    return Layout(panels, columns, legend, pd.DataFrame())


# ---- the quadratic game ----


def _stable(results: Results) -> Shown:
    (task,) = tasks_of(results)
    labels = (studies.ALONE, studies.TOGETHER)
    panels = _portraits(results, [(task, label, label) for label in labels], points=150)
    said = "; ".join(f"{label} {_movement(results, task, label)}" for label in labels)
    table = _curve(results, task, "distance")
    panels.append(_curves_panel(results, table, "distance", "distance from (0, 0)"))
    return Shown(
        _layout(panels, 3, _handles(results, labels)),
        f"Medians of the distance from (0, 0) over {_runs(results)} runs of 500 steps: "
        f"{said}.",
    )


def _stable_moving(results: Results) -> Shown:
    shown = _stable(results)
    return shown._replace(layout=_layout(shown.layout.panels[:2], 2))


def _runs(results: Results) -> int:
    return int(results.frame.groupby("key")["seed"].nunique().max())


def _rates(
    results: Results, rules: Sequence[str] = (SIMULTANEOUS, ALTERNATING)
) -> Shown:
    (task,) = tasks_of(results)
    labels = [f"{rule} {pair}" for rule in rules for pair in PAIRS]
    said = [
        f"{label.replace(',', ', ')} {_movement(results, task, label)}"
        for label in labels
    ]
    panels = _portraits(
        results,
        [(task, label, label.replace(" (", "\n(")) for label in labels],
        runs=2,
        points=200,
        reach=6,
    )
    return Shown(
        _layout(panels, 3),
        f"The first 200 steps of two runs. {_runs(results)} runs of 500 steps, with "
        f"the median distance at the start and at the end: {'; '.join(said)}.",
    )


def _both_rates(results: Results) -> Shown:
    """Say also where alternating steps end unlike simultaneous ones."""
    shown = _rates(results)
    (task,) = tasks_of(results)
    unlike = []
    for pair in PAIRS:
        grows = {
            _median_at(results, task, f"{rule} {pair}", "distance", -1)
            > _median_at(results, task, f"{rule} {pair}", "distance", 0)
            for rule in (SIMULTANEOUS, ALTERNATING)
        }
        if len(grows) == 2:
            unlike.append(pair.replace(",", ", "))
    if not unlike:
        return shown
    more = (
        f" At {' and '.join(unlike)} alternating steps end unlike simultaneous ones, "
        "so that what holds for simultaneous training does not include them."
    )
    return shown._replace(ours=shown.ours + more)


def _rates_moving(results: Results) -> Shown:
    return _rates(results, (SIMULTANEOUS,))


# ---- projection ----


def _stays(results: Results, task: str, label: str) -> pd.Series:
    """Return the longest stay near the target of each run, by seed."""
    last = last_records(results, task)
    return last[last["label"] == label].set_index("seed")[studies.STAY].sort_index()


def _run_of_median(results: Results, task: str, label: str) -> pd.DataFrame:
    """Return the records of the run with the lower median of the longest stays."""
    stays = _stays(results, task, label).sort_values(kind="stable")
    seed = stays.index[(len(stays) - 1) // 2]
    frame = results.frame
    chosen = (frame["task"] == task) & (frame["label"] == label)
    return frame[chosen & (frame["seed"] == seed)]


def _projected(scaling: str) -> str:
    """Return the task of a scaling, as it is spelled where it is not the default."""
    default = scaling == "(1,0.01)"
    return "icr_projection" if default else f"icr_projection[scaling={scaling}]"


def _shares(results: Results, chosen: Sequence[tuple[str, str, str]]) -> str:
    """Say in how many runs the projection state is seen, and for how long."""
    said = []
    for scaling, label, words in chosen:
        stays = _stays(results, _projected(scaling), label)
        task = _projected(scaling)
        total = _median_at(results, task, label, studies.STAY_TOTAL, -1)
        said.append(
            f"{words} in {_share(stays >= studies.STAY_STEPS)} ({stays.median():.0f} "
            f"and {total:.0f} steps)"
        )
    return (
        "The state is seen (with medians of the longest stay and of all stays) with "
        + ", ".join(said)
        + "."
    )


def _over_time(run: pd.DataFrame, title: str, height: float = 1.9) -> Panel:
    """Return a panel of both coordinates against the step."""

    def draw(axes: Axes) -> None:
        axes.axhline(TARGET, color=style.GREY, linewidth=1, linestyle="--")
        for at, name in enumerate(("theta_1", "theta_2")):
            axes.plot(
                run["step"], run[name], color=style.COLOURS[at], linewidth=1, label=PATH
            )
        axes.set_ylim(0, 4)
        axes.set_xlim(0, run["step"].max())
        axes.set_xlabel("steps")
        sns.despine(ax=axes)

    return Panel(title, draw, height)


def _in_plane(run: pd.DataFrame, title: str) -> Panel:
    """Return a panel of the path of the generator's output, in its set."""

    def draw(axes: Axes) -> None:
        first = np.geomspace(0.05, 50, 300)
        axes.fill_between(
            first, 1 / e / first, e / first, color=style.GRID_GREY, linewidth=0
        )
        path = run[["theta_1", "theta_2"]].to_numpy()
        axes.plot(
            *path.T,
            color=style.COLOURS[0],
            linestyle="",
            marker="o",
            markersize=2,
            markeredgewidth=0,
            alpha=0.4,
        )
        axes.plot(TARGET, TARGET, marker="*", markersize=9, color=style.COLOURS[3])
        axes.set_xlim(0, 4)
        axes.set_ylim(0, 4)
        axes.set_aspect("equal")
        axes.set_xlabel("θ₁")
        axes.set_ylabel("θ₂")
        axes.locator_params(nbins=5)
        axes.grid(visible=False)
        sns.despine(ax=axes)

    return Panel(title, draw, 2.6)


def _coordinates() -> dict[str, Any]:
    colours = dict(zip(("θ₁", "θ₂"), style.COLOURS, strict=False))
    lines = {name: Line2D([], [], color=colour) for name, colour in colours.items()}
    return lines | {"target": Line2D([], [], color=style.GREY, linestyle="--")}


def _projection(results: Results) -> Shown:
    names = {"(1,1)": "η = I", "(1,0.01)": "η = diag(1, 0.01)"}
    runs = {
        title: _run_of_median(results, _projected(scaling), "GDA")
        for scaling, title in names.items()
    }
    panels = [_in_plane(run, title) for title, run in runs.items()]
    panels += [_over_time(run, "") for run in runs.values()]
    legend = _coordinates() | {
        "set of all θ": Patch(color=style.GRID_GREY),
        "P = (2, 2)": Line2D(
            [], [], color=style.COLOURS[3], marker="*", linestyle="", markersize=8
        ),
    }
    chosen = [
        ("(1,0.01)", "GDA", "η = diag(1, 0.01)"),
        ("(1,1)", "GDA", "η = I"),
        ("(100,1)", "GDA", "the blog's diag(100, 1)"),
    ]
    crossings = [
        f"{_crossings(results, _projected('(1,1)'), 'GDA', column):.0f} times"
        for column in ("theta_1", "theta_2")
    ]
    return Shown(
        _layout(panels, 2, legend),
        f"{_shares(results, chosen)} With η = I, θ₁ of the median run passes its "
        f"target {crossings[0]} and θ₂ {crossings[1]}.",
    )


def _crossings(results: Results, task: str, label: str, column: str) -> float:
    """Return how often a coordinate passes the target, in the median run."""
    frame = results.frame
    rows = frame[(frame["task"] == task) & (frame["label"] == label)]
    is_above = rows[column] > TARGET
    changes = is_above.groupby(rows["seed"]).agg(lambda run: run.diff().iloc[1:].sum())
    return float(changes.median())


def _projection_moving(results: Results) -> Shown:
    panels = [
        _over_time(_run_of_median(results, _projected(scaling), label), title, 1.5)
        for scaling, label, title in (
            ("(1,0.01)", "GDA", "GDA, η = diag(1, 0.01)"),
            ("(1,0.01)", "CGD", "CGD, η = diag(1, 0.01)"),
            ("(100,1)", "GDA", "GDA, η = diag(100, 1)"),
        )
    ]
    chosen = [
        ("(1,0.01)", "GDA", "GDA"),
        ("(1,0.01)", "CGD", "CGD"),
        ("(100,1)", "GDA", "GDA and the blog's η = diag(100, 1)"),
    ]
    return Shown(_layout(panels, 1, _coordinates()), _shares(results, chosen))


# ---- MNIST ----


def _last_step(results: Results, label: str) -> int:
    frame = results.frame
    return int(frame.loc[frame["label"] == label, "step"].max())


def _by_label(results: Results, name: str, labels: Sequence[str]) -> pd.DataFrame:
    """Return the quartiles of a column, of labels that may be on several tasks."""
    tables = [
        _curve(results, task, name)
        for task in tasks_of(results)
        if any(column["name"] == name for column in columns_of(results, task))
    ]
    joined = pd.concat(tables, ignore_index=True)
    return joined[joined["label"].isin(labels)]


def _task_of(results: Results, label: str) -> str:
    frame = results.frame
    return str(frame.loc[frame["label"] == label, "task"].iloc[0])


def _alone(results: Results) -> Shown:
    labels = ["D alone", "joint"]
    panels = [
        _curves_panel(results, _by_label(results, name, labels), "", title, "linear")
        for name, title in (
            ("loss_y", "loss of the discriminator"),
            ("drift_y", "distance of its weights"),
            ("drift_real", "distance of its logits, real"),
            ("drift_fake", "distance of its logits, fake"),
        )
    ]

    def at(label: str, name: str, step: int = -1) -> str:
        found = _median_at(results, _task_of(results, label), label, name, step)
        return number(found)

    steps = _last_step(results, "joint")
    return Shown(
        _layout(panels, 2, _handles(results, labels)),
        f"Medians of {_runs(results)} runs after {steps} steps: the loss goes from "
        f"{at('joint', 'loss_y', 0)} to {at('D alone', 'loss_y')} alone and to "
        f"{at('joint', 'loss_y')} jointly; the weights move by "
        f"{at('D alone', 'drift_y')} and {at('joint', 'drift_y')}, the logits of fake "
        f"images by {at('D alone', 'drift_fake')} and {at('joint', 'drift_fake')}.",
    )


def _strikes_back(results: Results) -> Shown:
    labels = [
        f"G after {before}"
        for before in ("checkpoint", "D alone", "D alone, shorter", "D alone by CGD")
    ]
    mnist = [task for task in tasks_of(results) if task.startswith("mnist_icr")]
    frame = results.frame[results.frame["task"].isin(mnist)]
    images = results._replace(frame=frame.reset_index(drop=True))
    table = _by_label(images, "loss_y", labels)
    steps = 100
    panels = [
        _curves_panel(images, table, "generator alone, after", "loss of D"),
        _curves_panel(
            images, table[table["step"] <= steps], f"the first {steps}", "loss of D"
        ),
        _stays_panel(results),
    ]
    at = 16
    losses = {
        label: frame[(frame["label"] == label) & (frame["step"] == at)]
        .set_index("seed")["loss_y"]
        .sort_index()
        for label in labels
    }
    checkpoint, _, shorter, by_cgd = losses.values()
    said = ", ".join(
        f"{number(of_label.median())} after {label.removeprefix('G after ')}"
        for label, of_label in losses.items()
    )
    chosen = [("(1,0.01)", name, name) for name in ("GDA", "CGD")]
    return Shown(
        _layout(
            panels,
            3,
            {
                label.removeprefix("G after "): line
                for label, line in _handles(images, labels).items()
            },
        ),
        f"Median loss of the discriminator after {at} steps of the generator alone: "
        f"{said}. The loss after CGD is lower than after the checkpoint in "
        f"{_share(by_cgd < checkpoint)}, and than after descent of the same length in "
        f"{_share(by_cgd < shorter)}. {_shares(results, chosen)}",
    )


def _stays_panel(results: Results) -> Panel:
    stays = {
        label: _stays(results, _projected("(1,0.01)"), label)
        for label in ("GDA", "CGD")
    }

    def draw(axes: Axes) -> None:
        for at, (label, of_label) in enumerate(stays.items()):
            axes.plot(
                np.sort(of_label)[::-1],
                np.arange(1, len(of_label) + 1),
                color=style.COLOURS[4 + at],
                marker=style.MARKERS[at],
                markersize=3.5,
                label=label,
                drawstyle="steps-mid",
            )
        axes.axvline(studies.STAY_STEPS, color=style.GREY, linestyle="--", linewidth=1)
        axes.set_xlabel("longest stay, steps")
        axes.set_ylabel("runs with at least as long")
        axes.legend(frameon=False)
        sns.despine(ax=axes)

    return Panel("projection state", draw, 2.2)


# ---- CIFAR10 ----

DISTANCES, SCORES = ("fid_", "fd_"), ("is_", "cs_")  # beginnings of columns' names


def _first_column(results: Results, prefixes: tuple[str, ...]) -> Any:
    """Return the first column of a kind: by the Inception network, if it is there."""
    columns = {
        column["name"]: column
        for task in tasks_of(results)
        for column in columns_of(results, task)
    }
    names = sorted(
        (name for name in columns if name.startswith(prefixes)),
        key=lambda name: not name.startswith(prefixes[0]),
    )
    return columns[names[0]] if names else None


def _discriminators(results: Results) -> Shown:
    labels = [one for one in labels_of(results) if one.startswith("D against ")]
    table = _by_label(results, "loss_y", labels)
    quality = _first_column(results, DISTANCES)
    said = []
    for label in labels:
        curve = table[table["label"] == label]
        steps, losses = curve["step"].to_numpy(), curve["median"].to_numpy()
        below = steps[losses <= losses[0] / 2]
        when = f"at step {below[0]:.0f}" if len(below) else "never"
        generator = label.removeprefix("D against ")
        task = _task_of(results, generator)
        worth = _median_at(results, task, generator, quality["name"], -1)
        said.append(f"{generator} with {number(worth)}: {when}")
    panel = _curves_panel(results, table, "", "loss of the new discriminator")
    return Shown(
        _layout([panel], 1, _handles(results, labels)),
        f"{quality['title']} of each generator, and when the median loss of the new "
        f"discriminator is half of what it was: {'; '.join(said)}.",
    )


def _cifar10(results: Results) -> Shown:
    panels, said = [], []
    for column in filter(
        None, (_first_column(results, one) for one in (SCORES, DISTANCES))
    ):
        table = _by_label(results, column["name"], labels_of(results))
        panels += [
            _curves_panel(results, table, "", column["title"], x=against)
            for against in ("step", "cost")
        ]
        last = table.groupby("label")["median"].last().sort_values()
        best = 0 if column["better"] == "lower" else -1
        said.append(
            f"the best median {column['title']} is {number(last.iloc[best])} of "
            f"{last.index[best]}"
        )
    return Shown(
        _layout(panels, 2, _handles(results, labels_of(results))),
        f"At the end, {'; '.join(said)}.",
    )


# ---- xy in a box, four modes, digits ----


def _box(results: Results, labels: Sequence[str]) -> Shown:
    (task,) = tasks_of(results)
    panels = _portraits(
        results, [(task, label, label) for label in labels], runs=2, height=3
    )
    said = []
    for label in labels:
        last = last_records(results, task)
        ends = last.loc[last["label"] == label, "distance"]
        said.append(
            f"{label} {_movement(results, task, label)}, with ends at "
            f"{number(ends.min())} to {number(ends.max())}"
        )
    return Shown(
        _layout(panels, len(panels)),
        f"Median distance from the line x = 0, {_runs(results)} runs: "
        f"{'; '.join(said)}.",
    )


def _spiral(results: Results) -> Shown:
    return _box(results, ["GDA"])


def _search(results: Results) -> Shown:
    return _box(results, ["GDA", studies.SEARCH])


MODES, DIGITS = "four_gaussians", "mnist01"


def _runs_panel(
    results: Results, task: str, label: str, name: str, title: str, ylabel: str
) -> Panel:
    """Return a panel of a count of the first runs, a line for each, side by side."""
    frame = results.frame
    rows = frame[(frame["task"] == task) & (frame["label"] == label)]
    seeds = rows["seed"].unique()[:DRAWN_RUNS]

    def draw(axes: Axes) -> None:
        for at, seed in enumerate(seeds):
            run = rows[rows["seed"] == seed]
            axes.plot(
                run["step"],
                run[name] + 0.06 * (at - (len(seeds) - 1) / 2),
                color=style.COLOURS[at],
                linewidth=1,
            )
        axes.set_xlabel("iterations")
        axes.set_ylabel(ylabel)
        axes.set_xlim(0, rows["step"].max())
        axes.set_ylim(-0.3, 4.3)
        sns.despine(ax=axes)

    return Panel(title, draw, 2.2)


def _digits_panel(results: Results, labels: Sequence[str], title: str) -> Panel:
    """Return a panel of the share of runs that make both digits."""
    table = _curve(results, DIGITS, "digits_any", labels)
    return _curves_panel(results, table, title, "share with both digits")


def _oscillation(results: Results) -> Shown:
    panels = [
        _runs_panel(results, MODES, "GDA(1)", "modes", "four Gaussians", "modes"),
        _digits_panel(results, ["GDA(1)"], "0-1 MNIST"),
    ]
    lost = _median_at(results, MODES, "GDA(1)", "modes_forgotten", -1)
    table = _curve(results, DIGITS, "digits_any", ["GDA(1)"])
    made = table["median"].to_numpy()
    most, when = made.max(), table["step"].to_numpy()[made.argmax()]
    share = _median_at(results, DIGITS, "GDA(1)", "digit_share_1", -1)
    return Shown(
        _layout(panels, 2),
        f"Modes of the first {DRAWN_RUNS} runs of GDA by the visual rule, and the "
        "share of all runs with both digits by any confidence of the classifier. The "
        f"median run loses a mode at {lost:g} of its records. At most "
        f"{percent(most)} of the runs make both digits, at iteration {when:.0f}; in "
        f"the median run {percent(share)} of the digits are ones at the end.",
    )


_ACCEPT_REJECT = ("GDA(1)", "accept-reject text", "accept-reject notebook")


def _sheet_panels(
    results: Results, task: str, labels: Sequence[str], height: float, runs: int
) -> list[Panel]:
    styles, modes = _styles(results), true_modes(task)
    panels = []
    for label in labels:
        sheet = sheets_of(results, task)[label][:runs]

        def draw(axes: Axes, sheet: np.ndarray = sheet, label: str = label) -> None:
            draw_sheet(axes, sheet, modes, styles[label])

        panels.append(Panel(label, draw, height))
    return panels


def _four_modes(results: Results) -> Shown:
    panels = _sheet_panels(results, MODES, _ACCEPT_REJECT, 1.75, DRAWN_RUNS)
    last = last_records(results, MODES)
    said = []
    for label in _ACCEPT_REJECT:
        of_label = last[last["label"] == label]
        said.append(
            f"{label} has four modes in {_share(of_label['modes'] >= 4)} by the visual "
            f"rule and in {_share(of_label['modes_lenient'] >= 4)} by the lenient one"
        )
    return Shown(
        _layout(panels, 1),
        f"Samples of the first {DRAWN_RUNS} runs at iteration 1500. {'; '.join(said)}.",
    )


def _share(values: pd.Series) -> str:
    return f"{int(values.sum())} of {len(values)} runs"


def _both_digits(results: Results) -> Shown:
    labels = _ACCEPT_REJECT[:2]
    panels = [
        *_sheet_panels(results, DIGITS, labels, 2.1, 1),
        _digits_panel(results, labels, ""),
    ]
    last = last_records(results, DIGITS)
    said = []
    for label in labels:
        of_label = last[last["label"] == label]
        share = _curve(results, DIGITS, "digits_any", [label])
        made = share["median"].to_numpy()
        when = share["step"].to_numpy()[made.argmax()]
        said.append(
            f"{label} makes both digits in {_share(of_label['digits'] >= 2)}, by any "
            f"confidence of the classifier in {_share(of_label['digits_any'] >= 2)}, "
            f"but in {percent(made.max())} of them at iteration {when:.0f}"
        )
    return Shown(
        _layout(panels, 3, _handles(results, labels)),
        "Images of the first run at iteration 1000, and the share of runs with both "
        f"digits by any confidence of the classifier. {'; '.join(said)}.",
    )


# ---- the lecture ----


def _dirac(results: Results) -> Shown:
    chosen = [
        (task, rule, f"{rule}\n{name}")
        for rule in (SIMULTANEOUS, ALTERNATING)
        for name, task in zip(studies.DIRAC, tasks_of(results), strict=True)
    ]
    return Shown(_layout(_portraits(results, chosen), 3), _said(results, chosen))


def _said(results: Results, chosen: Iterable[tuple[str, str, str]]) -> str:
    """Say where the run of each panel went in 500 steps."""
    said = [
        f"{title.replace(chr(10), ', ')}: {_movement(results, task, label)}"
        for task, label, title in chosen
    ]
    return f"Distance from the solution over 500 steps. {'; '.join(said)}."


def _regularised(results: Results) -> Shown:
    chosen = [
        (task, rule, f"{rule}\nγ = {weight:g}")
        for weight, task in zip(studies.R1, tasks_of(results), strict=True)
        for rule in (SIMULTANEOUS, ALTERNATING)
    ]
    panels = _portraits(results, chosen, height=1.75)
    return Shown(_layout(panels, 4), _said(results, chosen))


def _orbit(results: Results, rule: str, sizes: Sequence[float], reach: float) -> Shown:
    labels = [f"{rule} h={size:g}" for size in sizes]
    task = tasks_of(results)[0]
    panels = _portraits(
        results,
        [(task, label, label) for label in labels],
        reach=reach,
        circle=np.sqrt(2),
    )
    said = []
    for label in labels:
        ratio = _median_at(results, task, label, "distance", -1) / np.sqrt(2)
        said.append(f"{ratio:.4g} of it with {label.removeprefix(rule).strip()}")
    return Shown(
        _layout(panels, 3),
        "The flow keeps its distance from the solution (dashed). After steps of "
        f"{rule} for the time {studies.TIME}, about three turns, it is "
        f"{', '.join(said)}.",
    )


def _euler(results: Results) -> Shown:
    return _orbit(results, "Euler", studies.EULER_SIZES, 6)


def _rk4(results: Results) -> Shown:
    shown = _orbit(results, RK4, studies.RK4_SIZES, 2)
    _, free, penalised = tasks_of(results)
    more = [
        (free, RK4, "DiracGAN\nRK4 h=0.2"),
        (penalised, RK4, "DiracGAN with R1\nRK4 h=0.2"),
    ]
    return Shown(
        _layout([*shown.layout.panels, *_portraits(results, more)], 3),
        f"{shown.ours} {_said(results, more)}",
    )


DRAWINGS: dict[str, Callable[[Results], Shown]] = {
    "icr/3": _stable,
    "icr/4": _alone,
    "icr/5": _discriminators,
    "icr/6": _both_rates,
    "icr/7": _projection,
    "icr/8": _strikes_back,
    "icr/9": _cifar10,
    "icr_blog/stable": _stable_moving,
    "icr_blog/rates": _rates_moving,
    "icr_blog/projection": _projection_moving,
    "mangoubi/1": _spiral,
    "mangoubi/2": _oscillation,
    "mangoubi/3": _search,
    "mangoubi/4": _four_modes,
    "mangoubi/5": _both_digits,
    "lecture/dirac": _dirac,
    "lecture/regularised": _regularised,
    "lecture/euler": _euler,
    "lecture/rk4": _rk4,
}
