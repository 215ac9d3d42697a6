"""Budget: the schedule of records of a run."""


def schedule(steps: int, records: int) -> tuple[int, ...]:
    """Steps at which a run is measured.

    Evenly spaced ones, so that tails can be judged, and powers of two before the
    first of them, so that a start can be seen on a logarithmic axis.

    Args:
        steps: the last step.
        records: number of evenly spaced records after step 0.

    Returns:
        Increasing steps, from 0 to `steps`.
    """
    records = min(records, steps)
    even = {round(steps * i / records) for i in range(records + 1)}
    early = {2**i for i in range(steps.bit_length()) if 2**i < steps / records}
    return tuple(sorted(even | early))
