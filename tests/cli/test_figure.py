"""`mmbench figure`: a file in the format of its name, and its data."""

from pathlib import Path

import pandas as pd
import pytest
from command_line import Cli


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


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "NAME must be one of convergence"),
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
