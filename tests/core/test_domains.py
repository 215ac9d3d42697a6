"""Domains: which numbers they hold, and how they read in messages."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbench.core.domains import Domain


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_domains_hold_finite_numbers_only(value: float) -> None:
    """NaN and infinity are in no domain."""
    if not math.isfinite(value):
        assert value not in Domain()
    assert (value in Domain(low=0)) == (math.isfinite(value) and value >= 0)


@pytest.mark.parametrize(
    ("domain", "members", "others", "phrase"),
    [
        (Domain(), [0, -1e300], [math.nan], "that is finite"),
        (Domain(low=0), [0, 1, 10**308], [-1e-300, 10**309], "at least 0"),
        (Domain(low=0, open_low=True), [5e-324], [0, -1], "above 0"),
        (Domain(high=1), [1, -5], [1.1], "at most 1"),
        (Domain(low=0, high=1), [0, 1], [-0.1, 1.1], "at least 0 and at most 1"),
        (Domain(low=0, high=1, open_high=True), [0], [1], "at least 0 and below 1"),
    ],
)
def test_domains(domain: Domain, members: list, others: list, phrase: str) -> None:
    """Bounds are members unless they are open, and `str` states them."""
    assert all(value in domain for value in members)
    assert not any(value in domain for value in others)
    assert str(domain) == phrase
