"""The precision of products: what a device computes, and what it would ignore."""

import os
from contextlib import suppress

import pytest
import torch

from mmbench.core import precision
from mmbench.core.errors import DeviceError
from mmbench.core.precision import (
    CUBLAS_WORKSPACES,
    check_precision,
    deterministic_kernels,
    rounding,
)

CPU = torch.device("cpu")


def test_tf32_is_refused_on_a_cpu() -> None:
    """torch would compute exact products, stored as others."""
    with pytest.raises(DeviceError, match="tf32 must be computed on a GPU .* cpu"):
        check_precision("tf32", CPU)


@pytest.mark.parametrize(("capability", "fits"), [((7, 5), False), ((8, 0), True)])
def test_tf32_needs_a_gpu_that_has_it(
    capability: tuple, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Older GPUs ignore it as CPUs do."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "a GPU")
    device = torch.device("cuda")
    if fits:
        check_precision("tf32", device)
        return
    with pytest.raises(DeviceError, match="got a GPU, which"):
        check_precision("tf32", device)


@pytest.mark.parametrize("name", ["exact", "bf16"])
def test_other_precisions_are_computed_on_a_cpu(name: str) -> None:
    """bf16 rounds products there, and exact does not."""
    check_precision(name, CPU)
    a = 1 + torch.arange(16.0).reshape(4, 4) / 1000
    with rounding(name, CPU):
        product = a @ a.T
    assert torch.equal(product.float(), a @ a.T) == (name == "exact")
    assert precision.TF32_CAPABILITY == (8, 0)


@pytest.mark.parametrize("workspaces", [None, ":16:8"])
def test_kernels_of_a_gpu_are_deterministic_within_a_block(
    monkeypatch: pytest.MonkeyPatch, workspaces: str | None
) -> None:
    """All of torch's settings, which are as they were afterwards; a CPU has none."""
    monkeypatch.delenv(CUBLAS_WORKSPACES, raising=False)
    if workspaces:
        monkeypatch.setenv(CUBLAS_WORKSPACES, workspaces)

    def settings() -> tuple[object, ...]:
        cudnn = torch.backends.cudnn
        return (
            torch.are_deterministic_algorithms_enabled(),
            torch.utils.deterministic.fill_uninitialized_memory,
            *(cudnn.deterministic, cudnn.benchmark, os.environ.get(CUBLAS_WORKSPACES)),
        )

    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    before = settings()
    with deterministic_kernels(CPU):
        assert settings() == before
    with (
        suppress(ValueError),
        deterministic_kernels(torch.device("cuda")),
    ):
        assert settings() == (True, False, True, False, workspaces or ":4096:8")
        raise ValueError
    assert settings() == before
