"""Thousands of files of another structure, without a traceback in any verb."""

import pytest
from fuzzing import working_in
from structure_trials import CHANGES, make_store, try_changed


@pytest.mark.parametrize("what", CHANGES)
def test_verbs_go_on(what: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Each verb ends with a known exit code, or is refused in a sentence."""
    folder = tmp_path_factory.mktemp("trials")
    with working_in(folder):
        store = make_store(folder)
        for number in range(1000):
            try_changed(store, what, number)
