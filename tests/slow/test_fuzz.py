"""Ten thousand inputs: every refusal is a sentence, and nothing else comes back."""

import fuzzing
import pytest
from hypothesis import HealthCheck, given, settings


@pytest.mark.parametrize("kind", fuzzing.KINDS)
def test_whatever_is_thrown_at_it(kind: str) -> None:
    """No traceback, a known exit code, and a refusal that says what was wrong."""
    inputs, attempt, count = fuzzing.KINDS[kind]

    @given(inputs)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def thrown(one: object) -> None:
        attempt(one)

    with fuzzing.empty_folder():
        thrown()
