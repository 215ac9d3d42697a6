"""Tests of the convergence curves."""

import pytest
from report_results import only, section_of

from mmbench.analysis.results import Results


@pytest.mark.parametrize(
    ("smallest", "mentioned"), [(0.0, True), (1e-20, True), (1e-9, False)]
)
def test_values_below_the_axis_are_mentioned(
    smallest: float, mentioned: bool, results: Results
) -> None:
    seen = only(results, task="bilinear", label="GDA")
    ends = seen.frame["step"] == seen.frame["step"].max()
    distance = seen.frame["distance"].mask(ends, smallest)
    made = section_of(
        "convergence", seen._replace(frame=seen.frame.assign(distance=distance))
    )
    assert made
    assert any("below 10⁻¹⁶" in one for one in made.prose) is mentioned
