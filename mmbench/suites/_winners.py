"""Built-in suites of winners: files that `mmbench tune SUITE` has written."""

from dataclasses import replace
from pathlib import Path

from mmbench.suites.base import Suite
from mmbench.suites.toml import load_suite

TUNED = Path(__file__).resolve().parent / "tuned"  # a folder for each suite


def suite_of_winners(name: str) -> Suite:
    """Return a built-in suite of the tuned track, which names its record."""
    suite = load_suite(TUNED / name / "suite.toml")
    # Wherever the working directory is by then.
    return replace(suite, tuned=str(TUNED / name / "tuning.parquet"))
