"""Methods: update rule, cost, settings and source, from the descriptions."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from mmbench.analysis.report.sections.base import (
    Section,
    Subsection,
    Table,
    TableCell,
    number,
)
from mmbench.analysis.results import Results, starts_of, tasks_of
from mmbench.core.errors import MmbenchError
from mmbench.metrics import METRICS

PROSE = (
    "Taken from the code that ran, the settings from each cell. z is x followed by y, "
    "F the players’ gradients one after the other, η the step size. The cost of a "
    "step counts gradients of each player (∇x, ∇y), Hessian products (HVP) and "
    "evaluations of the losses (value)."
)
MEASURED = (
    "Images are looked at by a frozen network, known by the SHA-256 of its weights. "
    "Numbers of two networks, of two numbers of images or of two ways to resize are "
    "never to be compared. “Real images get” is what real images of the other part of "
    "the data get in the place of generated ones: as many as are generated, or all "
    "there are."
)
# Entries of a protocol that have a column of their own.
COLUMNS = ("features", "sha256", "generated", "real", "split", "resize")
COMMON = {"pixels": "Pixels", "naming": "Names"}  # and those told once, above
SHORT = 12  # digits of a SHA-256 that are shown
# Parts of a docstring that are printed after its text.
OF_METHODS = ("State", "Cost", "Differs from the source")
OF_GAMES = ("Solutions", "Differs from the source")

Footer = dict[str, Any]


def section(results: Results) -> Section:
    """One part for each algorithm class and each game, then the sources."""
    footers = list(results.footers.values())
    starts = {
        (task, label): where
        for task in tasks_of(results)
        for label, where in starts_of(results, task).items()
    }
    return Section(
        title="Methods",
        anchor="methods",
        prose=(PROSE,),
        parts=[
            *(_method(those, starts) for those in _by_class(footers, "algorithm")),
            *(_game(those) for those in _by_class(footers, "task")),
            *_measured(footers),
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


def _method(footers: list[Footer], starts: dict[tuple[str, str], str]) -> Subsection:
    told = footers[0]["method"]
    tasks: dict[tuple[str, str, str, str], list[str]] = {}
    for one in footers:
        where = starts.get((one["task"], one["label"]), "")
        told_apart = (one["label"], one["algorithm"], one["method"]["cost"], where)
        tasks.setdefault(told_apart, []).append(one["task"])
    rows = [
        [
            TableCell(label, label=True),
            TableCell(words, code=True),
            TableCell(cost.replace(" ", "\u00a0")),
            TableCell(", ".join(on)),
            TableCell(where),
        ]
        for (label, words, cost, where), on in tasks.items()
    ]
    columns = ["Algorithm", "Settings", "Cost of a step", "Tasks", "Start"]
    if not any(row[-1].text for row in rows):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    settings = Table("", columns, rows)
    return Subsection(
        title=footers[0]["algorithm"].partition("[")[0],
        prose=_prose(told, OF_METHODS),
        pre=told["rule"],
        tables=[settings, *_arguments(told, footers[0]["cell"]["algorithm"])],
    )


def _game(footers: list[Footer]) -> Subsection:
    told = footers[0]["game"]
    targets = {one["task"]: one["target"] for one in footers}
    rows = [
        [TableCell(task, code=True), TableCell(target or "none declared")]
        for task, target in targets.items()
    ]
    return Subsection(
        title="Task " + footers[0]["task"].partition("[")[0],
        prose=_prose(told, OF_GAMES),
        pre=told["rule"],
        tables=[
            Table("", ["Task", "Target"], rows),
            *_arguments(told, footers[0]["cell"]["task"]),
        ],
    )


def _measured(footers: Sequence[Footer]) -> list[Subsection]:
    """How image metrics were measured, one row for each task and protocol."""
    found: dict[tuple, dict[str, float]] = {}  # to what real images get
    for footer in footers:
        for words, protocol in footer.get("protocols", {}).items():
            told = (footer["task"], words, *sorted(protocol.items()))
            found.setdefault(told, {}).update(_ideals(footer, words))
    if not found:
        return []
    rows, said = [], {}
    for (task, words, *entries), ideals in found.items():
        protocol = dict(entries)
        sha256 = str(protocol.get("sha256", "–"))
        rows.append(
            [
                TableCell(task, code=True),
                TableCell(words, code=True),
                TableCell(str(protocol.get("features", "–"))),
                TableCell(sha256[:SHORT], code=True, full=sha256),
                TableCell(_image_count(protocol.get("generated", "–"))),
                TableCell(_real(protocol)),
                TableCell(str(protocol.get("resize", "–"))),
                TableCell("; ".join(_further(protocol)) or "–"),
                TableCell(_listed(ideals) or "–"),
            ]
        )
        for name, what in COMMON.items():
            if name in protocol:
                said[f"{what}: {protocol[name]}."] = None
    columns = [
        "Task",
        "Metric",
        "Network",
        "SHA-256 of its weights",
        "Images of a run",
        "Real images",
        "Resize",
        "Further",
        "Real images get",
    ]
    if len({told[0] for told in found}) == 1:
        columns, rows = columns[1:], [row[1:] for row in rows]
    table = Table("", columns, rows)
    return [
        Subsection(title="How it was measured", prose=[MEASURED, *said], tables=[table])
    ]


def _ideals(footer: Footer, words: str) -> dict[str, float]:
    """What real images get by a metric, by column."""
    try:
        columns = METRICS.build(words, external=False).columns
    except MmbenchError:  # an outside class
        return {}
    ideal = footer.get("ideal", {})
    return {one.name: ideal[one.name] for one in columns if one.name in ideal}


def _listed(ideals: dict[str, float]) -> str:
    """Values, with their columns where there are several."""
    if len(ideals) == 1:
        return number(*ideals.values())
    return "; ".join(f"{name}: {number(value)}" for name, value in ideals.items())


def _image_count(given: str | int) -> str:
    return number(given) if isinstance(given, int) else given


def _real(protocol: dict[str, Any]) -> str:
    """Which real images are the reference."""
    if "real" not in protocol:
        return "none"
    return f"{_image_count(protocol['real'])} of “{protocol.get('split', '')}”"


def _further(protocol: dict[str, Any]) -> list[str]:
    """Entries that have no column of their own."""
    return [
        f"{name.replace('_', ' ')}: {value}"
        for name, value in protocol.items()
        if name not in (*COLUMNS, *COMMON)
    ]


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
            TableCell(name, code=True),
            TableCell(_value(values.get(name)), code=True),
            TableCell(meaning),
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


def _sources(footers: Sequence[Footer]) -> Subsection:
    found: dict[str, str] = {}
    for footer in footers:
        for told in (footer["method"], footer["game"]):
            if told["source"]:
                found.setdefault(told["source"], told["link"])
    return Subsection(title="Sources", links=sorted(found.items()))


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
