"""The frozen classifiers of digits: the right file, and the stated accuracy."""

import hashlib
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from mmbench.core.errors import DataError, UnknownNameError
from mmbench.metrics import _classifier
from mmbench.metrics._classifier import (
    CONFIDENT,
    CONFIGS,
    load,
    read,
    weights_path,
)
from mmbench.metrics._classifier_training import draw_noise
from mmbench.tasks._digit_data import digits_split, mnist, scale_pixels

MNIST_FILE = "t10k-images-idx3-ubyte.gz"


def held_out(dataset):
    """Return test images from -1 to 1 and their labels."""
    pixels, labels = digits_split().test if dataset == "digits" else mnist("test")
    return scale_pixels(pixels, CONFIGS[dataset].top), labels


def has_mnist():
    """Return whether MMBENCH_DATA names a folder with the files of MNIST."""
    folder = os.environ.get("MMBENCH_DATA")
    return bool(folder) and any(
        (Path(folder) / subfolder / MNIST_FILE).exists() for subfolder in ("mnist", "")
    )


@pytest.fixture(
    params=[
        "digits",
        pytest.param(
            "mnist",
            marks=pytest.mark.skipif(
                not has_mnist(), reason="MMBENCH_DATA names no folder with MNIST"
            ),
        ),
    ]
)
def dataset(request):
    """Each data set; MNIST only if its files are available."""
    return request.param


def test_accuracy_is_as_stated(dataset):
    """The confusion matrix and accuracy in the file are those on the test images."""
    images, labels = held_out(dataset)
    classifier = load(dataset)
    predicted = classifier.probabilities(images).argmax(1)
    confusion = torch.zeros(10, 10, dtype=torch.int64)
    for truth, guess in zip(labels.tolist(), predicted.tolist(), strict=True):
        confusion[truth, guess] += 1
    moved = (confusion - classifier.confusion).abs().sum().item()
    assert moved <= 4  # another machine may round two images to the other side
    accuracy = (predicted == labels).double().mean().item()
    assert accuracy == pytest.approx(classifier.facts["test_accuracy"], abs=5e-3)
    assert accuracy >= {"digits": 0.97, "mnist": 0.993}[dataset]


def test_no_zero_is_taken_for_a_one(dataset):
    """On the test images no 0 is classified as a 1, and no 1 as a 0."""
    confusion = load(dataset).confusion
    assert confusion[0, 1] == confusion[1, 0] == 0


def test_real_digits_are_accepted_and_averages_are_not(dataset):
    """Most zeros and ones have a confidence of 0.9; most of their averages do not."""
    images, labels = held_out(dataset)
    zeros, ones = images[labels == 0], images[labels == 1]
    averages = (zeros[:38, None] + ones[None, :38]).flatten(0, 1) / 2  # all pairs
    classifier = load(dataset)

    def share_confident(images):
        best = classifier.probabilities(images).amax(1)
        return (best >= CONFIDENT).double().mean().item()

    assert share_confident(zeros) > 0.97
    assert share_confident(ones) > 0.90
    assert share_confident(averages) < 0.10


@pytest.mark.parametrize("name", CONFIGS)
def test_noise_is_never_accepted(name):
    """The classifier has no confidence in noise, blank paper and solid ink."""
    side = CONFIGS[name].side
    junk = draw_noise(500, side, torch.Generator().manual_seed(7))
    plain = torch.stack([torch.full((side, side), grey) for grey in (-1.0, 0.0, 1.0)])
    best = load(name).probabilities(torch.cat((junk, plain))).amax(1)
    assert (best >= CONFIDENT).double().mean() < 0.005


@pytest.mark.parametrize("name", CONFIGS)
def test_the_shipped_file_is_small_and_known(name):
    """The file has at most half a megabyte, the known checksum, and facts."""
    content = weights_path(name).read_bytes()
    assert len(content) < 500_000
    assert hashlib.sha256(content).hexdigest() == CONFIGS[name].sha256
    facts = load(name).facts
    assert facts["dataset"] == name
    assert facts["command"].startswith(f"mmbench features train {name} --seed 0 ")
    assert facts["epochs"] == CONFIGS[name].epochs


