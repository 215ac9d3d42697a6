"""`mmbench check`: findings, exit codes, and the table of them."""

from pathlib import Path

import pandas as pd
import pytest
from command_line import Cli

from mmbench.algorithms import ALGORITHMS
from mmbench.cli.check import _findings, _members
from mmbench.core.errors import DataError
from mmbench.metrics import METRICS
from mmbench.tasks import Bilinear

CHECKS = [
    "contract",
    "counted = declared",
    "neighbours ignored",
    "replay equal",
    "theory",
]


@pytest.fixture(autouse=True)
def _one_small_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check algorithms on one game, which is fast."""
    monkeypatch.setattr("mmbench.testing.algorithms.SMALL_TASKS", ("bilinear",))


def test_a_class_of_ones_own_is_checked(cli: Cli) -> None:
    result = cli("check", "mine.py:Mine[k=2]", "distance", "--out", "gate.csv")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "mine.py:Mine[k=2]"
    assert all(len(line) <= 80 for line in lines)
    assert lines[-1] == "7 checks: 6 passed, 1 not checked."
    table = pd.read_csv("gate.csv")
    assert list(table) == ["family", "name", "check", "result", "figure", "details"]
    assert list(table.check) == [*CHECKS, "contract", "replay equal"]
    assert set(table.family) == {"algorithm", "metric"}
    assert table.details[4] == "no prediction is registered"
    assert pd.isna(table.figure[4])


def test_a_failed_check_ends_with_exit_code_1(cli: Cli) -> None:
    result = cli("check", "mine.py:Moody")
    assert result.exit_code == 1
    assert "mine.py, line 36 raised ValueError: I [will] not" in result.stdout
    assert "failed" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "NAME or --all must be given; got neither."),
        (("gda", "--all"), "NAME or --all must be given; got both gda and --all."),
        (("gdaa",), "Did you mean 'gda'?"),
        (("smoke",), "'smoke' is of a suite."),
        (("adam",), "'adam' is of a direction."),
        (("mine.py:Stranger",), "must be a subclass of one of"),
        (("mine.py:Absent",), "Absent"),
        (("gda[speed=1]",), "speed"),
        (("mine.py:Picky",), "mine.py:Picky must be usable"),
        (("gda", "--out", "gate.txt"), "--out must end in one of"),
    ],
)
def test_bad_input_is_refused(cli: Cli, words: tuple[str, ...], message: str) -> None:
    result = cli("check", *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.usefixtures("terminal")
def test_lines_fit_eighty_columns(cli: Cli) -> None:
    lines = cli("check", "quadratic", "frechet_infinity").stdout.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert "  gradients           passed" in "\n".join(lines)


def test_a_family_stands_for_its_members() -> None:
    """Methods with long inner loops are checked with short ones."""
    named = [spec for _, spec, _ in _members(["algorithms", "metrics"])]
    assert named[:2] == ["gda", "alternating_gda"]
    assert "accept_reject_search[ascents=5]" in named
    assert len(named) == len(ALGORITHMS) + len(METRICS)


def test_a_task_without_its_data(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused where it was named, and left out where all are checked."""

    def prepare(task: Bilinear, data_dir: Path | None) -> None:
        raise DataError("The file is missing.")

    monkeypatch.setattr(Bilinear, "prepare", prepare)
    result = cli("check", "bilinear")
    assert (result.exit_code, result.stderr) == (2, "Error: The file is missing.\n")
    (finding,) = _findings(Bilinear(), None, skip=True)
    assert (finding.result, finding.details) == ("not checked", "The file is missing.")
