"""Freed memory is reused where the C library has a setting for it."""

import ctypes
from types import SimpleNamespace
from typing import Any

import pytest

from mmbench.core import malloc


@pytest.fixture(autouse=True)
def _clear_cache():
    malloc.keep_freed_memory.cache_clear()
    yield
    malloc.keep_freed_memory.cache_clear()


def test_both_settings_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both thresholds are raised, and only on the first call."""
    made: list[tuple[int, int]] = []
    library = SimpleNamespace(mallopt=lambda *setting: made.append(setting))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    malloc.keep_freed_memory()
    malloc.keep_freed_memory()
    assert [name for name, _ in made] == [-3, -1]
    assert all(value > 2**20 for _, value in made)


@pytest.mark.parametrize("error", [None, OSError, TypeError])
def test_other_libraries_are_not_changed(
    error: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the setting, or without access to the library, nothing happens."""

    def library(name: None) -> SimpleNamespace:
        if error:
            raise error
        return SimpleNamespace()

    monkeypatch.setattr(ctypes, "CDLL", library)
    malloc.keep_freed_memory()
