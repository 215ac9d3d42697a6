"""Training of the classifiers of digits."""

import pytest
import torch

from mmbench.core.errors import DataError
from mmbench.metrics._classifier import (
    KINDS,
    read,
)
from mmbench.metrics._classifier_training import train, varied
from mmbench.tasks._digit_data import digits_split, mnist, scaled


def held_out(dataset):
    """Images from -1 to 1 and labels that the classifier was not trained on."""
    pixels, labels = digits_split().test if dataset == "digits" else mnist("test")
    return scaled(pixels, KINDS[dataset].top), labels


def test_training_writes_what_it_reports(tmp_path):
    """Same seed, same bits; the file reads back with the report's numbers."""
    data = digits_split()
    few = (data.train.pixels[:300], data.train.labels[:300])
    told = []
    first, again, other = (
        train(
            "digits",
            (few, data.test),
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
    path = tmp_path / "new" / "0.safetensors"
    classifier = read("digits", path, first.sha256)
    assert torch.equal(classifier.confusion, first.confusion)
    assert classifier.facts["test_accuracy"] == first.accuracy
    assert first.confusion.sum() == len(data.test.labels)
    assert first.confusion.sum(1).tolist() == data.test.labels.bincount().tolist()


def test_training_learns(tmp_path):
    """Twenty epochs leave chance, one in ten, far behind."""
    data = digits_split()
    out = tmp_path / "short.safetensors"
    report = train("digits", (data.train, data.test), out, epochs=20)
    assert report.accuracy > 0.9


def test_a_file_that_cannot_be_written_is_told(tmp_path):
    """A folder in the place of the file ends in one sentence."""
    data = digits_split()
    with pytest.raises(DataError, match="must be a file that can be written"):
        train("digits", (data.train, data.test), tmp_path, epochs=0)


def test_the_global_generator_is_left_alone(tmp_path):
    """Neither training nor reading draws from it."""
    before = torch.get_rng_state()
    data = digits_split()
    train("digits", (data.train, data.test), tmp_path / "a.safetensors", epochs=1)
    read("digits", tmp_path / "a.safetensors", None)
    assert torch.equal(before, torch.get_rng_state())


def test_varied_images_stay_images():
    """Shape and range stay, a moved image differs, and paper stays paper."""
    images, _ = held_out("digits")
    generator = torch.Generator().manual_seed(0)
    moved = varied(images, 0.6, generator)
    assert moved.shape == images.shape
    assert moved.min() >= -1
    assert moved.max() <= 1
    assert 0 < (moved - images).abs().mean() < 0.5
    paper = varied(torch.full((50, 8, 8), -1.0), 0.6, generator)
    assert paper.mean() < -0.9
