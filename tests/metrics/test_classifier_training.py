"""Training of the classifiers of digits."""

import pytest
import torch

from mmbench.core.errors import DataError
from mmbench.metrics._classifier import (
    CONFIGS,
    read,
)
from mmbench.metrics._classifier_training import augment, train
from mmbench.tasks._digit_data import digits_split, mnist, scale_pixels


def held_out(dataset):
    """Return test images from -1 to 1 and their labels."""
    pixels, labels = digits_split().test if dataset == "digits" else mnist("test")
    return scale_pixels(pixels, CONFIGS[dataset].top), labels


def test_training_writes_what_it_reports(tmp_path):
    """Equal seeds give equal bits, and the file holds the values of the report."""
    data = digits_split()
    few = (data.train.pixels[:60], data.train.labels[:60])
    epochs_done = []
    first, again, other = (
        train(
            "digits",
            (few, data.test),
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
    path = tmp_path / "new" / "0.safetensors"
    classifier = read("digits", path, first.sha256)
    assert torch.equal(classifier.confusion, first.confusion)
    assert classifier.facts["test_accuracy"] == first.accuracy
    assert first.confusion.sum() == len(data.test.labels)
    assert first.confusion.sum(1).tolist() == data.test.labels.bincount().tolist()


@pytest.mark.slow
def test_training_learns(tmp_path):
    """Twenty epochs reach an accuracy far above chance, 0.1."""
    data = digits_split()
    out = tmp_path / "short.safetensors"
    report = train("digits", (data.train, data.test), out, epochs=20)
    assert report.accuracy > 0.9


def test_an_unwritable_file_is_reported(tmp_path):
    """A folder in place of the file is an error."""
    data = digits_split()
    with pytest.raises(DataError, match="must be a file that can be written"):
        train("digits", (data.train, data.test), tmp_path, epochs=0)


def test_the_global_generator_is_not_used(tmp_path):
    """Neither training nor reading draws from the global generator."""
    before = torch.get_rng_state()
    data = digits_split()
    few = (data.train.pixels[:60], data.train.labels[:60])
    train("digits", (few, data.test), tmp_path / "a.safetensors", epochs=1)
    read("digits", tmp_path / "a.safetensors", None)
    assert torch.equal(before, torch.get_rng_state())


def test_augmented_images_stay_images():
    """Shape and range stay, an image changes, and blank paper stays blank."""
    images, _ = held_out("digits")
    generator = torch.Generator().manual_seed(0)
    moved = augment(images, 0.6, generator)
    assert moved.shape == images.shape
    assert moved.min() >= -1
    assert moved.max() <= 1
    assert 0 < (moved - images).abs().mean() < 0.5
    paper = augment(torch.full((50, 8, 8), -1.0), 0.6, generator)
    assert paper.mean() < -0.9
