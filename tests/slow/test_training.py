"""Training of the classifier of CIFAR10, for as long as it takes to learn."""

from pathlib import Path

import pytest
from images import blobs

from mmbench.metrics import _cifar_training
from mmbench.metrics._cifar_training import train


def test_training_learns(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Forty smaller steps on blobs reach an accuracy far above chance, 0.1."""
    monkeypatch.setattr(_cifar_training, "_BATCH_IMAGES", 25)
    monkeypatch.setattr(_cifar_training, "_MAX_STEP_SIZE", 0.02)
    report = train((blobs(100, 1), blobs(50, 2)), tmp_path / "w", epochs=10)
    assert report.accuracy > 0.7
