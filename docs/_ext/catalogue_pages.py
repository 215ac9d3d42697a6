"""The catalogue: a page of each member of a registry, made from its code.

`mmbench show` prints the same facts. What `mmbench check` found of an algorithm comes
from its row in `docs/catalogue.md`, which the golden tests keep current.
"""

import re
from collections.abc import Iterator
from typing import Any

from repository_links import DOCS, GENERATED, write_if_changed
from sphinx.application import Sphinx

from mmbench.cli._registries import FAMILIES
from mmbench.cli.show import member_facts, suite_facts
from mmbench.core.spec import parse

TITLES = {
    "algorithms": "Algorithms",
    "tasks": "Games",
    "metrics": "Metrics",
    "suites": "Suites",
    "directions": "Directions of algorithms",
    "schedules": "Schedules of step sizes",
    "acceptances": "Acceptance laws",
    "losses": "Losses of GANs",
    "regularisers": "Regularisers of GANs",
}
INTRODUCTIONS = {
    "algorithms": """
Every method that mmbench runs, with the oracle calls of one step and its source. Inner
iterations and general-sum games may cost more: see its page. What was checked of each
stands in [what the gate found](../catalogue.md).
""",
    "tasks": """
Every built-in game: small games with a known solution, games of mixed strategies, and
GANs. The target is what a run must reach to count as converged.
""",
    "metrics": """
Every metric, with the columns that it adds to a table of results. Without a choice, a
run has the metrics of its task.
""",
    "suites": """
Named comparisons. `mmbench plan NAME` prints what one would compute and what is stored
already; `mmbench run NAME` computes it.
""",
    "directions": """
How a first-order method turns gradients into a step, as in
`gda[direction=adam[beta1=0.5]]`.
""",
    "schedules": """
By what factor the step sizes of a method are multiplied at each step, as in
`scheduled[base=gda,factor=rsqrt]`.
""",
    "acceptances": """
With what probability `accept_reject` accepts a proposal without a test.
""",
    "losses": """
What the players of a GAN minimise, as in `four_gaussians[loss=hinge]`.
""",
    "regularisers": """
What is added to a GAN's game, as in
`four_gaussians[regularisers=(r1[weight=1],spectral)]`.
""",
}
_CODE = re.compile(r"(`[^`]*`)")


def prose(text: str) -> str:
    """Return a docstring's text as Markdown: its indented blocks are code already."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("    "):
            parts = _CODE.split(line)
            parts[::2] = [re.sub(r"([*<>|\[\]])", r"\\\1", part) for part in parts[::2]]
            line = "".join(parts)  # noqa: PLW2901
        lines.append(line)
    return "\n".join(lines)


def findings() -> dict[str, str]:
    """Return what the gate found of each algorithm, as a sentence."""
    rows = re.findall(
        r"^\| \[(\w+)\].* \| ([^|]*) \| ([^|]*) \|$",
        (DOCS / "catalogue.md").read_text("utf-8"),
        re.MULTILINE,
    )
    return {
        name: f"checks {checks}; "
        + (theory if theory == "no prediction" else f"theory within {theory}")
        for name, checks, theory in rows
    }


def pages() -> Iterator[tuple[str, str]]:
    """Yield the path, below `generated`, and the text of each page."""
    found = findings()
    for family, registry in FAMILIES.items():
        rows = []
        for name in registry:
            if family == "suites":
                facts = suite_facts(registry[name])
                text = suite_page(facts)
                rows.append((f"[{name}]({family}/{name}.md)", prose(facts["summary"])))
            else:
                facts = member_facts(registry, parse(name))
                text = member_page(family, registry[name], facts, found)
                rows.append(
                    (
                        f"[{name}]({family}/{name}.md)",
                        prose(facts["summary"].rstrip(".")),
                        *more_columns(family, facts),
                    )
                )
            yield f"{family}/{name}.md", text
        heads = {
            "algorithms": ("cost of a step", "source"),
            "tasks": ("target", "source"),
            "metrics": ("columns",),
        }
        head = ("name", "what it does" if family != "suites" else "what it compares")
        yield (
            f"{family}.md",
            family_page(family, (*head, *heads.get(family, ())), rows, list(registry)),
        )


def more_columns(family: str, facts: dict[str, Any]) -> Iterator[str]:
    """Yield the columns of a member's row that depend on its family."""
    source = facts.get("source")
    short = f"{source['authors']} {source['year']}" if source else ""
    if family == "algorithms":
        yield from (facts["cost"].partition(";")[0], short)
    if family == "tasks":
        yield from (prose(facts.get("target", "")), short)
    if family == "metrics":
        yield ", ".join(f"`{one['name']}`" for one in facts.get("columns", ()))


