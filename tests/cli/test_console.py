"""Tables and lines that fit a terminal, and what each verb prints on it."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import TINY, Cli
from edited_stores import rewrite, with_scaled
from hypothesis import given, settings
from hypothesis import strategies as st

from mmbench.cli._console import columns_of, command_lines, wrap_line
from mmbench.store.folder import Store

SPEC = "extragradient[step_size=0.3,direction=adam[beta1=0.5,beta2=0.9]]"


@given(st.text(alphabet="abc ,[]=/\u6c49", max_size=80), st.integers(8, 40))
@settings(max_examples=200, deadline=None)
def test_wrapped_lines_fit_and_lose_nothing(line: str, width: int) -> None:
    """No line is wider than the terminal, and all but spaces is there."""
    wrapped = list(wrap_line(line, width, "", "  "))
    assert max(map(columns_of, wrapped)) <= width
    assert "".join(wrapped).replace(" ", "") == line.replace(" ", "")


def test_words_stay_whole_where_they_fit() -> None:
    """A word is broken, after commas and brackets, only where it must be."""
    assert list(wrap_line("one two three", 9, "", "  ")) == ["one two", "  three"]
    assert list(wrap_line(f"label {SPEC}", 30)) == [
        "label extragradient[",
        "step_size=0.3,direction=adam[",
        "beta1=0.5,beta2=0.9]]",
    ]


def read_by_a_shell(command: str) -> list[str]:
    """Return the words that a shell reads in the text of a command."""
    script = f"printf '%s\\0' {command}"
    printed = subprocess.run(["sh", "-c", script], capture_output=True, check=True)
    return printed.stdout.decode().split("\0")[:-1]


@pytest.mark.parametrize("width", [20, 40, 80, 200])
@pytest.mark.parametrize(
    "words",
    [
        ["mmbench", "report", "-a", SPEC, "--store", "a very long/path of a store"],
        ["mmbench", "-a", 'it\'s "quoted" $HOME `x` \\ = gda', "x" * 100, "", "é汉"],
    ],
)
def test_a_shell_reads_the_lines_of_a_command_as_it_was(
    words: list[str], width: int
) -> None:
    """Lines fit the terminal, and can be copied."""
    lines = list(command_lines(words, width))
    if width >= 40:  # a quote in quotes needs more room
        assert max(map(columns_of, lines)) <= width
    assert read_by_a_shell("\n".join(lines)) == words


# ---- verbs ----

NAMES = (
    "-t",
    "four_gaussians[hidden=8,noise=4,batch=16]",
    "-a",
    "a method of a very long name, indeed = gda[step_size=0.01]",
    "-a",
    "extragradient[step_size=0.3,direction=adam[beta1=0.5,beta2=0.9]]",
)
STORE = ("--store", "a very long/path of a store of results")
VERBS = (
    ("plan", *NAMES, *TINY, *STORE),
    ("run", *NAMES, *TINY, *STORE),
    ("run", *NAMES, *TINY, *STORE, "-a", "mine.py:Moody"),
    ("run", *NAMES, *TINY, "-a", "mine.py:Moody[kk=3]"),
    ("run", "--seeds", "1e9"),
    ("store", "ls", *STORE),
    ("store", "check", *STORE),
    ("report", *NAMES, *TINY, *STORE),
    ("verify", STORE[1], "--sample", "1"),
    ("list",),
    ("features", "list"),
    ("show", "four_gaussians"),
    ("show", "accept_reject"),
    ("show", "mine.py:Mine"),
    ("show", "quick"),
    ("show", "nothing_like_this"),
)


OTHER = "a very long/path of another store"


def verbs_on_stores(cli: Cli) -> Iterator[tuple[str, ...]]:
    """Yield verbs that read the cells which the verbs above have stored.

    Another store has one of them with other numbers, and lacks the rest.
    """
    assert cli("run", *NAMES[:4], *TINY, "--store", OTHER).exit_code == 0
    (key,) = Store(OTHER)
    rewrite(Store(OTHER), key, with_scaled(2.0, 0, "modes"))
    yield ("results", *STORE, "--out", "table.csv")
    yield ("results", *NAMES, "-a", "cgd", *TINY, *STORE, "--out", "table.csv")
    yield ("replay", key, *STORE)
    yield ("replay", "nothing", *STORE)
    yield ("store", "diff", STORE[1], OTHER)
    yield ("store", "export", *STORE, "--out", "a very long/path of an archive.zip")
    yield ("store", "import", "a very long/path of an archive.zip", "--store", OTHER)
    yield ("store", "merge", OTHER, *STORE)


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("width", [pytest.param(80, marks=pytest.mark.slow), 40])
def test_no_line_is_wider_than_the_terminal(
    cli: Cli, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every verb, with long names; the pages of a store have their own tests."""
    monkeypatch.setenv("COLUMNS", str(width))
    for words in (*VERBS, *verbs_on_stores(cli)):
        done = cli(*words)
        shown = re.sub(r"\x1b\[[?0-9;]*[a-zA-Z]", "", done.stdout + done.stderr)
        assert shown.strip(), words
        for line in re.split(r"[\r\n]", shown):
            assert len(line.rstrip()) <= width, (words, line)


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("width", [pytest.param(80, marks=pytest.mark.slow), 40])
def test_the_next_command_can_be_copied(
    cli: Cli, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on after a backslash, and gives the report of what was run."""
    monkeypatch.setenv("COLUMNS", str(width))
    done = cli("run", *NAMES, *TINY, *STORE)
    _, _, command = done.stdout.partition("Next:")
    words = read_by_a_shell(command.strip())
    assert words[:2] == ["mmbench", "report"]
    assert cli(*words[1:]).exit_code == 0
    assert Path("mmbench-report/index.html").exists()
