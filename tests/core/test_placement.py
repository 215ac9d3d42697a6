"""Devices are picked by name."""

import pytest
import torch

from mmbench.core.errors import MmbenchError
from mmbench.core.placement import pick_device


def test_devices() -> None:
    """`auto` and `cpu` are always available; unknown names are refused."""
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device("auto").type in ("cpu", "cuda")
    for name in ("gpu", "meta", "cuda0", ""):
        with pytest.raises(MmbenchError, match="device must be auto, cpu or cuda"):
            pick_device(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
@pytest.mark.parametrize("name", ["cuda", "cuda:3"])
def test_cuda_without_cuda(name: str) -> None:
    """A device that does not exist is refused."""
    with pytest.raises(MmbenchError, match="sees no CUDA device"):
        pick_device(name)
