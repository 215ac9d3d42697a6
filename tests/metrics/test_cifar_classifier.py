"""The classifier of CIFAR10: the right file, and the stated accuracy."""

import hashlib

import pytest
import torch
from images import has_cifar10
from safetensors.torch import save

from mmbench.core.errors import DataError
from mmbench.metrics._cifar_classifier import (
    CIFAR10_SHA256,
    WEIGHTS_PATH,
    load,
    read,
)
from mmbench.metrics._cifar_training import EPOCHS
from mmbench.metrics._classifier_file import scale_pixels
from mmbench.tasks._cifar10_data import cifar10


def noise(count, seed=0):
    """Return images of noise."""
    generator = torch.Generator().manual_seed(seed)
    shape = (count, 3, 32, 32)
    return torch.randint(256, shape, generator=generator, dtype=torch.uint8)


@pytest.mark.slow
@pytest.mark.skipif(not has_cifar10(), reason="MMBENCH_DATA names no CIFAR10")
def test_accuracy_is_as_stated():
    """The confusion matrix and accuracy in the file are those on the test images."""
    pixels, labels = cifar10("test")
    classifier = load()
    predicted = classifier.probabilities(pixels).argmax(1)
    confusion = torch.zeros(10, 10, dtype=torch.int64)
    for truth, guess in zip(labels.tolist(), predicted.tolist(), strict=True):
        confusion[truth, guess] += 1
    moved = (confusion - classifier.confusion).abs().sum().item()
    assert moved <= 20  # another machine may round ten images to the other side
    accuracy = (predicted == labels).double().mean().item()
    assert accuracy == pytest.approx(classifier.facts["test_accuracy"], abs=2e-3)
    assert accuracy >= 0.90


def test_the_shipped_file_is_small_and_known():
    """The file has five megabytes, the known checksum, and facts in its header."""
    content = WEIGHTS_PATH.read_bytes()
    assert len(content) < 5_000_000
    assert hashlib.sha256(content).hexdigest() == CIFAR10_SHA256
    classifier = load()
    assert classifier.sha256 == CIFAR10_SHA256
    facts = classifier.facts
    assert facts["dataset"] == "cifar10"
    assert facts["epochs"] == EPOCHS
    assert facts["command"] == (
        f"mmbench features train cifar10 --seed 0 --epochs {EPOCHS} --out FILE"
    )
    assert facts["machine"] == "one core, bfloat16 autocast"
    confusion = classifier.confusion
    assert confusion.sum(1).tolist() == [1000] * 10
    assert facts["test_accuracy"] == confusion.diagonal().sum().item() / 10000


def test_a_loaded_classifier_is_frozen_and_shared():
    """A classifier is in evaluation mode, has no gradients and exists once a device."""
    classifier = load(torch.device("cpu"))
    assert classifier is load("cpu")
    assert not classifier.net.training
    assert not any(p.requires_grad for p in classifier.net.parameters())
    assert {p.dtype for p in classifier.net.parameters()} == {torch.float32}


def test_features_lead_to_the_logits_and_probabilities():
    """The last layer on the features gives the logits, and those the probabilities."""
    images = noise(4)
    classifier = load()
    features, logits = classifier.features_and_logits(images)
    assert features.shape == (4, 256)
    assert logits.shape == (4, 10)
    torch.testing.assert_close(classifier.features(images), features)
    torch.testing.assert_close(classifier.net.output(features), logits)
    torch.testing.assert_close(classifier.probabilities(images), logits.softmax(1))
    assert not features.requires_grad


def test_features_do_not_depend_on_the_number_of_images():
    """Images in several batches have the values that each has alone."""
    images = noise(502)
    classifier = load()
    together = classifier.features(images)
    assert together.shape == (502, 256)
    alone = torch.cat([classifier.features(images[i : i + 1]) for i in (0, 501)])
    torch.testing.assert_close(together[[0, 501]], alone, rtol=1e-4, atol=1e-5)


def test_pixels_are_scaled():
    """0 becomes -1, and 255 becomes 1."""
    images = torch.tensor([0, 51, 255], dtype=torch.uint8)
    assert scale_pixels(images).tolist() == pytest.approx([-1, -0.6, 1])


def test_a_changed_file_is_refused(tmp_path):
    """One flipped bit in the weights changes the checksum."""
    content = bytearray(WEIGHTS_PATH.read_bytes())
    content[-100] ^= 1
    path = tmp_path / "changed.safetensors"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"changed\.safetensors must have the SHA-256"):
        read(path, CIFAR10_SHA256)


def test_a_missing_file_is_refused(tmp_path):
    """The message names the path and the remedy."""
    with pytest.raises(DataError, match=r"gone\.safetensors must .* Install mmbench"):
        read(tmp_path / "gone.safetensors", None)


FOREIGN = {
    "empty": b"",
    "text": b"this is no safetensors file, whatever its name says",
    "pickle": b"\x80\x04K\x01.",
    "other tensors": save({"a": torch.zeros(3)}, {"mmbench": "{}"}),
    "no facts": save({"confusion": torch.zeros(10, 10)}),
    "of digits": WEIGHTS_PATH.with_name("digits_classifier.safetensors").read_bytes(),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_foreign_file_is_refused(tmp_path, kind):
    """A file that holds no classifier of CIFAR10 is refused with one sentence."""
    path = tmp_path / "foreign.safetensors"
    path.write_bytes(FOREIGN[kind])
    with pytest.raises(DataError, match=r"foreign\.safetensors must hold .* got"):
        read(path, None)
