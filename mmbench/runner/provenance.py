"""Provenance: who computed a cell, and with what."""

import os
import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("mmbench", "torch", "numpy", "pandas", "scipy")
CPUINFO = Path("/proc/cpuinfo")
ENVIRONMENT = ("mmbench", "torch")  # versions that may be required equal

# What a run's bits depend on beside its description. A commit does not count: where it
# moves numbers, a version in the description has moved too.
DECISIVE = (
    "mmbench",
    "torch",
    "numpy",
    "scipy",
    "system",
    "processor",
    "capability",
    "device",
    "threads",
)


@cache
def provenance(device: str) -> dict[str, str | int]:
    """Commit, versions, machine and device, as JSON values.

    Args:
        device: "cpu" or "cuda".
    """
    found: dict[str, str | int] = {
        "commit": _commit(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        # The instructions that torch's kernels were chosen by, such as AVX2.
        "capability": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count() or 0,
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "threads": 1,  # whatever was set outside: the engine computes with one
    }
    return found | {name: _version(name) for name in PACKAGES}


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What a run's bits depend on and is not known to be as it was, in words.

    Args:
        then: provenance of what is stored.
        now: provenance here.
    """
    return [
        f"{name} {then.get(name, 'not told')} then, {now.get(name, 'not told')} now"
        for name in DECISIVE
        if name not in then or then[name] != now.get(name)
    ]


def same_environment(then: Mapping[str, Any]) -> bool:
    """Whether something was computed by these versions of mmbench and of torch.

    Args:
        then: provenance of what is stored.
    """
    return all(then.get(name) == _version(name) for name in ENVIRONMENT)


def environments(*footers: Mapping[str, Any]) -> list[dict[str, str]]:
    """Versions of mmbench and of torch that had a part in cells, each pair once.

    Those that computed their runs, the runs that these go on from, and columns that
    were measured later. A version that no file tells is empty.

    Args:
        footers: of the cells.
    """
    told: list[Mapping[str, Any]] = []
    for footer in footers:
        unknown = [{}] if footer.get("cell", {}).get("after") else []
        told += [footer.get("provenance", {}), *footer.get("environments", unknown)]
    pairs = [{name: str(one.get(name, "")) for name in ENVIRONMENT} for one in told]
    return [one for i, one in enumerate(pairs) if one not in pairs[:i]]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    """Commit of the checkout that mmbench runs from, "+" when it has changes."""
    here = Path(__file__).parent

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(here), *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=5,
        )
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        if git("ls-files", "--error-unmatch", "provenance.py") == "":
            return "none (not a checkout)"
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"


def _processor() -> str:
    try:
        lines = CPUINFO.read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    told: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        told.setdefault(name.strip(), value.strip())  # of the first of many alike
    # Virtual machines name processors of several generations alike.
    kind = {"family": told.get("cpu family"), "model": told.get("model")}
    words = [f"{name} {value}" for name, value in kind.items() if value]
    return ", ".join([told.get("model name", "unknown"), *words])
