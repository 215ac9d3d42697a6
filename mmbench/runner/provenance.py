"""Provenance of a cell: the machine and the versions that computed it."""

import contextlib
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any

import torch
from torch.utils import collect_env

PACKAGES = ("mmbench", "torch", "numpy", "pandas", "scipy")
COMMIT_DIGITS = 12
COMMIT_FILE = "commit.txt"  # beside the package's modules in a built copy
NO_COMMIT = "none (not a checkout)"
CPUINFO = Path("/proc/cpuinfo")
ENVIRONMENT = ("mmbench", "torch")  # versions that may be required equal

# What a run's bits depend on besides its description. A commit does not count: where it
# changes numbers, a version in the description has changed too.
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
# The driver may compile kernels for a card that torch was not built for.
DECISIVE_ON_GPU = ("driver", "cuda", "cudnn")

# All that a provenance has; neither a host's name nor a path is among it.
PROVENANCE = (
    *("commit", "python", "system", "processor", "capability", "cores", "device"),
    *("threads", *PACKAGES, *DECISIVE_ON_GPU),
)


@cache
def provenance(device: str) -> dict[str, str | int]:
    """Return commit, versions, machine and device, as JSON values.

    Args:
        device: "cpu", "cuda" or a card such as "cuda:1".
    """
    on_gpu = torch.device(device).type == "cuda"
    found: dict[str, str | int] = {
        "commit": _commit(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        # The instruction set that torch chose its kernels by, such as AVX2.
        "capability": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count() or 0,
        "device": torch.cuda.get_device_name(device) if on_gpu else "cpu",
        "threads": 1,  # the engine computes with one, whatever the environment sets
    }
    versions = {name: _version(name) for name in PACKAGES}
    return found | versions | (_gpu_versions() if on_gpu else {})


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the decisive circumstances that differ or are not known, in words.

    Args:
        then: provenance of what is stored.
        now: provenance here.
    """
    on_gpu = [name for name in DECISIVE_ON_GPU if name in then or name in now]
    return [
        f"{name} {then.get(name, 'unknown')} then, {now.get(name, 'unknown')} now"
        for name in (*DECISIVE, *on_gpu)
        if name not in then or then[name] != now.get(name)
    ]


def same_code(then: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Return whether the same code of mmbench is known to have computed something.

    Args:
        then: provenance of what is stored.
        now: provenance here.
    """
    names = ("mmbench", "commit")
    is_known = now.get("commit", "unknown") != "unknown"
    return is_known and all(then.get(name) == now.get(name) for name in names)


def same_environment(then: Mapping[str, Any]) -> bool:
    """Return whether this version of mmbench and of torch computed something.

    Args:
        then: provenance of what is stored.
    """
    return all(then.get(name) == _version(name) for name in ENVIRONMENT)


def environments(*footers: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the versions of mmbench and of torch that computed cells, each pair once.

    These are the versions that computed the cells' runs, the runs that these continue,
    and columns that were measured later. A version that no file has is empty.

    Args:
        footers: the cells' footers.
    """
    found: list[Mapping[str, Any]] = []
    for footer in footers:
        unknown: list[dict[str, str]] = (
            [{}] if footer.get("cell", {}).get("after") else []
        )
        found += [footer.get("provenance", {}), *footer.get("environments", unknown)]
    pairs = [
        {name: str(versions.get(name, "")) for name in ENVIRONMENT}
        for versions in found
    ]
    return [pair for i, pair in enumerate(pairs) if pair not in pairs[:i]]


def _gpu_versions() -> dict[str, str | int]:
    """Return the versions of the GPU's driver, of CUDA and of cuDNN."""
    driver = collect_env.get_nvidia_driver_version(collect_env.run)
    return {
        "driver": driver or "unknown",
        "cuda": torch.version.cuda or "unknown",
        "cudnn": torch.backends.cudnn.version() or "unknown",
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    """Return the commit of the code in use, with "+" where it has changes.

    It is that of the checkout, or of the one that an installed copy was built from.
    """
    here = Path(__file__).parents[1]
    try:
        if _git(here, "ls-files", "--error-unmatch", "__init__.py"):
            changed = _git(here, "status", "--porcelain", "--untracked-files=no")
            return _head(here) + ("+" if changed else "")
        return _commit_of_copy(here)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"


def _commit_of_copy(here: Path) -> str:
    """Return the commit that a copy was built from, as `setup.py` or pip noted it.

    Args:
        here: folder of the copy.
    """
    with contextlib.suppress(FileNotFoundError):
        return (here / COMMIT_FILE).read_text("utf-8").strip() or NO_COMMIT
    try:
        noted = distribution("mmbench").read_text("direct_url.json")
        return str(json.loads(noted or "{}")["vcs_info"]["commit_id"])[:COMMIT_DIGITS]
    except (PackageNotFoundError, ValueError, KeyError, TypeError):
        return NO_COMMIT


def _head(folder: Path) -> str:
    return _git(folder, "rev-parse", f"--short={COMMIT_DIGITS}", "HEAD")


def _git(folder: Path, *arguments: str) -> str:
    """Return what git prints about a folder; nothing where it fails."""
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=5,
    )
    return done.stdout.strip() if done.returncode == 0 else ""


def _processor() -> str:
    """Return the processor's name, family and model."""
    try:
        lines = CPUINFO.read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    first: dict[str, str] = {}  # entries of the first processor
    for line in lines:
        name, _, value = line.partition(":")
        first.setdefault(name.strip(), value.strip())
    # Virtual machines give processors of several generations the same name.
    kind = {"family": first.get("cpu family"), "model": first.get("model")}
    details = [f"{name} {value}" for name, value in kind.items() if value]
    return ", ".join([first.get("model name", "unknown"), *details])
