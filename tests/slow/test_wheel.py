"""The wheel holds all that `mmbench run` and `mmbench report` need.

It is built from the last commit, and installed with nothing but what it declares.
"""

import os
import subprocess
import sys
from pathlib import Path

from mmbench.store.folder import Store

ROOT = Path(__file__).parents[2]


def run(folder: Path, *words: object) -> str:
    """Return what a command prints in a folder, without the settings of mmbench."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MMBENCH", "PYTHON", "VIRTUAL_ENV"))
    }
    done = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env=environment,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout.strip()


def test_a_wheel_in_an_empty_environment_runs_a_suite(tmp_path: Path) -> None:
    """It runs, reports and knows its commit, with no clone and no Dask."""
    run(tmp_path, "git", "clone", "-q", ROOT, "clone")
    head = run(tmp_path / "clone", "git", "rev-parse", "--short=12", "HEAD")
    run(tmp_path, sys.executable, "-m", "pip", "wheel", "--no-deps", "./clone")
    (wheel,) = tmp_path.glob("*.whl")
    run(tmp_path, sys.executable, "-m", "venv", "env")
    programs = tmp_path / "env/bin"
    run(
        *(tmp_path, programs / "pip", "install", "-c", ROOT / "constraints.txt"),
        wheel,
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    suite = ("quick", "--seeds", 2, "--steps", 2)
    run(empty, programs / "mmbench", "run", *suite)
    run(empty, programs / "mmbench", "report", *suite, "--out", "page")
    assert "<html" in (empty / "page/index.html").read_text("utf-8")
    store = Store(empty / "mmbench-results")
    commits = {store.footer(key)["provenance"]["commit"] for key in store}
    assert commits == {head}
    answer = run(
        *(empty, programs / "python", "-c"),
        "import mmbench\n"
        "from mmbench.core.errors import ClusterError\n"
        "from mmbench.runner.execute import _check_reachable\n"
        "try:\n    _check_reachable(None)\n"
        "except ClusterError as error:\n    print(error)\n",
    )
    assert 'pip install "mmbench[cluster]"' in answer
