"""Suites: grids of tasks and algorithms to compare, as data."""

from dataclasses import dataclass, field
from typing import Literal

from mmbench.core.description import Description
from mmbench.core.domains import Records, Runs, Seed, Steps
from mmbench.core.errors import DescriptionError


@dataclass(frozen=True, kw_only=True)
class Grid(Description):
    """One full cross product of tasks and algorithms.

    Tasks, algorithms and metrics are given in words (`"cgd[step_size=0.2]"`), as on the
    command line and in a suite.toml, which `plan` turns into descriptions; or as
    descriptions.

    Args:
        tasks: words of each.
        algorithms: words of each, after a label and "=" where the label is not the
            words themselves: `"GDA = gda[step_size=0.1]"`. One label in several grids
            is one row of a leaderboard.
        metrics: words of each; empty means each task's own.
        seeds: runs of each cell.
        first_seed: the least seed.
        steps: of each run.
        records: evenly spaced ones of each run.
        dtype: of all floats.
        precision: of products within a step: "exact" (the dtype's), "tf32" or "bf16".
        after: label of a cell of an earlier grid at whose end the runs start, seed by
            seed: of the same task, or of one whose players are as long.
        inherit: which player starts there; the other starts as the task says.
        keep: iterates kept beside the table, to measure more of them later: none, those
            of the last record, or of all.
    """

    tasks: tuple[str | Description, ...]
    algorithms: tuple[str | Description, ...]
    metrics: tuple[str | Description, ...] = ()
    seeds: Runs = 32
    first_seed: Seed = 0
    steps: Steps = 1000
    records: Records = 40
    dtype: Literal["float32", "float64"] = "float32"
    precision: Literal["exact", "tf32", "bf16"] = "exact"
    after: str = ""
    inherit: Literal["both", "x", "y"] = "both"
    keep: Literal["none", "last", "all"] = "none"

    def check(self) -> None:
        """Raise `DescriptionError` when fields do not fit each other."""
        for name in ("tasks", "algorithms"):
            if not getattr(self, name):
                raise DescriptionError(f"Grid.{name} must name at least one; got none.")
        if self.inherit != "both" and not self.after:
            raise DescriptionError(
                f"Grid.inherit must be 'both' without Grid.after; got {self.inherit!r}."
            )


@dataclass(frozen=True, kw_only=True)
class Suite(Description):
    """A named set of grids.

    Args:
        name: name in file names and titles.
        title: one line for the report.
        grids: grids of tasks and algorithms.
    """

    name: str
    title: str = ""
    grids: tuple[Grid, ...] = field(default=())
