"""The source files of an external module, and what their digest depends on."""

import ast
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from mmbench.core.source_files import collect_source_files, source_digest


def write_files(folder: Path, files: Mapping[str, str]) -> Path:
    """Write files under a folder, and return the path of the first."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder / next(iter(files))


def names(file: Path, folder: Path) -> set[str]:
    """Return the source files of a file, relative to a folder."""
    sources = collect_source_files(file)
    return {source.relative_to(folder.resolve()).as_posix() for source in sources}


CASES = {
    "no local import": (
        {"mine.py": "import torch, os.path\nfrom math import pi"},
        {"mine.py"},
    ),
    "local import": (
        {"mine.py": "import helper", "helper.py": "", "unrelated.py": ""},
        {"mine.py", "helper.py"},
    ),
    "indirect, and in functions": (
        {
            "mine.py": "def f():\n    from helper import g",
            "helper.py": "if True:\n    import deeper as d",
            "deeper.py": "",
        },
        {"mine.py", "helper.py", "deeper.py"},
    ),
    "cycle": (
        {"mine.py": "import helper", "helper.py": "import mine"},
        {"mine.py", "helper.py"},
    ),
    "package below": (
        {
            "mine.py": "import kit.parts.one\nfrom kit import two",
            "kit/__init__.py": "from .three import x",
            "kit/parts/__init__.py": "",
            "kit/parts/one.py": "",
            "kit/two.py": "",
            "kit/three.py": "",
            "kit/unrelated.py": "",
        },
        {
            "mine.py",
            "kit/__init__.py",
            "kit/parts/__init__.py",
            "kit/parts/one.py",
            "kit/two.py",
            "kit/three.py",
        },
    ),
    "within a package": (
        {
            "kit/sub/mine.py": "from . import one\nfrom ..two import x\n"
            "import kit.three",
            "kit/__init__.py": "",
            "kit/sub/__init__.py": "",
            "kit/sub/one.py": "",
            "kit/two.py": "",
            "kit/three.py": "",
        },
        {
            "kit/__init__.py",
            "kit/sub/mine.py",
            "kit/sub/one.py",
            "kit/two.py",
            "kit/three.py",
        },
    ),
    # The folder of a file is searched first when it is loaded by its path.
    "bare name within a package": (
        {"kit/mine.py": "import helper", "kit/__init__.py": "", "kit/helper.py": ""},
        {"kit/mine.py", "kit/helper.py"},
    ),
    "namespace package": (
        {"mine.py": "from kit.one import x", "kit/one.py": "", "kit/two.py": ""},
        {"mine.py", "kit/one.py"},
    ),
    "syntax error": (
        {"mine.py": "import helper", "helper.py": "import other(", "other.py": ""},
        {"mine.py", "helper.py"},
    ),
    "not text": (
        {"mine.py": "import helper", "helper.py": "\0"},
        {"mine.py", "helper.py"},
    ),
    "above the root": (
        {"in/mine.py": "from .. import helper\nfrom ..... import far", "helper.py": ""},
        {"in/mine.py"},
    ),
    "star import": (
        {"mine.py": "from helper import *", "helper.py": ""},
        {"mine.py", "helper.py"},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_sources(case: str, tmp_path: Path) -> None:
    """Local files are found that are imported, directly or not, and no others."""
    files, expected = CASES[case]
    assert names(write_files(tmp_path, files), tmp_path) == expected


def test_source_too_deep_to_be_read(tmp_path: Path) -> None:
    """A file that Python's parser cannot read has no imports, and raises nothing."""
    file = write_files(tmp_path, {"mine.py": f"x = {'-' * 100_000}1"})
    with pytest.raises((MemoryError, RecursionError)):
        ast.parse(file.read_text())
    assert names(file, tmp_path) == {"mine.py"}


def test_links_go_by_the_names_that_import_them(tmp_path: Path) -> None:
    """A linked helper of another folder is part of the digest."""
    file = write_files(tmp_path / "a", {"mine.py": "import helper"})
    target = write_files(tmp_path / "b", {"kept.py": "x = 1"})
    (tmp_path / "a" / "helper.py").symlink_to(target)
    assert names(file, tmp_path / "a") == {"mine.py", "helper.py"}
    before = source_digest(file)
    target.write_text("x = 2")
    assert source_digest(file) != before


FILES = {
    "mine.py": "import helper\nfrom kit import one",
    "helper.py": "x = 1",
    "kit/__init__.py": "",
    "kit/one.py": "y = 1",
    "unrelated.py": "",
}


@pytest.mark.parametrize("name", FILES)
def test_the_digest_depends_on_its_sources(name: str, tmp_path: Path) -> None:
    """The digest changes with every source and with no other file."""
    file = write_files(tmp_path, FILES)
    before = source_digest(file)
    assert source_digest(file) == before
    (tmp_path / name).write_text(FILES[name] + "\n")
    assert (source_digest(file) != before) == (name != "unrelated.py")


def test_the_digest_does_not_depend_on_the_folder(tmp_path: Path) -> None:
    """A copy in another folder has the same digest, a renamed file another one."""
    before = source_digest(write_files(tmp_path / "a", FILES))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert source_digest(tmp_path / "b" / "mine.py") == before
    (tmp_path / "b" / "kit" / "one.py").rename(tmp_path / "b" / "kit" / "two.py")
    assert source_digest(tmp_path / "b" / "mine.py") != before


def test_a_missing_file(tmp_path: Path) -> None:
    """A missing file raises an error."""
    with pytest.raises(FileNotFoundError):
        source_digest(tmp_path / "none.py")
