"""The methods: update rules, costs, settings and sources, from the descriptions."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from mmbench.analysis.numbers import number
from mmbench.analysis.parameters import (
    format_spec,
    format_value,
    parameters_of,
    to_json,
)
from mmbench.analysis.report.sections.base import (
    Section,
    Subsection,
    Table,
    TableCell,
)
from mmbench.analysis.results import Footer, Results, describe_starts, tasks_of
from mmbench.core.errors import MmbenchError
from mmbench.metrics import METRICS

PROSE = (
    "The descriptions come from the code that ran, and the parameters, defaults "
    "included, from each cell. z is x followed by y, z⁺ the next z, F(z) the players’ "
    "gradients one after the other, and η the step size. The cost of a step counts "
    "gradients of each player (∇x, ∇y), Hessian-vector products (HVP) and evaluations "
    "of the losses (value)."
)
PROTOCOL_PROSE = (
    "Images are evaluated by a frozen network, which is identified by the SHA-256 of "
    "its weights. Values are comparable only if the network, the numbers of images and "
    "the way of resizing are the same. The score of real images is the value that real "
    "images from another split of the data get in the place of generated ones; there "
    "are as many of them as of generated ones, or all of the split."
)
# Entries of a protocol that have a column of their own, and those in the prose.
COLUMN_ENTRIES = ("features", "sha256", "generated", "real", "split", "resize")
PROSE_ENTRIES = {"pixels": "Pixels", "naming": "Names"}
MAX_SPECS = 3  # of one label on one task
LEFT_OUT = (
    f"The table has at most {MAX_SPECS} settings of a label on a task; {{count}} more, "
    "winners of other tunings, are in the record of the tuning."
)
DIGEST_CHARACTERS = 12  # of a SHA-256 that are shown
# Sections of a docstring that are printed after its text.
ALGORITHM_HEADINGS = ("State", "Cost", "Differs from the source")
TASK_HEADINGS = ("Solutions", "Differs from the source")
# What is written once for all cells of a class.
DOCUMENTED = ("summary", "rule", "text", "sections", "arguments")

Documentation = Mapping[str, Any]  # of a class, in a footer


def section(results: Results) -> Section:
    """Describe each class of algorithms and tasks, and list the sources."""
    footers = list(results.footers.values())
    starts = {
        (task, label): where
        for task in tasks_of(results)
        for label, where in describe_starts(results, task).items()
    }
    algorithms = _by_class(footers, "algorithm", "method")
    return Section(
        title="Methods",
        anchor="methods",
        prose=(PROSE,),
        subsections=[
            *(_algorithm(cells, starts) for cells in algorithms),
            *(_task(cells) for cells in _by_class(footers, "task", "game")),
            *_protocols(footers),
            _sources(footers),
        ],
        files={"methods.csv": _methods_table(results)},
    )


def _by_class(
    footers: Sequence[Footer], member: str, documented: str
) -> list[list[Footer]]:
    """Group cells by the class of their "algorithm" or "task", and by its text.

    Cells that other versions of a class computed are not described by the text of this
    one.
    """
    groups: dict[str, list[Footer]] = {}
    for footer in footers:
        described = footer["cell"][member]
        text = {name: footer[documented].get(name) for name in DOCUMENTED}
        which = [described["class"], described.get("version"), text]
        groups.setdefault(json.dumps(which, sort_keys=True), []).append(footer)
    return list(groups.values())


def _algorithm(
    footers: Sequence[Footer], starts: Mapping[tuple[str, str], str]
) -> Subsection:
    documentation = footers[0]["method"]
    name = _name(footers[0]["algorithm"])
    tasks: dict[tuple[str, str, str, str], list[str]] = {}
    specs: dict[tuple[str, str, str], dict[str, None]] = {}
    for footer in footers:
        start = starts.get((footer["task"], footer["label"]), "")
        cost = footer["method"]["cost"]
        spec = format_spec(name, parameters_of(footer))
        known = specs.setdefault((footer["label"], footer["task"], start), {})
        known[spec] = None
        if len(known) > MAX_SPECS:  # winners of repetitions of a tuning
            continue
        row = (footer["label"], spec, cost, start)
        tasks.setdefault(row, []).append(footer["task"])
    left = sum(max(0, len(known) - MAX_SPECS) for known in specs.values())
    rows = [
        [
            TableCell(label, label=True),
            TableCell(spec, code=True),
            TableCell(cost.replace(" ", "\u00a0")),
            TableCell(", ".join(tasks_of_row)),
            TableCell(start),
        ]
        for (label, spec, cost, start), tasks_of_row in tasks.items()
    ]
    columns = ["Algorithm", "Parameters", "Cost of a step", "Tasks", "Start"]
    if not any(row[-1].text for row in rows):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    return Subsection(
        title=f"Algorithm {name}",
        prose=_prose(documentation, ALGORITHM_HEADINGS),
        preformatted=documentation["rule"],
        tables=[
            Table("", columns, rows),
            *_arguments(documentation, [parameters_of(footer) for footer in footers]),
        ],
        notes=[LEFT_OUT.format(count=left)] if left else [],
    )


def _task(footers: Sequence[Footer]) -> Subsection:
    documentation = footers[0]["game"]
    name = _name(footers[0]["task"])
    parameters = [parameters_of(footer, "task") for footer in footers]
    rows = dict.fromkeys(
        (footer["task"], format_spec(name, values), footer["target"] or "none declared")
        for footer, values in zip(footers, parameters, strict=True)
    )
    cells = [
        [TableCell(task, code=True), TableCell(spec, code=True), TableCell(target)]
        for task, spec, target in rows
    ]
    return Subsection(
        title=f"Task {name}",
        prose=_prose(documentation, TASK_HEADINGS),
        preformatted=documentation["rule"],
        tables=[
            Table("", ["Task", "Parameters", "Target"], cells),
            *_arguments(documentation, parameters),
        ],
    )


def _name(spec: str) -> str:
    return spec.partition("[")[0]


def _protocols(footers: Sequence[Footer]) -> list[Subsection]:
    """Describe how images were measured, in one row for each task and protocol."""
    scores: dict[tuple[str, str, tuple[tuple[str, Any], ...]], dict[str, float]] = {}
    for footer in footers:
        for metric, protocol in footer.get("protocols", {}).items():
            row = (footer["task"], metric, tuple(sorted(protocol.items())))
            scores.setdefault(row, {}).update(_real_scores(footer, metric))
    if not scores:
        return []
    rows, prose = [], [PROTOCOL_PROSE]
    for (task, metric, entries), real_scores in scores.items():
        protocol = dict(entries)
        sha256 = str(protocol.get("sha256", "–"))
        rows.append(
            [
                TableCell(task, code=True),
                TableCell(metric, code=True),
                TableCell(str(protocol.get("features", "–"))),
                TableCell(sha256[:DIGEST_CHARACTERS], code=True, tooltip=sha256),
                TableCell(_image_count(protocol.get("generated", "–"))),
                TableCell(_real_images(protocol)),
                TableCell(str(protocol.get("resize", "–"))),
                TableCell("; ".join(_other_entries(protocol)) or "–"),
                TableCell(_format_scores(real_scores) or "–"),
            ]
        )
        prose += [
            f"{title}: {protocol[name]}."
            for name, title in PROSE_ENTRIES.items()
            if name in protocol
        ]
    columns = [
        "Task",
        "Metric",
        "Network",
        "SHA-256 of its weights",
        "Images per run",
        "Real images",
        "Resizing",
        "Other settings",
        "Score of real images",
    ]
    if len({task for task, _, _ in scores}) == 1:
        columns, rows = columns[1:], [row[1:] for row in rows]
    return [
        Subsection(
            title="Evaluation of images",
            prose=list(dict.fromkeys(prose)),
            tables=[Table("", columns, rows)],
        )
    ]


def _real_scores(footer: Footer, metric: str) -> dict[str, float]:
    """Return the value that real images get in each column of a metric."""
    try:
        columns = METRICS.build(metric, external=False).columns
    except MmbenchError:  # the metric is an external class
        return {}
    scores = footer.get("ideal", {})
    return {
        column.name: scores[column.name] for column in columns if column.name in scores
    }


def _format_scores(scores: Mapping[str, float]) -> str:
    """Format the scores of real images, with column names if there are several."""
    if len(scores) == 1:
        return number(*scores.values())
    return "; ".join(f"{name}: {number(value)}" for name, value in scores.items())


def _image_count(count: str | int) -> str:
    return number(count) if isinstance(count, int) else count


def _real_images(protocol: Mapping[str, Any]) -> str:
    """Describe the real images with which generated ones are compared."""
    if "real" not in protocol:
        return "none"
    return f"{_image_count(protocol['real'])} of “{protocol.get('split', '')}”"


def _other_entries(protocol: Mapping[str, Any]) -> list[str]:
    """Format the entries of a protocol that are shown nowhere else."""
    return [
        f"{name.replace('_', ' ')}: {value}"
        for name, value in protocol.items()
        if name not in (*COLUMN_ENTRIES, *PROSE_ENTRIES)
    ]


def _prose(documentation: Documentation, headings: Sequence[str]) -> list[str]:
    """Return the paragraphs of a docstring, its first line always among them."""
    prose = [documentation["summary"] or "Its class has no docstring."]
    if documentation["text"]:
        prose += documentation["text"].split("\n\n")
    for heading in headings:
        if text := documentation["sections"].get(heading):
            prose.append(f"{heading}: {text}")
    prose.append(f"Source: {documentation['source'] or 'none stated'}.")
    return prose


def _arguments(
    documentation: Documentation, values: Sequence[Mapping[str, Any]]
) -> list[Table]:
    """Return the table of the parameters' values in the cells, and of their meanings.

    Args:
        documentation: of the class.
        values: the parameters of each cell.
    """
    meanings = documentation["arguments"]
    documented = [name for name in meanings if any(name in cell for cell in values)]
    names = dict.fromkeys([*documented, *(name for cell in values for name in cell)])
    rows = []
    for name in names:
        shown = [format_value(cell[name]) for cell in values if name in cell]
        rows.append(
            [
                TableCell(name, code=True),
                TableCell(", ".join(dict.fromkeys(shown)), code=True),
                TableCell(meanings.get(name) or "not documented"),
            ]
        )
    if not rows:
        return []
    caption = "Meaning of the parameters, with all values on this page"
    return [Table(caption, ["Parameter", "Values", "Meaning"], rows, folded=True)]


def _sources(footers: Sequence[Footer]) -> Subsection:
    links: dict[str, str] = {}
    for footer in footers:
        for documentation in (footer["method"], footer["game"]):
            if documentation["source"]:
                links.setdefault(documentation["source"], documentation["link"])
    return Subsection(title="Sources", links=sorted(links.items()))


def _methods_table(results: Results) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "label": footer["label"],
            "task": footer["task"],
            "algorithm": footer["algorithm"],
            "parameters": to_json(parameters_of(footer)),
            "task_parameters": to_json(parameters_of(footer, "task")),
            "cost": footer["method"]["cost"],
            "rule": footer["method"]["rule"],
            "source": footer["method"]["source"],
            "link": footer["method"]["link"],
            "key": key,
        }
        for key, footer in results.footers.items()
    )
