"""Fixtures of the metrics: an empty cache for Inception's weights."""

import pytest

from mmbench.metrics import _inception, _inception_file


@pytest.fixture
def inception_cache(tmp_path, monkeypatch):
    """Yield an empty cache folder, with no folder of data."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(_inception_file.pooch, "os_cache", lambda _: folder)
    monkeypatch.delenv("MMBENCH_DATA", raising=False)
    _inception._loaded.cache_clear()
    yield folder
    _inception._loaded.cache_clear()
