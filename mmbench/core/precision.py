"""The precision of matrix products and convolutions."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from mmbench.core.errors import DeviceError

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
