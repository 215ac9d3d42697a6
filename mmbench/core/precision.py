"""Rounding: the precision of products of float32."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch


@contextmanager
def products_in(precision: str) -> Iterator[None]:
    """Products of float32 on a GPU in full ("highest"), or with 19 bits ("high")."""
    cudnn, before = torch.backends.cudnn, torch.get_float32_matmul_precision()
    convolutions = cudnn.allow_tf32
    torch.set_float32_matmul_precision(precision)
    cudnn.allow_tf32 = precision == "high"
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
        cudnn.allow_tf32 = convolutions


def rounding(precision: str, device: torch.device) -> AbstractContextManager:
    """Products within a step, rounded as a cell asks: "exact", "tf32" or "bf16"."""
    match precision:
        case "bf16":
            kind = device.type
            return torch.autocast(kind, dtype=torch.bfloat16, cache_enabled=False)
        case "tf32":
            return products_in("high")
    return nullcontext()
