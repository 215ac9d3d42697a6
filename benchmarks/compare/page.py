"""The page of the comparison and its numbers, written after each row."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.compare.measuring import Options, Row, median
from mmbench.runner.provenance import provenance

INTRODUCTION = """\
# Speed

`python -m benchmarks.compare --peers PYTHON`, where PYTHON has the packages that the
command's `--help` names.

All arms of a row are measured in one run, alternating, on one core and one thread
unless the row says otherwise. A number is the median over rounds of each round's ratio;
its range follows. Times within one process are CPU seconds of the thread; times of
whole commands are CPU and elapsed seconds, start-up included. Other packages run in
processes of their own, JAX in float32 without threads. A first call that is not counted
excludes compilation, whose time is stated. Of an arm that takes less than 50 ms, as
many calls in a row as take that long are one round, and their mean counts. Both arms of
a ratio do the same work: cells and loops draw their starts and make their records. A
row marked "not measured" has its reason in the notes: a cell that could not be
compiled, or a package that is missing or failed. Ratios of sittings on different
processors differ: see the machines at the end. Matrix products "alone" are those of
torch, which may take longer than a whole compiled cell, whose products are in C.
"""


class Numbers:
    """The numbers measured so far, in a file that is whole even if a command is killed.

    Args:
        folder: of the file and of the page.
    """

    def __init__(self, folder: Path) -> None:
        self._page, self._file = folder / "speed.md", folder / "speed.json"
        text = self._file.read_text() if self._file.exists() else "{}"
        self.groups: dict[str, dict[str, Any]] = json.loads(text)

    def begin(self, group: str, options: Options) -> None:
        """Begin to measure a group again."""
        self.groups[group] = {
            "date": datetime.now(UTC).date().isoformat(),
            "small": options.small,
            "provenance": provenance("cpu"),
            "rows": [],
        }

    def add(self, group: str, row: Row, order: Sequence[str]) -> None:
        """Add a row to a group, and write the file and the page."""
        self.groups[group]["rows"].append(row._asdict())
        known = {name: self.groups[name] for name in order if name in self.groups}
        self.groups = known
        for path, text in (
            (self._file, json.dumps(known, indent=1, ensure_ascii=False) + "\n"),
            (self._page, "\n".join(page(known)) + "\n"),
        ):
            written = path.with_suffix(".part")
            written.write_text(text)
            written.replace(path)


def page(groups: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of the page."""
    rows = [
        Row(**row)
        for group in groups.values()
        if group["rows"]
        for row in group["rows"]
    ]
    asked = [row for row in rows if row.floor is not None]
    yield INTRODUCTION
    if any(group["small"] for group in groups.values()):
        yield "**Sizes were reduced for a test: these numbers mean nothing.**\n"
    yield "## Requirements and measurements\n"
    yield "| what | floor | aim | measured | range | |"
    yield "|---|---|---|---|---|---|"
    for row in asked:
        aim = number(row.aim, row.unit) if row.aim is not None else ""
        floor = number(row.floor, row.unit)
        yield f"| {row.what} | {floor} | {aim} | {cells(row)} | {mark(row)} |"
    short: dict[str, list[str]] = {}
    for row in asked:
        if row.values and mark(row) != "reached":
            short.setdefault(row.limit or "not known", []).append(row.what)
    if short:
        yield "\n## Limits of rows below their aim\n"
    for limit, rows_of_it in short.items():
        yield f"- {'; '.join(rows_of_it)}: **{limit}**."
    yield "\n## Other measurements\n"
    yield "| what | measured | range |"
    yield "|---|---|---|"
    for row in rows:
        if row.floor is None:
            yield f"| {row.what} | {cells(row)} |"
    yield "\n## Notes\n"
    for row in rows:
        if row.notes:
            yield f"- {row.what}: {row.notes}."
    yield "\n## Machines\n"
    yield from machines(groups)


def machines(groups: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield each machine with the groups that it measured."""
    groups_by_machine: dict[str, list[str]] = {}
    for name, group in groups.items():
        facts = ", ".join(f"{k} {v}" for k, v in group["provenance"].items())
        groups_by_machine.setdefault(f"{group['date']}: {facts}", []).append(name)
    for facts, names in groups_by_machine.items():
        yield f"- {', '.join(names)}: {facts}."


def cells(row: Row) -> str:
    """Format median and range as two columns of a table."""
    if not row.values:
        return "not measured | "
    least, most = (number(f(row.values), row.unit) for f in (min, max))
    return f"{number(median(row.values), row.unit)} | {least} to {most}"


def number(value: float, unit: str) -> str:
    """Format a value with three digits and its unit."""
    digits = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    space = "" if unit in ("", "x") else " "
    return f"{digits}{space}{unit}"


def mark(row: Row) -> str:
    """Return whether the aim, the floor or neither is reached."""
    if not row.values:
        return ""
    measured = median(row.values)

    def holds(bound: float) -> bool:
        return measured >= bound if row.higher else measured <= bound

    if not holds(row.floor):
        return "**missed**"
    return "reached" if row.aim is None or holds(row.aim) else "floor"
