"""The sections of the report, in page order; `base` says how to write one."""

from collections.abc import Callable

from mmbench.analysis.report.sections import (
    convergence,
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

SECTIONS: dict[str, Callable[[Results], Section | None]] = {
    "summary": summary.section,
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
