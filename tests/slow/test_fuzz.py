"""Ten thousand random inputs, each computed or refused in a sentence."""

import fuzzing
import pytest
from hypothesis import HealthCheck, given, settings


@pytest.mark.parametrize("kind", fuzzing.KINDS)
def test_every_input_is_computed_or_refused(kind: str) -> None:
    """There is no traceback, a known exit code, and a refusal is a sentence."""
    inputs, attempt, count = fuzzing.KINDS[kind]

    @given(inputs)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def tried(value: object) -> None:
        attempt(value)

    with fuzzing.empty_folder():
        tried()
