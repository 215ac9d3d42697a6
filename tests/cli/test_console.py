"""The console: lines that fit a terminal."""

import pytest
from command_line import Cli


@pytest.mark.usefixtures("terminal")
def test_words_are_not_broken_on_a_terminal(cli: Cli) -> None:
    result = cli("show", "extragradnt")
    assert len(result.stderr.splitlines()) > 1
    assert all(len(line) <= 80 for line in result.stderr.splitlines())
    assert "Did you mean 'extragradient'?" in " ".join(result.stderr.split())
    assert all(len(line) <= 80 for line in cli("list").stdout.splitlines())
    assert all(len(line) <= 80 for line in cli("show", "smoke").stdout.splitlines())
