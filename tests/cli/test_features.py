"""`mmbench features`: training, fetching and listing of networks."""

import hashlib
from pathlib import Path

from click.testing import CliRunner
from command_line import Cli
from images import fake_cifar10

from mmbench.cli import main
from mmbench.metrics._cifar_classifier import (
    CIFAR10_SHA256,
)


def test_features_train_writes_a_classifier(cli: Cli) -> None:
    words = ("features", "train", "digits", "--epochs", "1", "--out", "d.safetensors")
    result = cli(*words)
    assert result.exit_code == 0
    assert "of the test images right" in result.stdout
    assert Path("d.safetensors").stat().st_size > 10_000


def test_features_train_cifar10(tmp_path, monkeypatch):
    """A file is written and reported; the data are found by --data-dir."""
    folder = fake_cifar10(tmp_path, monkeypatch, train=20, test=10)
    monkeypatch.delenv("MMBENCH_DATA")
    out = tmp_path / "c.safetensors"
    words = ["features", "train", "cifar10", "--epochs", "1", "--out", str(out)]
    result = CliRunner().invoke(main, [*words, "--data-dir", str(folder)])
    assert result.exit_code == 0, result.output
    assert "of the test images right" in result.stdout
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    assert f"SHA-256 {digest}" in result.stdout


def test_features_list(monkeypatch):
    """Four networks, each with its checksum, and where they come from."""
    result = CliRunner().invoke(main, ["features", "list"])
    assert result.exit_code == 0, result.output
    lines = {line.split()[0]: line for line in result.stdout.splitlines()}
    assert list(lines) == ["name", "cifar10cnn", "mnistcnn", "digitscnn", "inception"]
    assert CIFAR10_SHA256 in lines["cifar10cnn"]
    assert "colour 32×32" in lines["cifar10cnn"]
    assert "grey 28×28" in lines["mnistcnn"]
    assert "6726825d0af5f729" in lines["inception"]


def test_features_fetch_refuses_a_wrong_file(tmp_path):
    """Exit code 2 and one sentence."""
    path = tmp_path / "wrong.pth"
    path.write_bytes(b"wrong")
    words = ["features", "fetch", "inception", "--from", str(path)]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2
    assert "must have the SHA-256 6726825d" in result.stderr
