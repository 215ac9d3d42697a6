"""The page and the numbers behind it; kept group by group, as they come."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.compare.measuring import Options, Row, median
from mmbench.runner.provenance import provenance

INTRODUCTION = """\
# Speed

`python -m benchmarks.compare --peers PYTHON`, where PYTHON has jax, benchopt and CGDs.

All arms of a row are measured in one run, on one core and one thread, in turns; numbers
are medians over rounds of each round's ratio, with the least and the greatest behind
them. In one process they are CPU seconds of the thread; of whole commands CPU and
elapsed seconds, start-up included. JAX, CGDs and benchopt run in processes of their
own, JAX in float32 without threads. Compiling is left out by a first call that does not
count, and stated. Both arms of a ratio do the same: cells and loops draw their starts
and make their records. A compiled row that says "not measured" could not be compiled.
"""


class Numbers:
    """What has been measured so far, in a file that a killed command leaves whole.

    Args:
        folder: of the file and of the page.
    """

    def __init__(self, folder: Path) -> None:
        self._page, self._file = folder / "speed.md", folder / "speed.json"
        text = self._file.read_text() if self._file.exists() else "{}"
        self.groups: dict[str, dict[str, Any]] = json.loads(text)

    def begin(self, group: str, options: Options) -> None:
        """A group is measured anew."""
        self.groups[group] = {
            "date": datetime.now(UTC).date().isoformat(),
            "small": options.small,
            "provenance": provenance("cpu"),
            "rows": [],
        }

    def add(self, group: str, row: Row, order: Sequence[str]) -> None:
        """One more row of a group; file and page are written."""
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
    """Lines of the page."""
    rows = [
        Row(**row)
        for group in groups.values()
        if group["rows"]
        for row in group["rows"]
    ]
    asked = [row for row in rows if row.floor is not None]
    yield INTRODUCTION
    if any(group["small"] for group in groups.values()):
        yield "**Sizes were small: these numbers mean nothing.**\n"
    yield "## Asked and measured\n"
    yield "| what | floor | aim | measured | least to greatest | |"
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
        yield "\n## What limits those below their aim\n"
    for limit, rows_of_it in short.items():
        yield f"- {'; '.join(rows_of_it)}: **{limit}**."
    yield "\n## Beside others and the machine\n"
    yield "| what | measured | least to greatest |"
    yield "|---|---|---|"
    for row in rows:
        if row.floor is None:
            yield f"| {row.what} | {cells(row)} |"
    yield "\n## The arms\n"
    for row in rows:
        if row.told:
            yield f"- {row.what}: {row.told}."
    yield "\n## Measured by\n"
    yield from machines(groups)


def machines(groups: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Each machine with what it measured."""
    told: dict[str, list[str]] = {}
    for name, group in groups.items():
        facts = ", ".join(f"{k} {v}" for k, v in group["provenance"].items())
        told.setdefault(f"{group['date']}: {facts}", []).append(name)
    for facts, names in told.items():
        yield f"- {', '.join(names)}: {facts}."


def cells(row: Row) -> str:
    """Median and range, as two cells of a table."""
    if not row.values:
        return "not measured | "
    least, most = (number(f(row.values), row.unit) for f in (min, max))
    return f"{number(median(row.values), row.unit)} | {least} to {most}"


def number(value: float, unit: str) -> str:
    """Three digits and the unit."""
    digits = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    space = "" if unit in ("", "x") else " "
    return f"{digits}{space}{unit}"


def mark(row: Row) -> str:
    """Whether the aim, or the floor, or neither is reached."""
    if not row.values:
        return ""
    measured = median(row.values)

    def holds(bound: float) -> bool:
        return measured >= bound if row.higher else measured <= bound

    if not holds(row.floor):
        return "**missed**"
    return "reached" if row.aim is None or holds(row.aim) else "floor"
