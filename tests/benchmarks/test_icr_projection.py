"""The published table of the projection state is what the published runs give."""

import importlib.util
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "icr_projection.py"


def test_the_published_table_is_that_of_the_published_runs() -> None:
    """Each line that the script prints stands in the page of results."""
    spec = importlib.util.spec_from_file_location("icr_projection_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    runs = pd.read_parquet(ROOT / "reports" / "icr_projection" / "runs.parquet")
    page = (ROOT / "reports" / "README.md").read_text("utf-8").splitlines()
    lines = list(script.table(runs))
    assert len(lines) > 10
    assert set(lines) <= set(page)
