"""Tests of the figures for papers: their formats, widths, fonts and tables."""

import re

import numpy as np
import pandas as pd
import pytest
from report_results import DIGITS, only

from mmbench.analysis.plot.figure import FIGURES, make_figure
from mmbench.analysis.report.page import prepare
from mmbench.analysis.results import Results
from mmbench.core.errors import DescriptionError


@pytest.mark.parametrize("name", [*FIGURES])
def test_every_figure_stands_alone(name: str, results: Results) -> None:
    """An SVG has no text that needs a font, its column's width, and its data."""
    seen = prepare(only(results, label="GDA"))
    drawn, data = make_figure(seen, name, suffix=".svg")
    text = drawn.decode()
    assert "<text" not in text
    assert "<dc:date" not in text
    assert re.search(r'width="234pt"', text)  # 3.25 inches
    assert len(data)
    assert "label" in data


def test_fonts_are_embedded_and_the_page_is_wide(results: Results) -> None:
    """A PDF has its letters as TrueType, no date, and the same bytes each time."""
    seen = prepare(only(results, label="GDA"))
    options = {"tasks": ["dirac_gan"], "width": "page"}
    first, second = (make_figure(seen, "outcomes", **options)[0] for _ in range(2))
    assert first == second
    assert first.startswith(b"%PDF")
    assert b"/FontFile2" in first
    assert b"/Type3" not in first
    assert re.search(rb"/MediaBox \[ ?0 0 486 ", first)  # 6.75 inches


def test_the_data_are_those_of_the_curves(results: Results) -> None:
    seen = prepare(only(results, label="GDA", task="dirac_gan"))
    _, data = make_figure(seen, "convergence", metric="distance", against="cost")
    frame = seen.frame
    last = frame[frame["step"] == frame["step"].max()]
    assert data["median"].iloc[-1] == np.median(last["distance"])
    assert isinstance(data, pd.DataFrame)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"name": "modes", "tasks": ["bilinear"]}, "must have something to show"),
        ({"name": "curves"}, "Unknown figure 'curves'"),
        ({"name": "outcomes", "tasks": ["bilinaer"]}, "Did you mean 'bilinear'"),
        ({"name": "success", "tasks": [DIGITS], "metric": None}, None),
        ({"name": "convergence", "metric": "nothing"}, "metric nothing have nothing"),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence(
    options: dict, sentence: str | None, results: Results
) -> None:
    seen = prepare(only(results, label="GDA"))
    if sentence is None:
        assert make_figure(seen, **options, suffix=".png")[0].startswith(b"\x89PNG")
        return
    with pytest.raises(DescriptionError, match=sentence):
        make_figure(seen, **options)
