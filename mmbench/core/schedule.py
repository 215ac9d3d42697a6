"""The schedule of a run's records."""

from functools import lru_cache

MAX_ROWS = 10**7  # of a cell's table, which is read whole


def most_records(steps: int, records: int) -> int:
    """Return the largest number of records that a schedule can have."""
    return min(steps, records) + 1 + steps.bit_length()


@lru_cache(maxsize=64)
def schedule(steps: int, records: int) -> tuple[int, ...]:
    """Return the steps at which a run is measured.

    They are evenly spaced, which shows the end of a run, with powers of two before the
    first of them, which show its beginning on a logarithmic axis.

    Args:
        steps: number of the last step.
        records: number of evenly spaced records after step 0, at most `steps`.

    Returns:
        Increasing steps, from 0 to `steps`.
    """
    records = min(records, steps)
    even = {round(steps * i / records) for i in range(records + 1)}
    early = {2**i for i in range(steps.bit_length()) if 2**i < steps / records}
    return tuple(sorted(even | early))


@lru_cache(maxsize=64)
def powers_between(steps: int, records: int) -> tuple[int, ...]:
    """Return the powers of two at which a run is not measured by its schedule.

    With them, a run has been measured wherever one of a multiple of its steps is that
    has as many records.
    """
    planned = set(schedule(steps, records))
    powers = [2**i for i in range(steps.bit_length())]
    return tuple(power for power in powers if power not in planned)
