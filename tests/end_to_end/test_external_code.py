"""Answers for external code that changes between runs, as users change it."""

import os
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest
from own_algorithms import own_algorithm
from warm_python import WarmPython

MINE = own_algorithm("return z - {step} * oracle.field(z), state")
RUN = """
import mmbench

def last(algorithm, store):
    frame = mmbench.run(["bilinear"], [algorithm], seeds=1, steps=9, store=store)
    return frame["distance"].iloc[-1]

"""


@pytest.fixture
def python(warm_python: WarmPython) -> Callable[[Path, str], list[str]]:
    """Run a script in a folder, with compiled files, and return what it prints."""

    def run(folder: Path, script: str) -> list[str]:
        (folder / "script.py").write_text(RUN + dedent(script))
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
        done = warm_python("script.py", cwd=folder, env=environment)
        return done.stdout.split()

    return run


def test_files_edited_in_a_loop_get_their_own_answers(
    tmp_path: Path, python: Callable
) -> None:
    """Three files of one size and one time: answers with and without a store agree."""
    (tmp_path / "template.txt").write_text(MINE)
    script = """
    import os, pathlib, importlib, sys
    template = pathlib.Path("template.txt").read_text()
    for i in range(1, 4):
        pathlib.Path("mine.py").write_text(template.format(step=f"0.{i}"))
        os.utime("mine.py", (10**9, 10**9))
        stored = last("mine.py:Mine", "store")
        pathlib.Path(f"fresh_{i}.py").write_text(template.format(step=f"0.{i}"))
        print(stored == last(f"fresh_{i}.py:Mine", None))
    """
    assert python(tmp_path, script) == ["True"] * 3


@pytest.mark.slow
def test_a_stale_compiled_file_is_refused(tmp_path: Path, python: Callable) -> None:
    """Python imports a stale compiled file; its numbers are not the source's."""
    (tmp_path / "mine.py").write_text(MINE.format(step="0.1"))
    os.utime(tmp_path / "mine.py", (10**9, 10**9))
    script = """
    import mine
    try:
        print(last(mine.Mine(), "store") > 0)
    except mmbench.core.errors.CodeError as error:
        print("refused" if "mine.py must be as it was when" in str(error) else error)
    """
    script = "import mmbench.core.errors\n" + dedent(script)
    assert python(tmp_path, script) == ["True"]
    (tmp_path / "mine.py").write_text(MINE.format(step="0.2"))
    os.utime(tmp_path / "mine.py", (10**9, 10**9))
    assert python(tmp_path, script) == ["refused"]


@pytest.mark.parametrize("place", ["the file", "the step"])
def test_a_file_that_leaves_the_folder(
    place: str, tmp_path: Path, python: Callable
) -> None:
    """Results lie where the store was named, wherever external code goes."""
    text = MINE.format(step="0.1")
    if place == "the file":
        text = "import os\nos.chdir('/')\n" + text
    else:
        text = text.replace(
            "        return z", "        __import__('os').chdir('/')\n        return z"
        )
    (tmp_path / "mine.py").write_text(text)
    script = """
    import os
    last("mine.py:Mine", "store")
    print(os.getcwd() == os.path.dirname(os.path.abspath(__file__)))
    """
    assert python(tmp_path, script) == ["True"]
    assert list((tmp_path / "store").glob("*.parquet"))
