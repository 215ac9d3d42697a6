"""A fixed sample of the inputs of `tests/slow/test_fuzz.py`."""

import fuzzing
import pytest
from hypothesis import HealthCheck, given, settings
from structure_trials import CHANGES, make_store, try_changed

SHARE = {
    "words": 200,
    "documents": 75,
    "suites": 75,
    "command lines": 60,
    "sources": 5,
}


@pytest.mark.parametrize("kind", fuzzing.KINDS)
def test_every_input_is_computed_or_refused(kind: str) -> None:
    """There is no traceback, a known exit code, and a refusal is a sentence."""
    inputs, attempt, _ = fuzzing.KINDS[kind]

    @given(inputs)
    @settings(
        max_examples=SHARE[kind],
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    def tried(value: object) -> None:
        attempt(value)

    with fuzzing.empty_folder():
        tried()


@pytest.mark.parametrize("what", CHANGES)
def test_verbs_go_on(what: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Files of another structure end in a known exit code or in a sentence."""
    folder = tmp_path_factory.mktemp("trials")
    with fuzzing.working_in(folder):
        store = make_store(folder)
        for number in range(2000, 2006):
            try_changed(store, what, number)
