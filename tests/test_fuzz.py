"""A few of the inputs of `tests/slow/test_fuzz.py`, always the same ones."""

import fuzzing
import pytest
from hypothesis import HealthCheck, given, settings

SHARE = {
    "words": 400,
    "documents": 150,
    "suites": 150,
    "command lines": 120,
    "sources": 10,
}


@pytest.mark.parametrize("kind", fuzzing.KINDS)
def test_whatever_is_thrown_at_it(kind: str) -> None:
    """No traceback, a known exit code, and a refusal that says what was wrong."""
    inputs, attempt, _ = fuzzing.KINDS[kind]

    @given(inputs)
    @settings(
        max_examples=SHARE[kind],
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    def thrown(one: object) -> None:
        attempt(one)

    with fuzzing.empty_folder():
        thrown()
