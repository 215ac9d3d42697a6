"""Provenance: what is told of a computation, and when two are alike."""

import os
from importlib.metadata import version

import pytest
import torch

from mmbench.provenance import DECISIVE, differences, provenance, same_environment

HERE = provenance("cpu")


def test_it_tells_what_bits_depend_on() -> None:
    """Versions, machine and the instructions that kernels were chosen by."""
    assert set(DECISIVE) <= set(HERE)
    assert HERE["capability"] == torch.backends.cpu.get_cpu_capability()
    assert HERE["torch"] == version("torch")
    assert HERE["device"] == "cpu"
    assert HERE["cores"] == os.cpu_count()


@pytest.mark.parametrize("name", DECISIVE)
def test_each_decisive_thing_is_a_difference(name: str) -> None:
    """Told with what it was and what it is."""
    then = HERE | {name: "other"}
    assert differences(then, HERE) == [f"{name} other then, {HERE[name]} now"]


def test_what_moves_no_bit_is_no_difference() -> None:
    """Nor is what an older mmbench did not tell."""
    assert differences(HERE | {"commit": "0", "cores": 96, "pandas": "0"}, HERE) == []
    older = {name: value for name, value in HERE.items() if name != "capability"}
    assert differences(older, HERE) == []


def test_the_same_environment_has_the_same_mmbench_and_torch() -> None:
    """And nothing else is asked; nothing told is not the same."""
    assert same_environment(HERE | {"processor": "other", "numpy": "0"})
    assert not same_environment(HERE | {"torch": "2.0.0"})
    assert not same_environment(HERE | {"mmbench": "0.0.1"})
    assert not same_environment({})