def family_page(
    family: str, head: tuple[str, ...], rows: list[tuple[str, ...]], names: list[str]
) -> str:
    """Return the page that lists a family."""
    table = "\n".join(
        f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows)
    )
    entries = "\n".join(f"{family}/{name}" for name in names)
    return (
        f"# {TITLES[family]}\n\n{INTRODUCTIONS[family].strip()}\n\n{table}\n\n"
        f"```{{toctree}}\n:hidden:\n\n{entries}\n```\n"
    )


def member_page(
    family: str, cls: type, facts: dict[str, Any], found: dict[str, str]
) -> str:
    """Return the page of one member."""
    name = facts["name"]
    lines = [f"# {name}", ""]
    lines += [prose(facts["summary"]), ""]
    if facts["rule"]:
        lines += ["```text", facts["rule"], "```", ""]
    lines += [prose(facts["text"]), ""]
    if facts["parameters"]:
        lines += ["## Parameters", ""]
    for parameter in facts["parameters"]:
        default = parameter["default"]
        shown = "no default" if default is None else f"default `{default}`"
        lines += [f"`{parameter['name']}`", f": {prose(parameter['meaning'])}", ""]
        lines += [f"  *{prose(parameter['domain'])}*; {shown}", ""]
    lines += ["## More", ""]
    for title, text in more(
        facts, found.get(name, "") if family == "algorithms" else ""
    ):
        lines += [f"{title}", f": {text}", ""]
    public = f"mmbench.{cls.__module__.split('.')[1]}"
    signature = ", ".join(
        f"{one['name']}" + ("" if one["default"] is None else f"={one['default']}")
        for one in facts["parameters"]
    )
    lines += ["## In Python", ""]
    lines += [f"```{{py:class}} {cls.__name__}({signature and '*, '}{signature})"]
    lines += [f":module: {public}", "```", ""]
    return "\n".join(lines)


def more(facts: dict[str, Any], found: str) -> Iterator[tuple[str, str]]:
    """Yield the headed notes at the end of a member's page."""
    notes = {key: prose(text) for key, text in facts["notes"].items()}
    if "cost" in facts:
        equivalents = f"{facts['gradient_equivalents']:g} gradient-equivalents"
        notes["Cost"] = (
            f"{facts['cost']} a step ({equivalents}). {notes.get('Cost', '')}"
        )
    if source := facts.get("source"):
        title = (
            f"[{source['title']}]({source['link']})"
            if source["link"]
            else source["title"]
        )
        where = f", {source['place']}" if source["place"] else ""
        notes["Source"] = f"{source['authors']} {source['year']}, {title}{where}."
    yield from notes.items()
    for key in ("needs", "gives"):
        if facts.get(key):
            yield key.capitalize(), ", ".join(facts[key])
    if facts.get("metrics"):
        yield "Metrics", ", ".join(f"`{one}`" for one in facts["metrics"])
    if facts.get("target"):
        yield "Target", prose(facts["target"])
    for column in facts.get("columns", ()):
        better = {"neither": "only describes"}.get(
            column["better"], f"{column['better']} is better"
        )
        yield f"Column `{column['name']}`", f"{prose(column['title'])}; {better}"
    if protocol := facts.get("protocol"):
        yield (
            "Protocol",
            prose("; ".join(f"{key} {it}" for key, it in protocol.items())),
        )
    if found:
        yield "Found by `mmbench check`", found
    yield "Version", f"{facts['version']} of `{facts['class']}`"


def suite_page(facts: dict[str, Any]) -> str:
    """Return the page of a suite."""
    lines = [f"# {facts['name']}", "", prose(facts["summary"]), ""]
    lines += [f"{facts['cells']} cells in all.", ""]
    for number, grid in enumerate(facts["grids"], 1):
        lines += [f"## Grid {number}", ""]
        for key, value in grid.items():
            entries = value if isinstance(value, list) else [value]
            if len(entries) > 1:
                lines += [f"- {key}", "", *(f"  - `{one}`" for one in entries), ""]
            elif entries and entries[0] not in (None, ""):
                lines += [f"- {key}: `{entries[0]}`"]
        lines.append("")
    return "\n".join(lines)


def write_pages(app: Sphinx) -> None:
    """Write the pages of all members, and remove those of members that are gone."""
    texts = {GENERATED / path: text for path, text in pages()}
    for family in FAMILIES:
        for page in (GENERATED / family).glob("*.md"):
            if page not in texts:
                page.unlink()
    for page, text in texts.items():
        write_if_changed(page, text)


def setup(app: Sphinx) -> dict[str, bool]:
    """Add this extension."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True}
