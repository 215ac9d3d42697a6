"""The console: lines that fit a terminal."""

import click
import pytest
from command_line import Cli

from mmbench.cli._console import print_table

ROWS = [
    ("0123abcd", "four_gaussians[hidden=16,noise=4,batch=32]", "GDA", "4 x 100"),
    ("4567cdef", "bilinear", "past extragradient", "4 x 20"),
]
TABLES = {
    None: """\
key       task                                        label                  runs
0123abcd  four_gaussians[hidden=16,noise=4,batch=32]  GDA                 4 x 100
4567cdef  bilinear                                    past extragradient   4 x 20
""",
    68: """\
key       task                           label                  runs
0123abcd  four_gaussians[hidden=16,      GDA                 4 x 100
          noise=4,batch=32]
4567cdef  bilinear                       past extragradient   4 x 20
""",
    60: """\
key       task                   label                  runs
0123abcd  four_gaussians[hidden  GDA                 4 x 100
          =16,noise=4,batch=32]
4567cdef  bilinear               past extragradient   4 x 20
""",
    40: """\
key  task  label  runs
0123abcd
  four_gaussians[hidden=16,noise=4,
  batch=32]
  GDA  4 x 100
4567cdef  bilinear  past extragradient
  4 x 20
""",
}


@pytest.mark.parametrize("width", TABLES)
def test_tables_fit_the_terminal(
    width: int | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Specs are wrapped after commas, and a table in a pipe is not wrapped."""
    monkeypatch.setenv("COLUMNS", str(width or 40))
    monkeypatch.setattr("sys.stdout.isatty", lambda: width is not None)
    print_table(("key", "task", "label", "runs"), ROWS, right=("runs",))
    assert click.unstyle(capsys.readouterr().out) == TABLES[width]


@pytest.mark.usefixtures("terminal")
def test_words_are_not_broken_on_a_terminal(cli: Cli) -> None:
    result = cli("show", "extragradnt")
    assert len(result.stderr.splitlines()) > 1
    assert all(len(line) <= 80 for line in result.stderr.splitlines())
    assert "Did you mean 'extragradient'?" in " ".join(result.stderr.split())
    assert all(len(line) <= 80 for line in cli("list").stdout.splitlines())
    assert all(len(line) <= 80 for line in cli("show", "smoke").stdout.splitlines())
