"""The page of everything that the tests of the report share."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmbench.analysis import style
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


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Axes]:
    """Return a list of the axes of all panels that are drawn from now on."""
    axes_of_panels: list[Axes] = []
    panel = style.panel

    @contextmanager
    def watched(*args: Any, **options: Any) -> Iterator[tuple[Figure, Axes]]:
        with panel(*args, **options) as (figure, axes):
            yield figure, axes
            axes_of_panels.append(axes)

    monkeypatch.setattr(style, "panel", watched)
    return axes_of_panels
