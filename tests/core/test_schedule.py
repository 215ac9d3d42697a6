"""The schedule of a run's records."""

from hypothesis import given
from hypothesis import strategies as st

from mmbench.core.schedule import schedule


@given(st.integers(1, 5000), st.integers(1, 300))
def test_schedule_is_increasing_and_spans_the_run(steps: int, records: int) -> None:
    """Steps increase from 0 to the last; evenly spaced ones are among them."""
    found = schedule(steps, records)
    assert found[0] == 0
    assert found[-1] == steps
    assert list(found) == sorted(set(found))
    assert {round(steps * i / records) for i in range(records + 1)} <= set(found)
    assert len(found) <= records + 1 + steps.bit_length()


def test_early_records_are_powers_of_two() -> None:
    """Powers of two come before the first evenly spaced record."""
    even = tuple(range(100, 1001, 100))
    assert schedule(1000, 10) == (0, 1, 2, 4, 8, 16, 32, 64, *even)
    assert schedule(10, 10) == tuple(range(11))
    assert schedule(1, 1) == (0, 1)
    assert schedule(3, 100) == (0, 1, 2, 3)


def test_last_tenth_is_seen() -> None:
    """With forty records, four are in the last tenth of the steps."""
    assert sum(step > 900 for step in schedule(1000, 40)) == 4
