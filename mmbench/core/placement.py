"""Placement: where a game is built."""

from pathlib import Path
from typing import NamedTuple

import torch

from mmbench.core.errors import DeviceError


class Placement(NamedTuple):
    """Where tensors live and data lie; never part of a description.

    Args:
        device: of all tensors of the game.
        dtype: of its floats.
        data_dir: folder of data files; None means the environment variable
            MMBENCH_DATA, then a download.
        compiled: whether steps are compiled where they can be.
    """

    device: torch.device = torch.device("cpu")
    dtype: torch.dtype = torch.float32
    data_dir: Path | None = None
    compiled: bool = False


def pick_device(name: str) -> torch.device:
    """The device of that name; "auto" takes CUDA where there is one.

    Raises:
        DeviceError: when it is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise DeviceError(f"device must be auto, cpu or cuda; got {name!r}.") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            f"device must name a device that is there; got {name!r} and this torch "
            "sees no CUDA device; use cpu or auto."
        )
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(f"device must be auto, cpu or cuda; got {name!r}.")
    return device
