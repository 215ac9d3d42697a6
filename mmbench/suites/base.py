"""Suites: grids of tasks and algorithms to compare, as data."""

from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any

from mmbench.core.description import Description
from mmbench.core.domains import Runs, Seed
from mmbench.core.errors import DescriptionError
from mmbench.core.printable import FORMULA_STARTS
from mmbench.core.run_settings import RunSettings, setting
from mmbench.core.spec import quoted_length


@dataclass(frozen=True, kw_only=True)
class Grid(RunSettings):
    """One full cross product of tasks and algorithms, run with the same settings.

    Tasks, algorithms and metrics are given as specs (`"cgd[step_size=0.2]"`), as on the
    command line and in a suite.toml, which `plan` turns into descriptions; or as
    descriptions. The other settings are those of `RunSettings`.

    Args:
        tasks: spec of each.
        algorithms: spec of each, after a label and "=" where the label is not the
            spec itself: `"GDA = gda[step_size=0.1]"`. One label in several grids
            is one row of a leaderboard.
        metrics: spec of each; empty means each task's own.
        seeds: number of runs of each cell.
        first_seed: the least seed.
        after: label of a cell of an earlier grid at whose end the runs start, seed by
            seed: of the same task, or of one whose players are as long.
        repetition: number of the tuning whose winners the algorithms are, from 0.
    """

    tasks: tuple[str | Description, ...]
    algorithms: tuple[str | Description, ...]
    metrics: tuple[str | Description, ...] = ()
    seeds: Runs = setting(32, "Number of runs of each cell.")
    first_seed: Seed = setting(0, "The least seed.")
    after: str = setting(
        "",
        "Label of the cell at whose end the runs start.",
        identity="unless default",
        option=False,
    )
    repetition: Seed = setting(
        0, "Number of the tuning, from 0.", identity=False, option=False
    )

    def with_settings(self, changes: Mapping[str, Any]) -> "Grid":
        """Return this grid with other settings.

        A grid of a later repetition keeps seeds of its own: its first seed is after
        those of the repetitions before it, which are as many.
        """
        before = self.first_seed - self.repetition * self.seeds
        changed = replace(self, **changes)
        first = changes.get("first_seed", before) + self.repetition * changed.seeds
        return replace(changed, first_seed=first)

    def check(self) -> None:
        """Raise `DescriptionError` when fields do not fit each other."""
        for name in ("tasks", "algorithms"):
            if not getattr(self, name):
                raise DescriptionError(f"Grid.{name} must name at least one; got none.")
        if self.inherit != "both" and not self.after:
            raise DescriptionError(
                f"Grid.inherit must be 'both' without Grid.after; got {self.inherit!r}."
            )


def grid_fields() -> list[Field]:
    """Return the fields of a grid: first its own, then the settings of its runs."""
    shared = {one.name for one in fields(RunSettings)}
    return sorted(fields(Grid), key=lambda one: one.name in shared)


@dataclass(frozen=True, kw_only=True)
class Suite(Description):
    """A named set of grids.

    Args:
        name: name in file names and titles.
        title: one line for the report.
        grids: grids of tasks and algorithms.
        tuned: path of the record of tuning whose winners these are; empty for a suite
            of the default track.
    """

    name: str
    title: str = ""
    grids: tuple[Grid, ...] = field(default=())
    tuned: str = ""

    def check(self) -> None:
        """Raise `DescriptionError` when a spreadsheet would take text as a formula."""
        for name in ("name", "title"):
            check_begin(f"Suite.{name}", getattr(self, name))


def split_label(given: str) -> tuple[str, str]:
    """Return the label and the spec of `label = spec`; without a label, it is empty.

    Raises:
        DescriptionError: when a label is empty, or a spreadsheet would take it as a
            formula.
    """
    label, equals, spec = given.partition(" = ")
    # gda[step_size = 0.1] has no label, and neither has "a = b/mine.py":Mine.
    within = label.count("[") > label.count("]") or len(label) < quoted_length(given)
    if not equals or within:
        return "", given
    label = label.strip()
    if not label:
        raise DescriptionError(f"A label must not be empty; got {given!r}.")
    check_begin("A label", label)
    return label, spec


def check_begin(who: str, text: str) -> None:
    """Check that a text does not begin as a formula does.

    Tables of results are opened in spreadsheets, which would compute it.

    Raises:
        DescriptionError: naming the text.
    """
    if text.lstrip(" ").startswith(FORMULA_STARTS):
        raise DescriptionError(
            f"{who} must not begin with {text.lstrip(' ')[0]!r}, as a spreadsheet "
            f"would compute it; got {text!r}."
        )
