"""Stored results for `results` and `report`: missing, unfinished or none."""

import shlex
from pathlib import Path

import pandas as pd
import pytest
from command_line import GRID, TINY, Cli

from mmbench.store.folder import CheckpointFile


@pytest.mark.parametrize("verb", ["results", "report"])
def test_missing_cells_are_computed_into_the_given_store(cli: Cli, verb: str) -> None:
    """The advised command computes the missing cells into the given store."""
    place = ("--store", "my store's")
    more = (*GRID, "-a", "omd")

    def advised(message: str) -> list[str]:
        words = shlex.split(message.partition("mmbench run")[2])
        assert words[-2:] == list(place)
        return ["run", *words]

    assert cli("run", "-t", "dirac_gan", "-a", "gda", *TINY, *place).exit_code == 0
    nothing = cli(verb, *GRID, *place)
    assert nothing.exit_code == 2
    assert cli(*advised(nothing.stderr)).exit_code == 0
    partly = cli(verb, *more, *place)
    assert partly.exit_code == 0
    assert "1 of 2 cells are not in my store's yet" in partly.stderr
    assert cli(*advised(partly.stderr.partition(" yet: ")[2])).exit_code == 0
    assert "Note" not in cli(verb, *more, *place).stderr
    assert not Path("mmbench-results").exists()


class Killed(BaseException):
    """The end of the process."""


@pytest.mark.parametrize("verb", ["results", "report"])
def test_unfinished_cells_are_shown(
    cli: Cli, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unfinished cells are shown from their checkpoints."""
    write = CheckpointFile.write
    written = []

    def dying(slot: CheckpointFile, content: bytes) -> None:
        write(slot, content)
        written.append(slot)
        if len(written) == 15:
            raise Killed

    words = (*GRID, "-a", "omd", "-a", "cgd")
    assert cli("run", *GRID, "-a", "omd").exit_code == 0
    with monkeypatch.context() as patch:
        patch.setenv("MMBENCH_CHECKPOINT", "0")
        patch.setattr(CheckpointFile, "write", dying)
        with pytest.raises(Killed):
            cli("run", *words)
    words = (*words, "-a", "extragradient")
    result = cli(verb, *words, "--out", "out.csv" if verb == "results" else "out")
    assert result.exit_code == 0
    assert "1 of 4 cells are unfinished" in result.stderr
    assert "1 of 4 cells are not in mmbench-results yet" in result.stderr
    if verb == "results":
        frame = pd.read_csv("out.csv")
        assert set(frame[frame.label == "cgd"].status) == {"running"}
        assert frame[frame.label == "cgd"].step.max() == 10
        assert set(frame[frame.label != "cgd"].status) == {"finished"}
    else:
        page = Path("out/index.html").read_text("utf-8")
        assert "1 of 4 cells has no results yet" in page
        assert "“cgd” is unfinished: it is at step 14 of 20." in page


@pytest.mark.parametrize("verb", ["results", "report"])
def test_an_empty_store_is_refused(cli: Cli, verb: str) -> None:
    Path("empty").mkdir()
    result = cli(verb, "--store", "empty")
    assert result.exit_code == 2
    assert "empty has none" in result.stderr
    asked = cli(verb, "smoke", "--store", "empty")
    assert asked.exit_code == 2
    assert "Compute them first: mmbench run smoke --store empty" in asked.stderr
