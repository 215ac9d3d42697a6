"""The comparisons of speed: every group of rows can be measured."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FAILING = """
import sys
print("{}", flush=True)
sys.stdin.readline() if "late" in sys.argv else sys.exit("no rounds here")
raise ValueError("no rounds at /some/path now")
"""


@pytest.mark.parametrize(
    ("when", "reason"),
    [("late", "ValueError: no rounds at now"), ("early", "no rounds here")],
)
def test_a_peer_that_fails_is_a_row_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str, reason: str
) -> None:
    """Also where it is installed and said that it is ready."""
    monkeypatch.syspath_prepend(str(ROOT))
    measuring = importlib.import_module("benchmarks.compare.measuring")
    script = tmp_path / "failing.py"
    script.write_text(FAILING)
    options = measuring.Options(1, sys.executable, True)
    with measuring.peers_of(options) as peers:
        peers.add("other", str(script), when)
        row = peers.row("other", measuring.Row("a step", [2.0]))
    assert not peers.arms
    assert (row.values, row.notes) == ((), f"not measured: {reason}")


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
