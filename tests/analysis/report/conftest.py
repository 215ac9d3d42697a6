"""The page of everything that the tests of the report share."""

from pathlib import Path

import pytest

from mmbench.analysis.report.page import write_report
from mmbench.analysis.results import Results


@pytest.fixture(scope="session")
def page(report_folder: Path, results: Results) -> str:
    """Return the page of all results."""
    written = write_report(
        results, report_folder / "out", name="all", title="All & <more>"
    )
    assert written == report_folder / "out" / "index.html"
    return written.read_text("utf-8")
