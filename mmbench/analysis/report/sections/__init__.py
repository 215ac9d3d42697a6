"""The sections of the report, in page order; `base` says how to write one.

Those of `RANKED` come first, and are given the boards besides the results.
"""

from collections.abc import Callable

from mmbench.analysis.leaderboard import Boards
from mmbench.analysis.report.sections import (
    answer,
    convergence,
    equal_cost,
    games,
    methods,
    modes,
    outcomes,
    portraits,
    provenance,
    summary,
    tuning,
)
from mmbench.analysis.report.sections.base import Section
from mmbench.analysis.results import Results

RANKED: dict[str, Callable[[Results, Boards], Section | None]] = {
    "answer": answer.section,
    "equal_cost": equal_cost.section,
    "summary": summary.section,
}
SECTIONS: dict[str, Callable[[Results], Section | None]] = {
    "tuning": tuning.section,
    "games": games.section,
    "convergence": convergence.section,
    "outcomes": outcomes.section,
    "modes": modes.section,
    "portraits": portraits.section,
    "methods": methods.section,
    "provenance": provenance.section,
}

# All tables that may lie next to a page.
FILES = (
    "results.csv",
    "leaderboard.csv",
    "comparisons.csv",
    "games.csv",
    "curves.csv",
    "outcomes.csv",
    "methods.csv",
    "cells.csv",
    "tuning.csv",
    "tuning_curves.csv",
)
