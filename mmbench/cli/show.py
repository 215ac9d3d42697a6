"""mmbench show: all there is to know of one name, taken from the code."""

import dataclasses
import json
import shutil
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import MISSING
from itertools import groupby
from typing import Any

import click

from mmbench.cli._registries import FAMILIES
from mmbench.cli._selection import blaming
from mmbench.core.errors import DescriptionError, unknown_name
from mmbench.core.printable import printable
from mmbench.suites import SUITES
from mmbench.suites.base import Grid, Suite

PIPE_WIDTH = 88
SHORT = 12  # digits of a SHA-256; --json has all
# Fields of a grid that are told only where they are used.
OPTIONAL = ("precision", "after", "inherit", "keep")


@click.command("show", short_help="Show one task, algorithm, metric, suite, ...")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(name: str, as_json: bool) -> None:
    """Show a task, algorithm, direction, acceptance law, metric or suite.

    NAME may have parameters, as in "cgd[step_size=0.2]", and may be a class of your
    own, as in "path/mine.py:Mine", or a suite.toml.
    """
    outsiders = [name] if ":" in name else []
    with blaming(lambda: outsiders):
        facts = _printable(_facts(name))
    if as_json:
        click.echo(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    terminal = sys.stdout.isatty()
    width = min(shutil.get_terminal_size().columns, 100) if terminal else PIPE_WIDTH
    for line in _page(facts, width):
        click.echo(line)


def _printable(told: Any) -> Any:
    """What is told, its text printable: a class may say of itself what it likes."""
    if isinstance(told, dict):
        return {key: _printable(value) for key, value in told.items()}
    if isinstance(told, list):
        return [_printable(one) for one in told]
    return printable(told) if isinstance(told, str) else told


# ---- facts ----


def _facts(name: str) -> dict[str, Any]:
    if name in SUITES or name.endswith(".toml"):
        from mmbench.cli._selection import named_suite

        return _of_suite(named_suite(name))
    from mmbench.core.spec import parse

    reference = parse(name)
    families = [
        registry
        for registry in FAMILIES.values()
        if registry is not SUITES and reference.name in registry
    ]
    if families:
        return _of_member(families[0], reference)
    if ":" in reference.name:
        return _of_member(_family_of_outsider(reference.name), reference)
    known = [one for registry in FAMILIES.values() for one in registry]
    raise unknown_name("name", reference.name, known)


def _family_of_outsider(name: str) -> Any:
    from mmbench.core.external import load_external

    cls = load_external(name)
    for registry in FAMILIES.values():
        if isinstance(cls, type) and issubclass(cls, registry.base_class):
            return registry
    bases = ", ".join(registry.base_class.__name__ for registry in FAMILIES.values())
    raise DescriptionError(f"{name} must be a subclass of one of {bases}; it is not.")


def _of_suite(suite: Suite) -> dict[str, Any]:
    return {
        "family": "suite",
        "name": suite.name,
        "summary": suite.title,
        "cells": sum(len(one.tasks) * len(one.algorithms) for one in suite.grids),
        "grids": [
            {
                field.name: _plain(getattr(grid, field.name))
                for field in dataclasses.fields(grid)
            }
            for grid in suite.grids
        ],
    }


def _plain(value: Any) -> Any:
    return [str(one) for one in value] if isinstance(value, tuple) else value


def _of_member(registry: Any, reference: Any) -> dict[str, Any]:
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
    required = [one["name"] for one in facts["parameters"] if one["default"] is None]
    if reference.values or not required:
        facts |= _of_instance(registry.build(reference))
    return facts


def _parameters(cls: type, meanings: dict[str, str]) -> list[dict[str, Any]]:
    from mmbench.core.description import describe_annotation, field_types

    told = []
    for field in dataclasses.fields(cls):
        default = field.default
        if default is MISSING and field.default_factory is not MISSING:
            default = field.default_factory()
        told.append(
            {
                "name": field.name,
                "domain": describe_annotation(field_types(cls)[field.name]),
                # JSON's null means that it must be given.
                "default": None if default is MISSING else _default(default),
                "meaning": meanings.get(field.name, ""),
            }
        )
    return told


def _default(value: Any) -> str:
    from mmbench.core.description import text

    return "none" if value in (None, "", ()) else text(value)


def _of_instance(one: Any) -> dict[str, Any]:
    """What depends on the parameters, or on the family."""
    from mmbench.algorithms.base import Algorithm
    from mmbench.core.description import text
    from mmbench.metrics.base import Metric
    from mmbench.tasks.base import Task

    told: dict[str, Any] = {"words": text(one)}
    if isinstance(one, Algorithm):
        told["cost"] = str(one.cost)
        told["gradient_equivalents"] = one.cost.gradient_equivalents
    if isinstance(one, Algorithm | Metric):
        told["needs"] = sorted(str(capability) for capability in one.needs)
    if isinstance(one, Task):
        told["gives"] = sorted(str(capability) for capability in one.gives)
        told["metrics"] = list(one.metrics)
        told["target"] = str(one.target or "")
    if isinstance(one, Metric):
        told["protocol"] = dict(one.protocol)
        told["columns"] = [column._asdict() for column in one.columns]
    if isinstance(one, Algorithm | Task) and one.source:
        told["source"] = dataclasses.asdict(one.source)
    return told


# ---- page ----


def _page(facts: dict[str, Any], width: int) -> Iterator[str]:
    yield click.style(facts["name"], bold=True) + f" - {facts['family']}"
    yield from _wrapped(facts["summary"], width)
    if "grids" in facts:
        yield from _page_of_grids(facts, width)
        return
    if facts["rule"]:
        yield from ["", *(f"    {line}" for line in facts["rule"].splitlines())]
    for paragraph in facts["text"].split("\n\n") if facts["text"] else ():
        yield ""
        yield from _paragraph(paragraph, width)
    if facts["parameters"]:
        yield from ["", click.style("Parameters", bold=True)]
    for one in facts["parameters"]:
        default = "no default" if one["default"] is None else one["default"]
        yield from _wrapped(
            f"{one['name']}: {one['domain']}; default {default}", width, "  ", "      "
        )
        yield from _wrapped(one["meaning"], width, "      ", "      ")
    yield ""
    for heading, said in _headed(facts):
        yield from _wrapped(f"{heading}: {said}", width, "", "  ")


def _headed(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    notes = dict(facts["notes"])
    if "cost" in facts:
        price = facts["gradient_equivalents"]
        notes["Cost"] = f"{facts['cost']} a step ({price:g} gradient-equivalents)"
    if source := facts.get("source"):
        place = f", {source['place']}" if source["place"] else ""
        notes["Source"] = (
            f"{source['authors']} {source['year']}, {source['title']}{place}. "
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
    if protocol := facts.get("protocol"):
        short = {"sha256": str(protocol.get("sha256", ""))[:SHORT] + "…"}
        entries = {**protocol, **(short if "sha256" in protocol else {})}
        yield (
            "Protocol",
            "; ".join(
                f"{name.replace('_', ' ')} {one}" for name, one in entries.items()
            ),
        )
    yield "Class", f"{facts['class']}, version {facts['version']}"


def _page_of_grids(facts: dict[str, Any], width: int) -> Iterator[str]:
    for number, grid in enumerate(facts["grids"], 1):
        yield from ["", click.style(f"Grid {number}", bold=True)]
        for key, value in grid.items():
            if key in OPTIONAL and value == getattr(Grid, key):
                continue
            if isinstance(value, list) and len(value) > 1:
                yield f"  {key}:"
                for one in value:
                    yield from _wrapped(one, width, "    ", "        ")
            else:
                only = value[0] if isinstance(value, list) and value else value
                said = "each task's own" if only == [] else only
                yield from _wrapped(f"{key}: {said}", width, "  ", "      ")
    yield from ["", f"{facts['cells']} cells in all."]


def _paragraph(paragraph: str, width: int) -> Iterator[str]:
    """Prose, filled anew where it is too wide; what is indented stays."""
    for indented, lines in groupby(
        paragraph.splitlines(), lambda line: line.startswith(" ")
    ):
        block = list(lines)
        if indented or max(map(len, block)) <= width:
            yield from block
        else:
            yield from _wrapped(" ".join(block), width)


def _wrapped(line: str, width: int, first: str = "", rest: str = "") -> Iterator[str]:
    for filled in textwrap.wrap(
        line,
        width,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    ):
        # What is left too long are words of descriptions, which part after a comma.
        *parts, part = filled.split(",") if len(filled) > width else [filled]
        begun = ""
        for one in (*(f"{one}," for one in parts), part):
            if begun and len(begun) + len(one) > width:
                yield begun
                begun = rest
            begun += one
        yield begun
