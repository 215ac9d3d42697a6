"""Tests of the format of numbers."""

import pytest

from mmbench.analysis.numbers import number


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (1234.0, "1\u202f234"),
        (0.00012345, "0.000123"),
        (1.5e-9, "1.5e−9"),
        (-2.25, "−2.25"),
        (float("nan"), "–"),
        (float("inf"), "∞"),
        (2.5e7, "2.5e7"),
    ],
)
def test_number_has_three_digits(value: float, shown: str) -> None:
    assert number(value) == shown
