"""`mmbench submit`, and `mmbench verify` of what it writes."""

import json
import pickle
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import TINY, Cli
from edited_stores import rewrite

from mmbench.store.bundle import MANIFEST
from mmbench.store.folder import Store


@pytest.fixture
def submitted(cli: Cli) -> Cli:
    """Return the command line in a folder with a bundle of two cells, one outside."""
    grid = ("-t", "bilinear", "-a", "gda", "-a", "M = mine.py:Mine", *TINY)
    assert cli("run", *grid, "--store", "own").exit_code == 0
    done = cli("submit", "own", "--outside", "mine.py:Mine")
    assert done.exit_code == 0, done.stderr
    return cli


def edited(source: str, out: str, **members: Any) -> None:
    """Write a bundle with other members and the manifest that fits them."""
    with zipfile.ZipFile(source) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(content[MANIFEST])
    for name, change in members.items():
        if name == "classes":
            manifest["classes"] = change
        else:
            content[name] = change
    manifest["members"] = {
        name: {"bytes": len(data), "sha256": sha256(data).hexdigest()}
        for name, data in content.items()
        if name != MANIFEST
    }
    content[MANIFEST] = json.dumps(manifest).encode()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)


def test_what_is_in_a_bundle_is_listed(submitted: Cli) -> None:
    """With sizes, the next command, and the same bytes when it is made again."""
    first = Path("own.mmbench.zip").read_bytes()
    done = submitted("submit", "own", "--outside", "mine.py:Mine", "--out", "b.zip")
    lines = [line.split()[-1] for line in done.stdout.splitlines()[:3]]
    assert lines == ["environment.json", "results.zip", "source/0/mine.py"]
    assert done.stdout.splitlines()[3:] == [
        "2 cells in b.zip",
        "Next: mmbench verify b.zip --outside",
    ]
    assert Path("b.zip").read_bytes() == first
    assert str(Path.cwd()).encode() not in first
    refused = submitted("submit", "own", "--outside", "mine.py:Mine", "--out", "own/a")
    assert refused.exit_code == 2
    assert "--out must lie outside the store" in refused.stderr


def refuse(*_: Any, **__: Any) -> None:
    raise AssertionError("something was unpickled")


