"""Placement: the device, precision and data folder that a game is built with."""

from pathlib import Path
from typing import NamedTuple

import torch

from mmbench.core.errors import DeviceError


class Placement(NamedTuple):
    """Where and how a game is computed; no part of any description.

    Args:
        device: device of all tensors of the game.
        dtype: dtype of its floats.
        data_dir: folder of data files; None means the environment variable
            MMBENCH_DATA, then a download.
        compiled: whether steps are compiled where they can be; None leaves it to a rule
            of the engine, which asks what compiling would save.
        width: the number of runs computed side by side; None takes the task's rule.
    """

    device: torch.device = torch.device("cpu")
    dtype: torch.dtype = torch.float32
    data_dir: Path | None = None
    compiled: bool | None = False
    width: int | None = None


def pick_device(name: str) -> torch.device:
    """Return the device of a name; "auto" takes CUDA where it is available.

    Raises:
        DeviceError: when the device does not exist on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise DeviceError(f"device must be auto, cpu or cuda; got {name!r}.") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            f"device must exist on this machine; got {name!r}, but this torch sees no "
            "CUDA device; use cpu or auto."
        )
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(f"device must be auto, cpu or cuda; got {name!r}.")
    return device
