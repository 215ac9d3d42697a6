"""Options for the workers and for the limits of a cell."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mmbench.cli import main
from mmbench.cli._resource_options import Size
from mmbench.runner import dask_cluster
from mmbench.store.folder import Store

GRID = ("run", "-t", "bilinear", "-a", "gda", "-a", "omd", "--steps", "9")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str) -> Result:
    """Return the result of `mmbench run` on a small grid."""
    return CliRunner().invoke(main, [*GRID, *words])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--workers", "2", "--scheduler", "tcp://a:1"), "must not be given together"),
        (("--workers", "0"), "must be a whole number of at least 1; got '0'."),
        (("--timeout", "0"), "must be a finite number of seconds above 0; got '0'."),
        (
            ("--timeout", "soon"),
            "a finite number of seconds above 0; got 'soon'.",
        ),
        (("--memory", "much"), "must be a size such as 800M or 4GB; got 'much'."),
        (("--memory", "0"), "must be a size such as 800M or 4GB; got '0'."),
        (("--memory", "-4GB"), "must be a size such as 800M or 4GB; got '-4GB'."),
        (("--memory", "9" * 30 + "T"), "must be a size such as 800M or 4GB; got"),
        (("--scheduler", "nowhere"), "--scheduler must be the address of a running"),
        (("--scheduler", "tcp://127.0.0.1:9"), "must be the address of a running"),
        (("--scheduler", "there.json"), "'there.json' gave FileNotFoundError"),
        (("--scheduler", "here.json"), "'here.json' gave KeyError"),
        (("--scheduler", "list.json"), "'list.json' gave TypeError"),
    ],
)
def test_bad_values_are_refused_before_any_work(
    monkeypatch: pytest.MonkeyPatch, folder: Path, words: tuple[str, ...], message: str
) -> None:
    """There is one sentence and exit code 2."""
    monkeypatch.setattr(dask_cluster, "CONNECT_TIMEOUT_SECONDS", 1)
    (folder / "here.json").write_text("{}")
    (folder / "list.json").write_text("[]")
    result = run(*words)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert not list(folder.rglob("*.parquet"))


@pytest.mark.parametrize("given", ["soon", "-1", "nan", ""])
def test_the_time_between_checkpoints_is_a_number(
    monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    """Anything else is refused before any work."""
    monkeypatch.setenv("MMBENCH_CHECKPOINT", given)
    result = run()
    assert result.exit_code == 2
    assert (
        f"MMBENCH_CHECKPOINT must be a number of seconds, 0 or more; got {given!r}"
        in (result.stderr)
    )
    monkeypatch.setenv("MMBENCH_CHECKPOINT", "0.5")
    assert Store("mmbench-results").slot("0" * 24).interval_seconds == 0.5


@pytest.mark.parametrize(
    ("words", "size"),
    [
        ("800M", 800 * 2**20),
        ("4GB", 4 * 2**30),
        ("1.5 GiB", 3 * 2**29),
        ("2tb", 2**41),
        ("12345", 12345),
        ("7k", 7 * 2**10),
    ],
)
def test_sizes_are_read(words: str, size: int) -> None:
    """Units may be written in several ways."""
    assert Size().convert(words, None, None) == size


def test_cells_of_other_versions_may_be_refused() -> None:
    """Their cells count as stored, unless --same-environment is given."""
    assert "2 computed" in run("--same-environment").stdout
    assert "2 already there" in run("--same-environment").stdout
    store = Store("mmbench-results")
    key = min(store)
    footer = store.footer(key)
    footer["provenance"] |= {"mmbench": "0.0.1"}
    store.put(key, store.frame(key), footer, store.arrays(key))
    assert "2 already there" in run().stdout
    again = run("--same-environment")
    assert again.exit_code == 0, again.output
    assert "1 computed" in again.stdout
    assert "2 already there" in run("--same-environment").stdout


@pytest.mark.slow
def test_the_table_shows_which_cells_a_limit_ended(folder: Path) -> None:
    """A cell that takes too long keeps what it recorded; a longer limit reruns it."""
    (folder / "naps.py").write_text(
        "import time\n"
        "from dataclasses import dataclass\n"
        "from mmbench.algorithms.gda import GDA\n"
        "@dataclass(frozen=True, kw_only=True)\n"
        "class Naps(GDA):\n"
        "    def step(self, oracle, z, state):\n"
        "        time.sleep(0.5)\n"
        "        return super().step(oracle, z, state)\n"
    )
    words = ("-a", "naps.py:Naps", "--timeout")
    short = run(*words, "2")
    assert short.exit_code == 0, short.output
    assert "timeout" in short.stdout
    assert "2 computed" not in run(*words, "1").stdout
    again = run(*words, "1.5")
    assert "0 computed" in again.stdout
    longer = run(*words, "300")
    assert "1 computed" in longer.stdout
    assert "timeout" not in longer.stdout
