"""The examples of the documentation run as they stand there.

A page whose examples take more than a second is a slow test; `tox -e docs` runs all.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from examples import blocks, run_block, run_page

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))]
FAST = {"own_metric.md"}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Run in a folder from which modules can be imported, and forget them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
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


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[] if page.name in FAST else [pytest.mark.slow])
        for page in PAGES
        if any(not block.reason for block in blocks(page))
    ],
    ids=lambda page: page.stem,
)
def test_the_examples_of_a_page_run(page: Path, names: dict[str, Any]) -> None:
    """Every example runs, in the order in which it stands on the page."""
    assert run_page(page, names)


def test_an_example_that_is_not_run_gives_its_reason() -> None:
    """The comment says why, in words."""
    for page in PAGES:
        for block in blocks(page):
            if "Not run" in block.code:
                assert len(block.reason.split()) > 1, f"{page}:{block.line}"


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
