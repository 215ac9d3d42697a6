"""Domains of numbers: which values they hold, and how they read."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbench.core.domains import Domain


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_domains_hold_finite_numbers_only(value: float) -> None:
    """NaN and infinity lie in no domain."""
    if not math.isfinite(value):
        assert value not in Domain()
    assert (value in Domain(low=0)) == (math.isfinite(value) and value >= 0)


@pytest.mark.parametrize(
    ("domain", "inside", "outside", "text"),
    [
        (Domain(), [0, -1e300], [math.nan], "that is finite"),
        (Domain(low=0), [0, 1], [-1e-300], "at least 0"),
        (Domain(low=0, open_low=True), [5e-324], [0, -1], "above 0"),
        (Domain(high=1), [1, -5], [1.1], "at most 1"),
        (Domain(low=0, high=1), [0, 1], [-0.1, 1.1], "at least 0 and at most 1"),
        (Domain(low=0, high=1, open_high=True), [0], [1], "at least 0 and below 1"),
    ],
)
def test_domains(domain: Domain, inside: list, outside: list, text: str) -> None:
    """A bound belongs to its domain unless it is open."""
    assert all(value in domain for value in inside)
    assert not any(value in domain for value in outside)
    assert str(domain) == text
