"""Fixtures of the command line: a folder to work in, a terminal, a store."""

import sys
from pathlib import Path

import click.testing
import pytest
from click.testing import CliRunner, Result
from command_line import GRID, Cli

from mmbench.cli import main

EXTERNAL_CLASSES = '''
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from mmbench import Algorithm, Cost, Source


@dataclass(frozen=True, kw_only=True)
class Mine(Algorithm):
    """Mine: a plain step, by an external class.

    Args:
        k: divides the step.
    """

    k: int = 1

    source = Source(authors="Nobody", year=2026, title="Nothing")

    @property
    def cost(self):
        return Cost(grad_x=1, grad_y=1)

    def step(self, oracle, z, state):
        return z - 0.1 / self.k * oracle.field(z), state


class Moody(Mine):
    """Moody: raises unless there is a file."""

    def step(self, oracle, z, state):
        if not Path("calm").exists():
            raise ValueError("I [will] not\\nstep")
        return super().step(oracle, z, state)


class Once(Mine):
    """Once: is interrupted, once."""

    def step(self, oracle, z, state):
        if not Path("calm").exists():
            Path("calm").touch()
            os.kill(os.getpid(), signal.SIGINT)
        return super().step(oracle, z, state)


class Picky(Mine):
    """Picky: its check raises."""

    def check(self):
        raise RuntimeError("never good enough")


class Priceless(Mine):
    """Priceless: its cost raises."""

    @property
    def cost(self):
        return 1 / 0


class Abstract(Algorithm):
    """Abstract: no step."""


class Stranger:
    """No algorithm."""
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a working folder with files of external classes and no data."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MMBENCH_DATA", raising=False)
    (tmp_path / "mine.py").write_text(EXTERNAL_CLASSES)
    (tmp_path / "raises.py").write_text("raise ValueError('not today')")
    (tmp_path / "exits.py").write_text("import sys\nsys.exit('bye')")
    (tmp_path / "wrong.py").write_text("def broken(:")
    return tmp_path


@pytest.fixture
def cli(folder: Path) -> Cli:
    """Return a function that runs a command line in this process."""

    def run(*words: str) -> Result:
        result = CliRunner().invoke(main, words)
        sys.stderr.write(result.stderr)  # pytest shows it where the test fails
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the output of the runner a terminal of 80 columns."""
    wrapper = click.testing._NamedTextIOWrapper
    monkeypatch.setattr(wrapper, "isatty", lambda _: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.fixture
def stored(cli: Cli) -> Cli:
    """Return the command line in a folder with a store of two cells."""
    assert cli("run", *GRID, "-t", "dirac_gan").exit_code == 0
    return cli
