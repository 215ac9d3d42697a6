"""Provenance: who computed a cell, and with what."""

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

PACKAGES = ("mmbench", "torch", "numpy", "pandas", "scipy")


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
        "cores": os.cpu_count() or 0,
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "threads": 1,
    }
    return found | {name: _version(name) for name in PACKAGES}


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
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    named = [line.partition(":")[2] for line in lines if line.startswith("model name")]
    return named[0].strip() if named else "unknown"
