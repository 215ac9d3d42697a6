"""External files: what of their text counts, and what they import."""

from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmbench.algorithms import gda
from mmbench.core.code_files import CodeFile, file_of, is_external_class, parse_source

SOURCE = b'''"""Doc."""
import helper  # first

def f(x):
    """Doc."""
    return x + 1
'''


@pytest.mark.parametrize(
    ("old", "new", "counts"),
    [
        (b"Doc.", b"Other doc.", False),
        (b"  # first", b"", False),
        (b"\n", b"\r\n", False),
        (b"x + 1", b"(x  +  1)", False),
        (b"x + 1", b"x + 2", True),
        (b"x + 1", b"x + 1.0", True),
        (b"def f(x)", b"def f(y)", True),
        (b"import helper", b"import other", True),
        (b"return x + 1", b"return f.__doc__", True),
    ],
)
def test_what_counts_of_a_source(old: bytes, new: bytes, counts: bool) -> None:
    """Statements count; comments, layout and docstrings do not."""
    before = parse_source(SOURCE).digest
    assert (parse_source(SOURCE.replace(old, new)).digest != before) == counts


def test_constants_without_content_differ() -> None:
    """Zeros, empty texts, False and None are told apart."""
    empty = ("0", "0.0", "0j", "False", "None", "''", "b''", "()", "...")
    digests = {parse_source(f"f(dim={text})".encode()).digest for text in empty}
    assert len(digests) == len(empty)


def test_docstrings_count_where_they_are_read() -> None:
    """A source that reads a docstring depends on it."""
    text = b'def f():\n    """%s"""\n    return len(f.__doc__)\n'
    assert parse_source(text % b"a").digest != parse_source(text % b"ab").digest


@pytest.mark.parametrize("content", [b"x = (", b"\0", b"x = " + b"-" * 100_000 + b"1"])
def test_what_is_not_python_counts_by_its_bytes(content: bytes) -> None:
    """A file that cannot be parsed imports nothing, and raises nothing."""
    parsed = parse_source(content)
    assert parsed.imports == ()
    assert parsed.digest != parse_source(content + b" ").digest


def imports(folder: Path, name: str, text: str) -> set[str]:
    """Return what a new file imports."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(text))
    return set(CodeFile.of_module("no module of this name", path).imports())


def test_imports_are_absolute_names(tmp_path: Path) -> None:
    """Imports in functions count, and each name that may be a module."""
    text = """
        import a.b.c as d
        def f():
            from e import g, h
        from i import *
    """
    expected = {"a", "a.b", "a.b.c", "e", "e.g", "e.h", "i"}
    assert imports(tmp_path, "mine.py", text) == expected


def test_relative_imports_are_of_the_package(tmp_path: Path) -> None:
    """Dots are counted from the file's package; above the top there is nothing."""
    for folder in ("kit", "kit/sub"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").write_text("")
    text = "from . import a\nfrom ..b import c\nfrom .... import d"
    expected = {"kit.sub", "kit.sub.a", "kit.b", "kit.b.c"}
    assert imports(tmp_path, "kit/sub/mine.py", text) == expected


def test_constants_are_set_once() -> None:
    """Names that are set again, or to more than a literal, are no constants."""
    text = b"a = 1\nb = 2\nb = 3\nc = a\nd: int = 4\ne = [1]\ng = 5\ndef f(): global g"
    assert parse_source(text).constants == {"a": 1, "d": 4}


def test_which_files_are_external() -> None:
    """Those of mmbench, of the standard library and of packages are not."""
    for module in (gda, torch, np, dedent.__globals__["re"]):
        assert file_of(module) is None
    assert not is_external_class(gda.GDA)
    assert not is_external_class(torch.nn.Linear)
    assert is_external_class(type("Local", (), {"__module__": "typed_session"}))
    assert is_external_class(CodeFileOfTests)


class CodeFileOfTests:
    """A class of a file that is not installed."""


def test_a_relative_name_is_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a name leads is looked up once for each working directory."""
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.chdir(folder)
        assert file_of(SimpleNamespace(__file__="mine.py")) == folder / "mine.py"


def test_a_program_from_standard_input_has_no_file() -> None:
    """Python gives its main module a name that is none of a file."""
    assert file_of(SimpleNamespace(__file__="<stdin>", __name__="__main__")) is None
