"""The campaign for a device works: its cheapest pieces, and all of it on the CPU."""

import hashlib
import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks" / "device"


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The stages, which write to the test's folder."""
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setenv("OUT", str(tmp_path))
    return importlib.import_module("benchmarks.device.stages")


def findings(folder: Path, name: str) -> list[dict]:
    """Return what a stage has written."""
    lines = (folder / f"{name}.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_the_script_bounds_every_stage(stages: ModuleType) -> None:
    """It runs all of them, each with a limit."""
    script = (FOLDER / "campaign.sh").read_text("utf-8")
    (run,) = re.findall(r"STAGES:-(.+)}", script)
    assert run.split() == list(stages.STAGES)
    assert re.findall(r"\[(\w+)\]=\d+", script) == list(stages.STAGES)


def test_a_stage_writes_what_it_finds(stages: ModuleType, tmp_path: Path) -> None:
    """Versions and rates of the device, as numbers."""
    stages.main(["environment", "--device", "cpu", "--tiny"])
    first, *rates = findings(tmp_path, "environment")
    assert first["torch"] == torch.__version__
    numbers = [value for row in rates for value in row.values()]
    assert len(rates) == 5
    assert all(one > 0 for one in numbers if isinstance(one, float))


def test_parity_finds_a_difference(
    stages: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Equal runs are not noted; others are, and errors too."""
    stage = stages.Stage("parity", torch.device("cpu"), 10.0, tiny=True)
    assert stages.gap_to_cpu(stage, "bilinear", "gda") == 0
    assert not list(tmp_path.iterdir())
    exact, computed = stages.run_cell, []

    def disturbed(*given: object) -> object:
        found = exact(*given)
        found.iterates["z"] += 0.1 * len(computed)
        computed.append(found)
        return found

    monkeypatch.setattr(stages, "run_cell", disturbed)
    assert stages.gap_to_cpu(stage, "bilinear", "gda") > stages.TOLERANCE
    with stage.noting_errors(task="bilinear"):
        raise ValueError("no memory")
    gap, error = findings(tmp_path, "parity")
    assert gap["same_counts"]
    assert error == {"task": "bilinear", "error": "ValueError('no memory')"}


def test_some_files_of_cifar10_are_enough(
    stages: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one of each split; with less, the list of files stays."""
    monkeypatch.setenv("MMBENCH_DATA", str(tmp_path))
    all_files = stages._cifar10_data._FILES
    monkeypatch.setattr(stages._cifar10_data, "_FILES", all_files)
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    (folder / "data_batch_2.bin").touch()
    assert not stages.use_files_that_are_there()
    assert stages._cifar10_data._FILES is all_files
    (folder / "test_batch.bin").touch()
    assert stages.use_files_that_are_there()
    there = stages._cifar10_data._FILES
    assert [one.name for one in there["train"]] == ["data_batch_2.bin"]


def test_files_are_unpacked_to_the_byte(stages: ModuleType, tmp_path: Path) -> None:
    """Packed files are checked by their digests, and mmbench finds its version."""
    pack = importlib.import_module("benchmarks.device.pack")
    content = np.random.default_rng(0).bytes(3 * pack.RECORD)
    data = tmp_path / "data" / pack.CIFAR10
    data.mkdir(parents=True)
    (data / "test_batch.bin").write_bytes(content)
    packed, target = tmp_path / "packed", tmp_path / "target"
    pack.pack(packed, tmp_path / "data", ["test_batch.bin"])
    target.mkdir()
    pack.unpack(packed, target)
    assert (target / "data" / pack.CIFAR10 / "test_batch.bin").read_bytes() == content
    (noted,) = (target / "packages").glob("mmbench-*.dist-info/METADATA")
    assert f'version = "{noted.read_text().split()[-1]}"' in (
        ROOT / "pyproject.toml"
    ).read_text("utf-8")
    (file,) = packed.iterdir()
    other = hashlib.sha256(b"another").hexdigest()[:16]
    file.rename(file.with_suffix(f".{other}"))
    with pytest.raises(ValueError, match="must unpack to the file that was packed"):
        pack.unpack(packed, target)


def test_the_comparison_of_images_can_be_imported(stages: ModuleType) -> None:
    """It shares the plain loop with the campaign."""
    assert importlib.import_module("benchmarks.compare.images").SETTINGS


@pytest.mark.slow
def test_the_whole_campaign_on_the_cpu(tmp_path: Path) -> None:
    """Every stage ends well, and none notes an error."""
    given = {"OUT": str(tmp_path), "DEVICE": "cpu", "TINY": "1", "PACKED": "none"}
    done = subprocess.run(
        ["bash", str(FOLDER / "campaign.sh")],
        env=os.environ | given | {"PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    noting = ("environment", "parity", "neighbours", "graphs", "gaussians", "profile")
    for name in noting:
        rows = findings(tmp_path, name)
        assert rows
        assert not [row for row in rows if "error" in row]
