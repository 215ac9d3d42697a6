"""The comparisons of speed: every group of rows can be measured."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow  # minutes: loops, processes, compiled steps
def test_every_group_is_measured_at_small_sizes(tmp_path: Path) -> None:
    """Without peers, whose rows then say so."""
    command = ["-m", "benchmarks.compare", "--small", "--rounds", "1"]
    done = subprocess.run(
        [sys.executable, *command, "--out", str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "speed.md").read_text()
    assert "step-size map" in page
