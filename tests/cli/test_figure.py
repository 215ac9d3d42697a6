"""`mmbench figure`: a file in the format of its name, and its data."""

from pathlib import Path

import pandas as pd
import pytest
from command_line import Cli

from mmbench.cli import _published
from mmbench.studies.figures import PAPER_FIGURES


def test_a_figure_and_its_data_are_written(stored: Cli) -> None:
    words = ("outcomes", "--only", "bilinear", "--out", "f.pdf", "--data")
    result = stored("figure", *words)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "Figure: f.pdf\nData: f.csv\n"
    assert Path("f.pdf").read_bytes().startswith(b"%PDF")
    assert set(pd.read_csv("f.csv")["task"]) == {"bilinear"}


def test_figures_are_listed(cli: Cli) -> None:
    shown = cli("figure", "--list").stdout
    assert "phase_portrait" in shown
    assert "leaderboard" in shown
    assert "icr/6" in shown


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "NAME must be one of convergence"),
        ((), "icr/6"),
        (("outcome",), "Unknown figure 'outcome'. Did you mean 'outcomes'?"),
        (("nosuch", "--store", "s"), "Known: convergence, outcomes"),
        (("outcomes",), "--out must be a file that ends in one of .pdf, .svg, .png"),
        (("outcomes", "--out", "f.jpeg"), "got 'f.jpeg'"),
    ],
)
def test_misuse_is_one_sentence(
    words: tuple[str, ...], sentence: str, cli: Cli
) -> None:
    result = cli("figure", *words)
    assert result.exit_code == 2
    assert sentence in result.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--all", "icr/6"), "--all must stand without NAME"),
        (("icr/6", "quick"), "got SUITE as well"),
        (("icr/6", "-t", "bilinear", "--seeds", "3"), "got -t and --seeds as well"),
        (("icr/6", "--data", "--width", "column"), "got --width and --data as well"),
        (("--all", "--only", "x"), "got --only as well"),
        (("icr/6", "--column", "x", "--against", "cost"), "--column and --against as"),
        (("icr/6", "--out", "x.pdf"), "--out must be a folder for figures of papers"),
        (("icr/6", "--out", "file"), "names of their own; got 'file'"),
        (("--all", "--out", "file"), "names of their own; got 'file'"),
        (("icr/stability", "--out", "file/x"), "file/x gave NotADirectoryError"),
    ],
)
def test_what_a_figure_of_a_paper_does_not_take_is_one_sentence(
    words: tuple[str, ...],
    sentence: str,
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_published, "CHECKOUTS", ())
    Path("file").touch()
    result = cli("figure", *words, "--store", "s")
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert not Path("s").exists()


def test_a_damaged_map_is_said_to_be_damaged(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alone it is an error; among all figures the others are drawn."""
    name = "icr/stability"
    figures = {one: PAPER_FIGURES[one] for one in (name, "icr/5")}
    monkeypatch.setattr("mmbench.studies.figures.PAPER_FIGURES", figures)
    Path("figures").mkdir()
    Path("figures/stability.parquet").write_bytes(b"PAR1 and no more")
    result = cli("figure", name)
    assert result.exit_code == 2
    assert "figures/stability.parquet must be a map of stable" in result.stderr
    assert cli("figure", "--all").exit_code == 0
    assert "Stored results are damaged." in Path("figures/README.md").read_text()


def test_published_runs_are_found_from_any_folder(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where mmbench is installed, it is not in the checkout.
    checkout = Path(__file__).resolve().parents[2]
    monkeypatch.setattr(_published, "CHECKOUTS", (checkout,))
    result = cli("figure", "icr/4", "--store", "s")
    assert result.exit_code == 0, result.stderr
    assert Path("figures/icr-4.png").exists()


def test_a_figure_of_a_paper_makes_its_runs(cli: Cli) -> None:
    """Runs of seconds are made once; the page says what theirs and ours show."""
    first = cli("figure", "lecture/dirac", "--store", "s", "--out", "figs")
    assert first.exit_code == 0, first.stderr
    assert "Note: s lacks 6 of 6 cells of lecture/dirac; they are run." in first.stderr
    drawn = Path("figs/lecture-dirac.png").read_bytes()
    page = Path("figs/lecture-dirac.md").read_text()
    assert "![" in page
    assert "**Theirs.**" in page
    assert "simultaneous, saturating: moves away (1.41 to 3.1)" in page
    second = cli("figure", "lecture/dirac", "--store", "s", "--out", "figs")
    assert not second.stderr
    assert Path("figs/lecture-dirac.png").read_bytes() == drawn
    assert Path("figs/lecture-dirac.md").read_text() == page


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("icr/5", "icr/5 must have its runs in a store; s lacks some. Its runs take"),
        ("icr/66", "Unknown figure 'icr/66'. Did you mean 'icr/6'"),
    ],
)
def test_a_figure_of_a_paper_that_cannot_be_drawn(
    name: str, sentence: str, cli: Cli
) -> None:
    result = cli("figure", name, "--store", "s")
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert not Path("figures").exists()
