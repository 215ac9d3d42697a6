"""Training of the classifier of CIFAR10."""

import pytest
import torch
from images import blobs

from mmbench.core.errors import DataError
from mmbench.metrics import _cifar_training
from mmbench.metrics._cifar_classifier import (
    read,
)
from mmbench.metrics._cifar_training import fit, fresh, train, varied


def test_training_writes_what_it_reports(tmp_path):
    """Same seed, same bits; the file reads back with the report's numbers."""
    data = blobs(24, 1), blobs(20, 2)
    told = []
    first, again, other = (
        train(
            data,
            tmp_path / "new" / f"{i}.safetensors",
            seed=seed,
            epochs=2,
            progress=lambda done, of: told.append((done, of)),
        )
        for i, seed in enumerate((3, 3, 4))
    )
    assert told == [(1, 2), (2, 2)] * 3
    assert first.sha256 == again.sha256
    assert first.sha256 != other.sha256
    classifier = read(tmp_path / "new" / "0.safetensors", first.sha256)
    assert torch.equal(classifier.confusion, first.confusion)
    assert classifier.facts["test_accuracy"] == first.accuracy
    assert first.confusion.sum(1).tolist() == [2] * 10
    assert classifier.net.blocks[0].first_norm.num_batches_tracked == 2


def test_training_learns(monkeypatch, tmp_path):
    """Forty smaller steps on blobs leave chance, one in ten, far behind."""
    monkeypatch.setattr(_cifar_training, "_BATCH", 25)
    monkeypatch.setattr(_cifar_training, "_PEAK", 0.02)
    report = train((blobs(100, 1), blobs(50, 2)), tmp_path / "w", epochs=10)
    assert report.accuracy > 0.7


def test_an_impossible_place_is_told_before_the_work(tmp_path):
    """A folder in the place of the file ends in one sentence, with nothing trained."""
    told = []
    data = blobs(10, 1), blobs(10, 2)
    with pytest.raises(DataError, match="must be a file that can be written"):
        train(data, tmp_path, epochs=1, progress=lambda *done: told.append(done))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="must be a file that can be written"):
        train(data, tmp_path / "file" / "out", progress=lambda *d: told.append(d))
    assert told == []


def test_the_global_generator_is_left_alone(tmp_path):
    """Neither training nor reading draws from it."""
    before = torch.get_rng_state()
    train((blobs(10, 1), blobs(10, 2)), tmp_path / "a", epochs=1)
    read(tmp_path / "a", None)
    assert torch.equal(before, torch.get_rng_state())


def test_the_step_size_rises_and_falls(monkeypatch):
    """A fifth of the steps up to 0.4, the others in a straight line down to zero."""
    used = []

    class Noted(torch.optim.SGD):
        def step(self, closure=None):
            used.append(self.param_groups[0]["lr"])
            super().step(closure)

    monkeypatch.setattr(_cifar_training.torch.optim, "SGD", Noted)
    monkeypatch.setattr(_cifar_training, "_BATCH", 2)
    generator = torch.Generator().manual_seed(0)
    fit(fresh(generator), *blobs(5, 1), 5, generator)  # two full batches, five times
    expected = [0.2, 0.4, 0.4, 0.35, 0.3, 0.25, 0.2, 0.15, 0.1, 0.05]
    assert used == pytest.approx(expected)


def test_varied_images_are_mirrored_moved_and_holed():
    """A ramp stays a ramp; about half point the other way; a square is grey."""
    ramp = torch.arange(32.0).expand(400, 3, 32, 32) + 10  # no pixel is grey
    moved = varied(ramp, torch.Generator().manual_seed(0))
    assert moved.shape == ramp.shape
    hole = (moved == 0).all(1)
    assert torch.equal(hole, (moved == 0).any(1))
    areas = hole.sum((1, 2))
    assert areas.max() == 64
    assert areas.min() >= 16  # a corner
    middles = torch.stack([row[~gone][12:20] for row, gone in zip_first(moved, hole)])
    slopes = middles.diff(dim=1).sign()
    mirrored = (slopes.sum(1) < 0).double().mean().item()
    assert 0.4 < mirrored < 0.6
    clean = moved.clone()
    clean[hole[:, None].expand_as(moved)] = 20
    assert clean.min() >= 10
    assert clean.max() <= 41


def zip_first(moved, hole):
    """The first row without a hole of each image, and its (empty) hole."""
    rows = (~hole.any(2)).int().argmax(1)
    every = torch.arange(len(moved))
    return zip(moved[every, 0, rows], hole[every, rows], strict=True)
