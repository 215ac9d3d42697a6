"""Methods: update rule, cost, settings and source, from the descriptions."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from mmbench.frame import Results
from mmbench.report.sections.base import Cell, Part, Section, Table

PROSE = (
    "Taken from the code that ran, the settings from each cell. z is x followed by y, "
    "F the players’ gradients one after the other, η the step size. The cost of a "
    "step counts gradients of each player (∇x, ∇y), Hessian products (HVP) and "
    "evaluations of the losses (value)."
)
# Parts of a docstring that are printed after its text.
OF_METHODS = ("State", "Cost", "Differs from the source")
OF_GAMES = ("Solutions", "Differs from the source")

Footer = dict[str, Any]


def section(results: Results) -> Section:
    """One part for each algorithm class and each game, then the sources."""
    footers = list(results.footers.values())
    return Section(
        title="Methods",
        anchor="methods",
        prose=(PROSE,),
        parts=[
            *(_method(those) for those in _by_class(footers, "algorithm")),
            *(_game(those) for those in _by_class(footers, "task")),
            _sources(footers),
        ],
        files={"methods.csv": _listing(footers)},
    )


def _by_class(footers: Sequence[Footer], what: str) -> list[list[Footer]]:
    """The cells of each class of algorithm or task, in order of first appearance."""
    found: dict[str, list[Footer]] = {}
    for footer in footers:
        found.setdefault(footer["cell"][what]["class"], []).append(footer)
    return list(found.values())


def _method(footers: list[Footer]) -> Part:
    told = footers[0]["method"]
    tasks: dict[tuple[str, str, str], list[str]] = {}
    for one in footers:
        told_apart = (one["label"], one["algorithm"], one["method"]["cost"])
        tasks.setdefault(told_apart, []).append(one["task"])
    rows = [
        [
            Cell(label, label=True),
            Cell(words, code=True),
            Cell(cost.replace(" ", "\u00a0")),
            Cell(", ".join(on)),
        ]
        for (label, words, cost), on in tasks.items()
    ]
    settings = Table("", ["Algorithm", "Settings", "Cost of a step", "Tasks"], rows)
    return Part(
        title=footers[0]["algorithm"].partition("[")[0],
        prose=_prose(told, OF_METHODS),
        pre=told["rule"],
        tables=[settings, *_arguments(told, footers[0]["cell"]["algorithm"])],
    )


def _game(footers: list[Footer]) -> Part:
    told = footers[0]["game"]
    targets = {one["task"]: one["target"] for one in footers}
    rows = [
        [Cell(task, code=True), Cell(target or "none declared")]
        for task, target in targets.items()
    ]
    return Part(
        title="Task " + footers[0]["task"].partition("[")[0],
        prose=_prose(told, OF_GAMES),
        pre=told["rule"],
        tables=[
            Table("", ["Task", "Target"], rows),
            *_arguments(told, footers[0]["cell"]["task"]),
        ],
    )


def _prose(told: dict[str, Any], headings: Sequence[str]) -> list[str]:
    """A docstring's paragraphs; the first is never missing."""
    prose = [told["summary"] or "Its class has no docstring."]
    if told["text"]:
        prose += told["text"].split("\n\n")
    for heading in headings:
        if told["sections"].get(heading):
            prose.append(f"{heading}: {told['sections'][heading]}")
    prose.append(f"Source: {told['source'] or 'none stated'}.")
    return prose


def _arguments(told: dict[str, Any], values: dict[str, Any]) -> list[Table]:
    """What the fields mean, with the values of one cell."""
    rows = [
        [
            Cell(name, code=True),
            Cell(_value(values.get(name)), code=True),
            Cell(meaning),
        ]
        for name, meaning in told["arguments"].items()
    ]
    if not rows:
        return []
    caption = "What the settings mean, with the values of the first cell"
    return [Table(caption, ["Setting", "Value", "Meaning"], rows, folded=True)]


def _value(value: Any) -> str:
    """A JSON value as one reads it."""
    if isinstance(value, dict):
        name = value.get("class", "").rpartition(":")[2].partition("@")[0].lower()
        inner = [
            f"{key}={_value(one)}"
            for key, one in value.items()
            if key not in ("class", "version")
        ]
        return f"{name}[{','.join(inner)}]" if inner else name
    if isinstance(value, list):
        return f"({','.join(_value(one) for one in value)})"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value is None else str(value)


def _sources(footers: Sequence[Footer]) -> Part:
    found: dict[str, str] = {}
    for footer in footers:
        for told in (footer["method"], footer["game"]):
            if told["source"]:
                found.setdefault(told["source"], told["link"])
    return Part(title="Sources", links=sorted(found.items()))


def _listing(footers: Sequence[Footer]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "label": one["label"],
            "task": one["task"],
            "algorithm": one["algorithm"],
            "cost": one["method"]["cost"],
            "rule": one["method"]["rule"],
            "source": one["method"]["source"],
            "link": one["method"]["link"],
        }
        for one in footers
    )
