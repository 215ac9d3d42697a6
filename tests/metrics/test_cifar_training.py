"""Training of the classifier of CIFAR10."""

import pytest
import torch
from images import blobs

from mmbench.core.errors import DataError
from mmbench.metrics import _cifar_training
from mmbench.metrics._cifar_classifier import CifarNet, read
from mmbench.metrics._cifar_training import augment, fit, train
from mmbench.metrics._training import initialise


@pytest.mark.slow
def test_training_writes_what_it_reports(monkeypatch, tmp_path):
    """Equal seeds give equal bits, and the file holds the values of the report."""
    # The file holds the minutes that the training took.
    monkeypatch.setattr(_cifar_training.time, "perf_counter", lambda: 0.0)
    data = blobs(24, 1), blobs(20, 2)
    epochs_done = []
    first, again, other = (
        train(
            data,
            tmp_path / "new" / f"{i}.safetensors",
            seed=seed,
            epochs=2,
            progress=lambda done, of: epochs_done.append((done, of)),
        )
        for i, seed in enumerate((3, 3, 4))
    )
    assert epochs_done == [(1, 2), (2, 2)] * 3
    assert first.sha256 == again.sha256
    assert first.sha256 != other.sha256
    classifier = read(tmp_path / "new" / "0.safetensors", first.sha256)
    assert torch.equal(classifier.confusion, first.confusion)
    assert classifier.facts["test_accuracy"] == first.accuracy
    assert first.confusion.sum(1).tolist() == [2] * 10
    assert classifier.net.blocks[0].first_norm.num_batches_tracked == 2


def test_an_unwritable_file_is_reported_before_the_training(tmp_path):
    """A folder in place of the file is an error, and nothing is trained."""
    epochs_done = []
    data = blobs(10, 1), blobs(10, 2)
    with pytest.raises(DataError, match="must be a file that can be written"):
        train(data, tmp_path, epochs=1, progress=lambda *done: epochs_done.append(done))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="must be a file that can be written"):
        train(
            data, tmp_path / "file" / "out", progress=lambda *d: epochs_done.append(d)
        )
    assert epochs_done == []


def test_the_global_generator_is_not_used(tmp_path):
    """Neither training nor reading draws from the global generator."""
    before = torch.get_rng_state()
    train((blobs(10, 1), blobs(10, 2)), tmp_path / "a", epochs=1)
    read(tmp_path / "a", None)
    assert torch.equal(before, torch.get_rng_state())


def test_the_step_size_rises_and_falls(monkeypatch):
    """It rises to 0.4 for a fifth of the steps and falls linearly to zero."""
    used = []

    class RecordingSGD(torch.optim.SGD):
        def step(self, closure=None):
            used.append(self.param_groups[0]["lr"])
            super().step(closure)

    monkeypatch.setattr(_cifar_training.torch.optim, "SGD", RecordingSGD)
    monkeypatch.setattr(_cifar_training, "_BATCH_IMAGES", 2)
    generator = torch.Generator().manual_seed(0)
    net = initialise(CifarNet, generator)
    fit(net, *blobs(5, 1), 5, generator)  # two full batches, five times
    expected = [0.2, 0.4, 0.4, 0.35, 0.3, 0.25, 0.2, 0.15, 0.1, 0.05]
    assert used == pytest.approx(expected)


def test_augmented_images_are_mirrored_moved_and_holed():
    """About half of the ramps are reversed, and each has a grey square."""
    ramp = torch.arange(32.0).expand(400, 3, 32, 32) + 10  # no pixel is grey
    moved = augment(ramp, torch.Generator().manual_seed(0))
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
    """Return the first row without a hole of each image, and its (empty) hole."""
    rows = (~hole.any(2)).int().argmax(1)
    every = torch.arange(len(moved))
    return zip(moved[every, 0, rows], hole[every, rows], strict=True)
