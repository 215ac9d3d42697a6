"""The precision of matrix products and convolutions."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

from mmbench.core.errors import DeviceError

# cuBLAS gives the same bits again with workspaces of a fixed size, which it asks this
# environment variable for before its first product.
CUBLAS_WORKSPACES = "CUBLAS_WORKSPACE_CONFIG"
TF32_CAPABILITY = (8, 0)  # NVIDIA's Ampere


@contextmanager
def float32_products(precision: str) -> Iterator[None]:
    """Compute products of float32 on a GPU with a given precision, within a block.

    Args:
        precision: "highest" (float32) or "high" (TF32, 19 bits).
    """
    cudnn, before = torch.backends.cudnn, torch.get_float32_matmul_precision()
    convolutions_before = cudnn.allow_tf32
    torch.set_float32_matmul_precision(precision)
    cudnn.allow_tf32 = precision == "high"
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
        cudnn.allow_tf32 = convolutions_before


@contextmanager
def deterministic_kernels(device: torch.device) -> Iterator[None]:
    """Compute on a GPU with kernels that give the same bits again, within a block.

    An operation without such a kernel gives a warning of torch that names it. Nothing
    is changed for a CPU, whose kernels are deterministic.

    Args:
        device: device of the tensors.
    """
    if device.type != "cuda":
        yield
        return
    cudnn, environment = torch.backends.cudnn, os.environ.get(CUBLAS_WORKSPACES)
    flags = cudnn.deterministic, cudnn.benchmark
    mode = torch.get_deterministic_debug_mode()
    memory: Any = torch.utils.deterministic
    fills = memory.fill_uninitialized_memory
    os.environ.setdefault(CUBLAS_WORKSPACES, ":4096:8")
    torch.set_deterministic_debug_mode("warn")
    # Filling new memory only makes reads of it that must not be show.
    memory.fill_uninitialized_memory = False
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark = flags
        memory.fill_uninitialized_memory = fills
        torch.set_deterministic_debug_mode(mode)
        if environment is None:
            os.environ.pop(CUBLAS_WORKSPACES, None)


def check_precision(precision: str, device: torch.device) -> None:
    """Check that a device computes products with a precision.

    Args:
        precision: "exact", "tf32" or "bf16".
        device: device of the tensors.

    Raises:
        DeviceError: when it would compute others in its place: torch ignores TF32 on
            CPUs and on GPUs before compute capability 8.0.
    """
    if precision != "tf32":
        return
    got = f"the device {device.type}"
    if device.type == "cuda":
        if torch.cuda.get_device_capability(device) >= TF32_CAPABILITY:
            return
        got = torch.cuda.get_device_name(device)
    raise DeviceError(
        f"precision tf32 must be computed on a GPU that has it; got {got}, which would "
        "compute exact products. Choose precision exact or bf16."
    )


def rounding(precision: str, device: torch.device) -> AbstractContextManager:
    """Return the context in which the products of a step have a cell's precision.

    Args:
        precision: "exact" (that of the dtype), "tf32" or "bf16".
        device: device of the tensors.
    """
    match precision:
        case "bf16":
            return torch.autocast(
                device.type, dtype=torch.bfloat16, cache_enabled=False
            )
        case "tf32":
            return float32_products("high")
    return nullcontext()
