"""The examples of the documentation run as they stand there.

Those of a page take seconds, so that it is a slow test; `tox -e docs` runs all. The
gallery is run when the site is built, which shows its figures.
"""

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import pytest
from examples import blocks, commands, run_block, run_page

from mmbench.cli import main
from mmbench.core.errors import DescriptionError

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Run in a folder from which modules can be imported, and forget them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)  # of another test
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).is_relative_to(os.fspath(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def names() -> dict[str, Any]:
    """The names of a page's Python examples."""
    return {"__name__": "__main__"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [
        page
        for page in PAGES
        if page.name != "gallery.md" and not all(one.reason for one in blocks(page))
    ],
    ids=lambda page: page.stem,
)
def test_the_examples_of_a_page_run(page: Path, names: dict[str, Any]) -> None:
    """Every example runs, in the order in which it stands on the page."""
    assert run_page(page, names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_can_be_read(page: Path) -> None:
    """Python compiles, commands have these options, and what is not run says why."""
    for block in blocks(page):
        where = f"{page}:{block.line}"
        if "Not run" in block.code:
            assert len(block.reason.split()) > 1, where
        if block.language == "python":
            compile(block.code, where, "exec")
        if block.language in ("sh", "console"):
            for command in commands(block.code.replace("\n$ ", "\n")):
                check_options(command, where)


def check_options(command: str, where: str) -> None:
    """Check that a command of mmbench has these options, without running it."""
    words = shlex.split(command.removeprefix("$ "), comments=True)
    if words[0] == "mmbench":
        context = click.Context(main)
        verb = main.get_command(context, words[1])
        assert verb, where
        with suppress(DescriptionError):  # files that an example has made before
            verb.make_context(words[1], words[2:], parent=context)


@pytest.mark.parametrize("command", ["mmbench runn", "mmbench run toy --nothing"])
def test_a_command_that_is_not_there_is_seen(command: str) -> None:
    """A wrong verb and a wrong option are errors, also where nothing is run."""
    with pytest.raises((AssertionError, click.UsageError)):
        check_options(command, "page:1")


@pytest.mark.parametrize(
    "text",
    [
        "```python\n1 / 0\n```",
        "```pycon\n>>> 1 + 1\n3\n```",
        "```sh\nmmbench list nothing\n```",
        "```sh\npython -c 'raise SystemExit(3)'\n```",
        "```console\n$ echo hello\nbye\n```",
        "```toml\nname = 'x'\n```",
    ],
)
def test_an_example_that_fails_is_seen(
    text: str, tmp_path: Path, names: dict[str, Any]
) -> None:
    """An error, another output, another exit code and a missing name are errors."""
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(Exception, match=r"."):
        run_page(page, names)


def test_examples_share_names_and_files(tmp_path: Path, names: dict[str, Any]) -> None:
    """A file is written and imported, names stay, and texts are left alone."""
    page = tmp_path / "page.md"
    page.write_text(
        "```python\n# my_module.py\nNINE = 9\n```\n```text\nNo code.\n```\n"
        "```python\nfrom my_module import NINE\n```\n```pycon\n>>> NINE + 1\n10\n```\n"
        "```sh\n# Not run by the tests: it would fail.\nfalse\n```\n"
        "```console\n$ python -c 'import my_module; print(my_module.NINE)'\n9\n```\n"
    )
    assert [one.line for one in blocks(page)] == [2, 9, 12, 16, 20]
    assert run_page(page, names) == 4
    run_block(blocks(page)[1], names)
