"""mmbench show: all about one task, algorithm, metric or suite, from its code."""

import dataclasses
import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import MISSING
from itertools import groupby
from typing import Any

import click

from mmbench.cli._console import columns_of, wrap_line
from mmbench.cli._registries import external_among, registry_of
from mmbench.cli._selection import explain_external_errors
from mmbench.core.printable import printable
from mmbench.suites import SUITES
from mmbench.suites.base import Suite, grid_fields

MAX_WIDTH = 100  # columns of text on a wide terminal
PIPE_WIDTH = 88
SHA256_DIGITS = 12  # on the page; --json has all


@click.command("show", short_help="Show a task, algorithm, metric or suite in full.")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(name: str, as_json: bool) -> None:
    """Show a task, algorithm, direction, acceptance law, metric or suite.

    NAME may have parameters, as in "cgd[step_size=0.2]". It may also be a class of your
    own, as in "path/mine.py:Mine", or a suite.toml.
    """
    with explain_external_errors(lambda: external_among([name])):
        facts = _printable(_facts(name))
    if as_json:
        click.echo(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    terminal = sys.stdout.isatty()
    width = (
        min(shutil.get_terminal_size().columns, MAX_WIDTH) if terminal else PIPE_WIDTH
    )
    for line in _page(facts, width):
        click.echo(line)


def _printable(facts: Any) -> Any:
    """Return facts with control characters visible, which external classes may have."""
    if isinstance(facts, dict):
        return {key: _printable(value) for key, value in facts.items()}
    if isinstance(facts, list):
        return [_printable(fact) for fact in facts]
    return printable(facts) if isinstance(facts, str) else facts


# ---- facts ----


def _facts(name: str) -> dict[str, Any]:
    """Return what there is to show, as JSON values."""
    if name in SUITES or name.endswith(".toml"):
        from mmbench.cli._selection import named_suite

        return suite_facts(named_suite(name))
    from mmbench.core.spec import parse

    reference = parse(name)
    return member_facts(registry_of(reference.name), reference)


def suite_facts(suite: Suite) -> dict[str, Any]:
    """Return what there is to show of a suite, as JSON values."""
    return {
        "family": "suite",
        "name": suite.name,
        "summary": suite.title,
        "cells": sum(len(grid.tasks) * len(grid.algorithms) for grid in suite.grids),
        "grids": [
            {
                field.name: _json_value(getattr(grid, field.name))
                for field in grid_fields()
            }
            for grid in suite.grids
        ],
    }


def _json_value(value: Any) -> Any:
    return [str(item) for item in value] if isinstance(value, tuple) else value


def member_facts(registry: Any, reference: Any) -> dict[str, Any]:
    """Return what there is to show of a member of a registry, as JSON values."""
    from mmbench.core.description import reference_of
    from mmbench.core.docstrings import doc_of

    cls = registry.resolve(reference.name)
    doc = doc_of(cls)
    facts = {
        "family": registry.kind,
        "name": reference.name,
        "class": reference_of(cls),
        "version": cls.version,
        "summary": doc.summary,
        "rule": doc.rule,
        "text": doc.text,
        "parameters": _parameters(cls, doc.arguments),
        "notes": doc.sections,
    }
    required = any(parameter["default"] is None for parameter in facts["parameters"])
    if reference.values or not required:
        facts |= _instance_facts(registry.build(reference))
    return facts


def _parameters(cls: type, meanings: dict[str, str]) -> list[dict[str, Any]]:
    """Return the parameters of a class, given the meanings in its docstring."""
    from mmbench.core.description import describe_annotation, field_types

    parameters = []
    for field in dataclasses.fields(cls):
        default = field.default
        if default is MISSING and field.default_factory is not MISSING:
            default = field.default_factory()
        parameters.append(
            {
                "name": field.name,
                "domain": describe_annotation(field_types(cls)[field.name]),
                # null means that the parameter must be given.
                "default": None if default is MISSING else _default(default),
                "meaning": meanings.get(field.name, ""),
            }
        )
    return parameters


def _default(value: Any) -> str:
    from mmbench.core.description import text

    return "none" if value in (None, "", ()) else text(value)


def _instance_facts(member: Any) -> dict[str, Any]:
    """Return what depends on the values of the parameters, or on the family."""
    from mmbench.algorithms.base import Algorithm, needs_of
    from mmbench.core.description import text
    from mmbench.metrics.base import Metric
    from mmbench.tasks.base import Task

    facts: dict[str, Any] = {"words": text(member)}
    if isinstance(member, Algorithm):
        facts["cost"] = str(member.cost)
        facts["gradient_equivalents"] = member.cost.gradient_equivalents
        space = member.search_space
        facts["search_space"] = {name: str(prior) for name, prior in space.items()}
    if isinstance(member, Algorithm | Metric):
        facts["needs"] = sorted(map(str, needs_of(member)))
    if isinstance(member, Task):
        facts["gives"] = sorted(str(capability) for capability in member.gives)
        facts["metrics"] = list(map(str, member.metrics))
        facts["target"] = str(member.target or "")
    if isinstance(member, Metric):
        facts["protocol"] = dict(member.protocol)
        facts["columns"] = [column._asdict() for column in member.columns]
    if isinstance(member, Algorithm | Task) and member.source:
        facts["source"] = dataclasses.asdict(member.source)
    return facts


# ---- page ----


def _page(facts: dict[str, Any], width: int) -> Iterator[str]:
    yield click.style(facts["name"], bold=True) + f" - {facts['family']}"
    yield from wrap_line(facts["summary"], width)
    if "grids" in facts:
        yield from _page_of_grids(facts, width)
        return
    if facts["rule"]:
        yield ""
        for line in facts["rule"].splitlines():
            yield from _indented(f"    {line}", width)
    for paragraph in facts["text"].split("\n\n") if facts["text"] else ():
        yield ""
        yield from _paragraph(paragraph, width)
    if facts["parameters"]:
        yield from ["", click.style("Parameters", bold=True)]
    for parameter in facts["parameters"]:
        name, default = parameter["name"], parameter["default"]
        default = "no default" if default is None else f"default {default}"
        yield from wrap_line(
            f"{name}: {parameter['domain']}; {default}", width, "  ", "      "
        )
        yield from wrap_line(parameter["meaning"], width, "      ", "      ")
    yield ""
    for heading, content in _headed(facts):
        yield from wrap_line(f"{heading}: {content}", width, "", "  ")


def _headed(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each heading of the end of a page with its text."""
    notes = dict(facts["notes"])
    if "cost" in facts:
        gradients = facts["gradient_equivalents"]
        notes["Cost"] = f"{facts['cost']} a step ({gradients:g} gradient-equivalents)"
    if space := facts.get("search_space"):
        notes["Tuned"] = "; ".join(f"{name} {prior}" for name, prior in space.items())
    if source := facts.get("source"):
        where = f", {source['place']}" if source["place"] else ""
        notes["Source"] = (
            f"{source['authors']} {source['year']}, {source['title']}{where}. "
            f"{source['link']}".rstrip()
        )
    yield from notes.items()
    for key in ("needs", "gives", "metrics"):
        if facts.get(key):
            yield key.capitalize(), ", ".join(facts[key])
    if facts.get("target"):
        yield "Target", facts["target"]
    for column in facts.get("columns", ()):
        better = {"neither": "only describes"}.get(
            column["better"], f"{column['better']} is better"
        )
        yield f"Column {column['name']}", f"{column['title']}; {better}"
    if protocol := dict(facts.get("protocol", {})):
        if "sha256" in protocol:
            protocol["sha256"] = f"{protocol['sha256'][:SHA256_DIGITS]}…"
        entries = (f"{name.replace('_', ' ')} {it}" for name, it in protocol.items())
        yield "Protocol", "; ".join(entries)
    yield "Class", f"{facts['class']}, version {facts['version']}"


def _page_of_grids(facts: dict[str, Any], width: int) -> Iterator[str]:
    """Yield the lines of a suite's grids, without settings added later and not used."""
    unused = {
        field.name: field.default
        for field in grid_fields()
        if field.metadata.get("identity", True) is not True
    }
    for number, grid in enumerate(facts["grids"], 1):
        yield from ["", click.style(f"Grid {number}", bold=True)]
        for key, value in grid.items():
            if key in unused and value == unused[key]:
                continue
            if isinstance(value, list) and len(value) > 1:
                yield f"  {key}:"
                for item in value:
                    yield from wrap_line(item, width, "    ", "        ")
            else:
                only = value[0] if isinstance(value, list) and value else value
                shown = "those of each task" if only == [] else only
                yield from wrap_line(f"{key}: {shown}", width, "  ", "      ")
    yield from ["", f"{facts['cells']} cells in all."]


def _paragraph(paragraph: str, width: int) -> Iterator[str]:
    """Yield the lines of a paragraph, filled again if too wide unless indented."""
    for indented, lines in groupby(
        paragraph.splitlines(), lambda line: line.startswith(" ")
    ):
        block = list(lines)
        if indented:
            for line in block:
                yield from _indented(line, width)
        elif max(map(columns_of, block)) <= width:
            yield from block
        else:
            yield from wrap_line(" ".join(block), width)


def _indented(line: str, width: int) -> Iterator[str]:
    """Yield an indented line as it is, or wrapped where it is too wide."""
    if columns_of(line) <= width:
        yield line
    else:
        indent = line[: len(line) - len(line.lstrip())]
        yield from wrap_line(line.lstrip(), width, indent, f"{indent}  ")
