"""Provenance: what a computation depends on, and when two are the same."""

import os
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from mmbench.core.json_schema import find_misfit
from mmbench.runner import provenance as module
from mmbench.runner.provenance import (
    DECISIVE,
    DECISIVE_ON_GPU,
    _processor,
    differences,
    provenance,
    same_environment,
)
from mmbench.store.schema import Footer

HERE = provenance("cpu")


def test_provenance_has_what_bits_depend_on() -> None:
    """Versions, machine and the instructions that kernels were chosen by."""
    assert set(DECISIVE) <= set(HERE)
    assert HERE["capability"] == torch.backends.cpu.get_cpu_capability()
    assert HERE["torch"] == version("torch")
    assert HERE["device"] == "cpu"
    assert HERE["cores"] == os.cpu_count()


def test_a_gpu_cell_has_its_card_and_the_versions_under_torch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The card is the one that computes; a CPU cell has no such versions."""
    cards = {"cuda:0": "First", "cuda:1": "Second"}
    monkeypatch.setattr(torch.cuda, "get_device_name", cards.__getitem__)
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91002)
    monkeypatch.setattr(
        module.collect_env, "get_nvidia_driver_version", lambda run: "570.1"
    )
    found = provenance.__wrapped__("cuda:1")
    versions = {"driver": "570.1", "cuda": "12.8", "cudnn": 91002}
    assert found == HERE | {"device": "Second"} | versions
    assert find_misfit(found, Footer.__annotations__["provenance"]) == ""
    assert not set(DECISIVE_ON_GPU) & set(HERE)
    later = found | {"cudnn": 91300}
    assert differences(found, later) == ["cudnn 91002 then, 91300 now"]
    assert "driver unknown then, 570.1 now" in differences(HERE, found)


@pytest.mark.parametrize("name", DECISIVE)
def test_each_decisive_thing_is_a_difference(name: str) -> None:
    """A difference is described by the value then and the value now."""
    then = HERE | {name: "other"}
    assert differences(then, HERE) == [f"{name} other then, {HERE[name]} now"]


def test_what_moves_no_bit_is_no_difference() -> None:
    """An entry that an older mmbench did not store may have been anything."""
    assert differences(HERE | {"commit": "0", "cores": 96, "pandas": "0"}, HERE) == []
    older = {name: value for name, value in HERE.items() if name != "capability"}
    assert differences(older, HERE) == [
        f"capability unknown then, {HERE['capability']} now"
    ]


def test_processors_of_one_name_are_distinguished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By family and model; where these are unknown, the name is all there is."""
    file = tmp_path / "cpuinfo"
    monkeypatch.setattr("mmbench.runner.provenance.CPUINFO", file)
    one = "processor : 0\ncpu family\t: 25\nmodel\t\t: {}\nmodel name\t: EPYC\n\n"
    file.write_text(one.format(17) + one.format(99))
    assert _processor() == "EPYC, family 25, model 17"
    file.write_text("model name : Other\nflags : model\n")
    assert _processor() == "Other"
    file.write_text("nothing\n")
    assert _processor() == "unknown"


def test_the_same_environment_has_the_same_mmbench_and_torch() -> None:
    """And nothing else is asked; an empty provenance is not the same."""
    assert same_environment(HERE | {"processor": "other", "numpy": "0"})
    assert not same_environment(HERE | {"torch": "2.0.0"})
    assert not same_environment(HERE | {"mmbench": "0.0.1"})
    assert not same_environment({})


class Copy(NamedTuple):
    """An installed copy, of which `direct_url.json` says where it is from."""

    note: str | None

    def read_text(self, name: str) -> str | None:
        """Return the note."""
        assert name == "direct_url.json"
        return self.note


def commit_of(copy: Path, note: str | None, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the commit that is found for a copy with a note."""
    monkeypatch.setattr(module, "distribution", lambda _: Copy(note))
    return module._commit_of_copy(copy)


def test_a_built_copy_has_the_commit_that_was_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written when it was built counts more than what pip noted."""
    note = '{"vcs_info": {"commit_id": "0123456789abcdef"}}'
    (tmp_path / "commit.txt").write_text("fedcba987654+\n")
    assert commit_of(tmp_path, note, monkeypatch) == "fedcba987654+"
    (tmp_path / "commit.txt").write_text("\n")
    assert commit_of(tmp_path, note, monkeypatch) == module.NO_COMMIT


@pytest.mark.parametrize(
    ("note", "commit"),
    [
        ('{"url": "https://x", "vcs_info": {"commit_id": "0123456789abcdef"}}', None),
        ('{"url": "file:///no/such/folder", "dir_info": {}}', module.NO_COMMIT),
        ('{"url": "https://x/mmbench.whl", "archive_info": {}}', module.NO_COMMIT),
        (None, module.NO_COMMIT),
        ("[]", module.NO_COMMIT),
        ("{", module.NO_COMMIT),
    ],
)
def test_other_copies(
    note: str | None,
    commit: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What pip installed from a repository has its commit; a release has none."""
    found = commit_of(tmp_path, note, monkeypatch)
    assert found == (commit or "0123456789ab")