def test_code_of_a_bundle_runs_on_demand(
    submitted: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --outside its cells are not computed, and the verdict says so."""
    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    monkeypatch.setattr(torch, "load", refuse)
    quiet = submitted("verify", "own.mmbench.zip", "--limited")
    assert quiet.exit_code == 2
    assert "1 cell of code in the bundle, not computed" in quiet.stdout
    assert "1 of 2 cells checked, one run of each: 1 bit-identical, 1 not" in (
        quiet.stderr
    )
    done = submitted("verify", "own.mmbench.zip", "--limited", "--outside")
    assert done.exit_code == 0, done.stdout + done.stderr
    assert "1 cell of the code in the bundle." in done.stdout
    assert "2 of 2 cells checked, one run of each: 2 bit-identical." in done.stdout
    assert done.stdout.endswith("The bundle is verified.\n")


def test_results_of_other_code_are_refused(submitted: Cli) -> None:
    """Though the manifest fits it; so are results of code that is not there."""
    source = Path("mine.py").read_bytes()
    edited("own.mmbench.zip", "b.zip", classes={})
    edited(
        "own.mmbench.zip",
        "c.zip",
        **{"source/0/mine.py": source.replace(b"0.1 / self.k", b"0.2 / self.k")},
    )
    other = submitted("verify", "c.zip", "--limited", "--outside")
    assert other.exit_code == 2
    assert "must be the one that was used, mine.py:Mine@" in other.stderr
    none = submitted("verify", "b.zip", "--limited", "--outside")
    assert none.exit_code == 2
    assert "must have the source of each class; mine.py:Mine@" in none.stderr


def test_forged_results_differ(submitted: Cli) -> None:
    """The exit code is that of a store with the same results; 4 where it is damaged."""
    (gda,) = [key for key in Store("own") if Store("own").footer(key)["label"] == "gda"]
    rewrite(
        Store("own"), gda, frame=lambda one: one.assign(distance=one["distance"] / 2)
    )
    assert submitted("submit", "own", "--outside", "mine.py:Mine").exit_code == 0
    forged = submitted("verify", "own.mmbench.zip", "--limited")
    assert forged.exit_code == 1
    assert "The bundle is not verified" in forged.stderr
    content = Path("own.mmbench.zip").read_bytes()
    with zipfile.ZipFile("own.mmbench.zip") as archive:
        results = archive.read("results.zip")
    at = results.index(b"PAR1") + 40
    broken = results[:at] + bytes([results[at] ^ 1]) + results[at + 1 :]
    edited("own.mmbench.zip", "a.zip", **{"results.zip": broken})
    damaged = submitted("verify", "a.zip", "--limited")
    assert damaged.exit_code in (2, 4)  # the inner archive has a checksum of its own
    at = content.index(b"class Mine")
    Path("b.zip").write_bytes(content[:at] + b"K" + content[at + 1 :])
    assert (
        submitted("verify", "b.zip", "--limited").exit_code == 2
    )  # a checksum of the archive
    with zipfile.ZipFile("own.mmbench.zip") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile("c.zip", "w") as archive:
        for name, member in (members | {"environment.json": b"[ ]"}).items():
            archive.writestr(name, member)
    refused = submitted("verify", "c.zip", "--limited")
    assert refused.exit_code == 4
    assert "its environment.json has other bytes" in refused.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("own", "--outside"), "--outside must name a class for a store"),
        (("own", "--timeout", "3"), "must be given for a bundle alone; own is none"),
        (("own.mmbench.zip", "--outside", "mine.py:Mine"), "must have no value for a"),
        (("mine.py",), "must be an archive of `mmbench submit`"),
    ],
)
def test_options_of_stores_and_of_bundles(
    submitted: Cli, words: tuple[str, ...], sentence: str
) -> None:
    result = submitted("verify", *words)
    assert result.exit_code == 2
    assert sentence in result.stderr


HOSTILE = """
import os, sys
from pathlib import Path
Path({marker!r}).write_text(os.environ.get("TOKEN", "none"))
{deed}
"""


@pytest.mark.slow
def test_a_bundle_is_verified_in_a_process_of_its_own(
    submitted: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code that acts when it is loaded is not, or far from this process's secrets."""
    monkeypatch.setenv("TOKEN", "hidden")
    honest = submitted("verify", "own.mmbench.zip", "--outside")
    assert honest.exit_code == 0, honest.stderr
    assert honest.stdout.startswith("Code of the bundle, run: source/0/mine.py\n")
    source = Path("mine.py").read_text()
    marker = Path("marker").absolute()
    for deed, timeout, sentence in (
        ("", 300, "must be the one that was used"),
        ("os._exit(0)", 300, "ended without a verdict"),
        ("os.kill(os.getpid(), 9)", 300, "ended with signal 9"),
        ("while True: pass", 20, "took longer than 20 s"),
    ):
        acting = HOSTILE.format(marker=str(marker), deed=deed)
        edited(
            "own.mmbench.zip",
            "a.zip",
            **{"source/0/mine.py": (acting + source).encode()},
        )
        quiet = submitted("verify", "a.zip")
        assert quiet.exit_code == 2
        assert quiet.stdout.startswith("Not run: source/0/mine.py\n")
        assert not marker.exists()
        ended = submitted("verify", "a.zip", "--outside", "--timeout", str(timeout))
        assert ended.exit_code == 2
        assert sentence in ended.stderr
        assert marker.read_text() == "none"
        marker.unlink()


def test_the_record_of_a_built_in_suite_goes_with_the_results(submitted: Cli) -> None:
    words = ("own", "--outside", "mine.py:Mine", "--suite")
    done = submitted("submit", *words, "quick", "--out", "b.zip")
    assert done.exit_code == 0, done.stderr
    assert "tuning/tuning.parquet" in done.stdout
    refused = submitted("submit", *words, "gan", "--out", "c.zip")
    assert refused.exit_code == 2
    assert "gan" in refused.stderr
