"""mmbench check: hold algorithms, tasks and metrics to their contract and theory."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmbench.cli import WorkError, print_stdout
from mmbench.cli._numbers import Folder
from mmbench.cli._registries import FAMILIES, external_among, registry_of
from mmbench.cli._resource_options import data_dir_option
from mmbench.cli._selection import explain_external_errors
from mmbench.core.errors import DataError, DescriptionError
from mmbench.suites import SUITES

if TYPE_CHECKING:  # it imports torch
    from mmbench.testing.gate import Finding

CHECKED = ("algorithms", "tasks", "metrics")  # families that have a contract
COLUMNS = ("family", "name", "check", "result", "figure", "details")


@click.command("check", short_help="Check algorithms, tasks and metrics.")
@click.argument("names", metavar="NAME...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help=f"Check all {CHECKED}.")
@data_dir_option
@click.option(
    "--out",
    type=Folder(),
    help="Write the findings as a table to this file: .csv, .json, .md, .parquet or "
    ".tex.",
)
def command(
    names: tuple[str, ...], everything: bool, data_dir: Path | None, out: Path | None
) -> None:
    """Check each NAME: an algorithm, a task or a metric, and print what was found.

    NAME may have parameters, as in "cgd[step_size=0.2]". It may also be a class of your
    own, as in "path/mine.py:Mine", or one of algorithms, tasks and metrics, which
    stands for all of them.

    Each check has a line with its figure. The contract is that of
    `mmbench.testing`; the cost that an algorithm declares is compared with what the
    oracle counts; neighbours are ignored where a run's numbers do not depend on the
    runs beside it; the replay is equal where a seed gives the same bits again, and
    after an interruption; gradients are compared with differences of the losses; and
    the theory of a method is the spectral radius of its step on linear games.

    Exit codes: 0 when all checks passed, 1 when one failed, 2 when a name or a file of
    data is missing.
    """
    from mmbench.cli.results import FORMATS, format_of, write_content

    form = format_of(out)
    specs = list(CHECKED if everything else names)
    if not specs or (everything and names):
        got = f"both {names[0]} and --all" if names else "neither"
        raise DescriptionError(f"NAME or --all must be given; got {got}.")
    rows: list[tuple[Any, ...]] = []
    members = [*_members(specs)]
    for kind, spec, member in members:
        print_stdout(spec)
        with _explaining(spec):
            for finding in _findings(member, data_dir, skip=spec not in names):
                print_stdout(_line(finding))
                rows.append((kind, spec, *finding))
    if out:
        import pandas as pd

        write_content(FORMATS[form](pd.DataFrame(rows, columns=COLUMNS)), out)
    results = Counter(row[3] for row in rows)
    summary = ", ".join(f"{count:,} {result}" for result, count in results.items())
    if results["failed"]:
        raise WorkError(f"{len(rows):,} checks: {summary}.")
    print_stdout(f"{len(rows):,} checks: {summary}.")


def _members(specs: Sequence[str]) -> Iterator[tuple[str, str, Any]]:
    """Yield the family, the spec and the description of each member that is named."""
    from mmbench.core.spec import parse
    from mmbench.testing.gate import SHORT_SPECS

    for spec in specs:
        if spec in CHECKED:
            registry: Any = FAMILIES[spec]
            for name in registry:
                short = SHORT_SPECS.get(name, name)
                yield registry.kind, short, registry.build(short)
            continue
        with _explaining(spec):
            reference = parse(spec)
            if reference.name in SUITES:
                raise _misfit(spec, "suite")
            registry = registry_of(reference.name)
            if registry not in map(FAMILIES.get, CHECKED):
                raise _misfit(spec, registry.kind)
            yield registry.kind, spec, registry.build(reference)


def _misfit(spec: str, kind: str) -> DescriptionError:
    """Return the error for a member of another family."""
    return DescriptionError(
        f"NAME must be of an algorithm, a task or a metric; {spec!r} is of a {kind}."
    )


def _explaining(spec: str) -> AbstractContextManager[None]:
    """Turn exceptions of a class of the user's own into one sentence."""
    return explain_external_errors(lambda: external_among([spec]))


def _findings(member: Any, data_dir: Path | None, *, skip: bool) -> "Iterator[Finding]":
    """Yield what the gate finds, or that a task's data are not there, if to be skipped.

    Raises:
        DataError: when they are not there and the task was named.
    """
    import math

    from mmbench.tasks.base import Task
    from mmbench.testing.gate import Finding, run_gate

    if isinstance(member, Task):
        try:
            member.prepare(data_dir)
        except DataError as error:
            if not skip:
                raise
            yield Finding("contract", "not checked", math.nan, str(error))
            return
    yield from run_gate(member)


def _line(finding: "Finding") -> str:
    """Return a line of the page."""
    figure = "" if finding.figure != finding.figure else f"{finding.figure:.3g}"
    return (
        f"  {finding.check:<20}{finding.result:<12}{figure:>9} {finding.details}"
    ).rstrip()
