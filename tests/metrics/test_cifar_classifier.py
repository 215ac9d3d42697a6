"""The classifier of CIFAR10: the right file, the stated accuracy, its training."""

import hashlib

import pytest
import torch
from click.testing import CliRunner
from images import blobs, fake_cifar10, has_cifar10
from safetensors.torch import save

from mmbench.cli import main
from mmbench.core.errors import DataError
from mmbench.metrics import _cifar_training
from mmbench.metrics._cifar_classifier import (
    CIFAR10_SHA256,
    WEIGHTS_PATH,
    centred,
    load,
    read,
)
from mmbench.metrics._cifar_training import EPOCHS, fit, fresh, train, varied
from mmbench.tasks._cifar10_data import cifar10


def drawn(count, seed=0):
    """Images of noise."""
    generator = torch.Generator().manual_seed(seed)
    shape = (count, 3, 32, 32)
    return torch.randint(256, shape, generator=generator, dtype=torch.uint8)


@pytest.mark.skipif(not has_cifar10(), reason="MMBENCH_DATA names no CIFAR10")
def test_accuracy_is_as_stated():
    """Recomputed on the test images: the confusion matrix, and what the file says."""
    pixels, labels = cifar10("test")
    classifier = load()
    said = classifier.probabilities(pixels).argmax(1)
    confusion = torch.zeros(10, 10, dtype=torch.int64)
    for truth, word in zip(labels.tolist(), said.tolist(), strict=True):
        confusion[truth, word] += 1
    moved = (confusion - classifier.confusion).abs().sum().item()
    assert moved <= 20  # another machine may round ten images to the other side
    accuracy = (said == labels).double().mean().item()
    assert accuracy == pytest.approx(classifier.facts["test_accuracy"], abs=2e-3)
    assert accuracy >= 0.90


def test_the_shipped_file_is_small_and_known():
    """Five megabytes, with the code's checksum, and facts in its header."""
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
    """Evaluation mode, no gradients, float32, one copy for a device."""
    classifier = load(torch.device("cpu"))
    assert classifier is load("cpu")
    assert not classifier.net.training
    assert not any(p.requires_grad for p in classifier.net.parameters())
    assert {p.dtype for p in classifier.net.parameters()} == {torch.float32}


def test_features_lead_to_the_logits_and_probabilities():
    """The last layer on the features gives the logits, and those the probabilities."""
    images = drawn(4)
    classifier = load()
    features, logits = classifier.features_and_logits(images)
    assert features.shape == (4, 256)
    assert logits.shape == (4, 10)
    torch.testing.assert_close(classifier.features(images), features)
    torch.testing.assert_close(classifier.net.output(features), logits)
    torch.testing.assert_close(classifier.probabilities(images), logits.softmax(1))
    assert not features.requires_grad


def test_features_do_not_depend_on_how_many_are_asked():
    """More images than are judged at once give what each gives alone."""
    images = drawn(502)
    classifier = load()
    together = classifier.features(images)
    assert together.shape == (502, 256)
    alone = torch.cat([classifier.features(images[i : i + 1]) for i in (0, 501)])
    torch.testing.assert_close(together[[0, 501]], alone, rtol=1e-4, atol=1e-5)


def test_bytes_are_centred():
    """Darkness is -1 and full light is 1."""
    images = torch.tensor([0, 51, 255], dtype=torch.uint8)
    assert centred(images).tolist() == pytest.approx([-1, -0.6, 1])


# ---- wrong files ----


def test_a_changed_file_is_refused(tmp_path):
    """One flipped bit in the weights and the checksum no longer holds."""
    content = bytearray(WEIGHTS_PATH.read_bytes())
    content[-100] ^= 1
    path = tmp_path / "changed.safetensors"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"changed\.safetensors must have the SHA-256"):
        read(path, CIFAR10_SHA256)


def test_a_missing_file_is_refused(tmp_path):
    """The sentence names the path and the remedy."""
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
    """Whatever is no classifier of CIFAR10 ends in one sentence."""
    path = tmp_path / "foreign.safetensors"
    path.write_bytes(FOREIGN[kind])
    with pytest.raises(DataError, match=r"foreign\.safetensors must hold .* got"):
        read(path, None)


# ---- training ----


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


# ---- the commands ----


def test_the_command_trains(tmp_path, monkeypatch):
    """A file is written and told of; the data are found by --data-dir."""
    folder = fake_cifar10(tmp_path, monkeypatch, train=20, test=10)
    monkeypatch.delenv("MMBENCH_DATA")
    out = tmp_path / "c.safetensors"
    words = ["features", "train", "cifar10", "--epochs", "1", "--out", str(out)]
    result = CliRunner().invoke(main, [*words, "--data-dir", str(folder)])
    assert result.exit_code == 0, result.output
    assert "of the test images right" in result.stdout
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    assert f"SHA-256 {digest}" in result.stdout


def test_the_command_lists(monkeypatch):
    """Four networks, each with its checksum, and where they come from."""
    result = CliRunner().invoke(main, ["features", "list"])
    assert result.exit_code == 0, result.output
    lines = {line.split()[0]: line for line in result.stdout.splitlines()}
    assert list(lines) == ["name", "cifar10cnn", "mnistcnn", "digitscnn", "inception"]
    assert CIFAR10_SHA256 in lines["cifar10cnn"]
    assert "colour 32×32" in lines["cifar10cnn"]
    assert "grey 28×28" in lines["mnistcnn"]
    assert "6726825d0af5f729" in lines["inception"]