def test_a_loaded_classifier_is_frozen_and_shared():
    """A classifier is in evaluation mode, has no gradients and exists once a device."""
    classifier = load("digits", torch.device("cpu"))
    assert classifier is load("digits", "cpu")
    assert not classifier.net.training
    assert not any(p.requires_grad for p in classifier.net.parameters())
    images = torch.zeros(2, 8, 8, requires_grad=True)
    assert not classifier.probabilities(images).requires_grad


def test_probabilities_do_not_depend_on_the_number_of_images():
    """Images in several batches have the values that each has alone."""
    images = draw_noise(1100, 8, torch.Generator().manual_seed(1)).double()
    classifier = load("digits")
    together = classifier.probabilities(images)
    assert together.shape == (1100, 10)
    torch.testing.assert_close(together.sum(1), torch.ones(1100))
    alone = torch.cat([classifier.probabilities(images[i : i + 1]) for i in (0, 1050)])
    torch.testing.assert_close(together[[0, 1050]], alone)


def test_features_lead_to_the_probabilities():
    """The last layer on the features gives the probabilities."""
    images = draw_noise(20, 8, torch.Generator().manual_seed(1))
    classifier = load("digits")
    features = classifier.features(images)
    assert features.shape == (20, CONFIGS["digits"].hidden)
    torch.testing.assert_close(
        classifier.net.output(features).softmax(1), classifier.probabilities(images)
    )


def test_a_changed_file_is_refused(tmp_path):
    """One flipped bit in the weights changes the checksum."""
    content = bytearray(weights_path("digits").read_bytes())
    content[-100] ^= 1
    path = tmp_path / "changed.safetensors"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"changed\.safetensors must have the SHA-256"):
        read("digits", path, CONFIGS["digits"].sha256)


def test_a_missing_file_is_refused(tmp_path):
    """The message names the path and the remedy."""
    with pytest.raises(DataError, match=r"gone\.safetensors must .* Install mmbench"):
        read("digits", tmp_path / "gone.safetensors", None)


FOREIGN = {
    "empty": b"",
    "text": b"this is no safetensors file, whatever its name says",
    "pickle": b"\x80\x04K\x01.",
    "cut": weights_path("digits").read_bytes()[:5000],
    "other tensors": save({"a": torch.zeros(3)}, {"mmbench": "{}"}),
    "no facts": save({"confusion": torch.zeros(10, 10)}),
    "other data set": weights_path("mnist").read_bytes(),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_foreign_file_is_refused(tmp_path, kind):
    """A file that holds no classifier of the data set is refused with one sentence."""
    path = tmp_path / "foreign.safetensors"
    path.write_bytes(FOREIGN[kind])
    with pytest.raises(DataError, match=r"foreign\.safetensors must hold .* got"):
        read("digits", path, None)


def test_an_unknown_data_set_is_refused():
    """The message for a misspelt name suggests the nearest."""
    with pytest.raises(UnknownNameError, match="Did you mean 'mnist'"):
        load("mnits")


def test_images_are_classified_alike_in_any_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whole batches, what is left over, and no image at all."""
    images = torch.rand(10, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    classifier = _classifier.load("digits")
    together = classifier.probabilities(images)
    monkeypatch.setattr(_classifier, "_BATCH_PIXELS", 3 * 64)
    sizes: list[int] = []
    hook = classifier.net.output.register_forward_pre_hook(
        lambda _, given: sizes.append(len(given[0]))
    )
    torch.testing.assert_close(classifier.probabilities(images), together)
    hook.remove()
    assert sizes == [3, 3, 3, 1]
    assert classifier.probabilities(images[:0]).shape == (0, 10)
