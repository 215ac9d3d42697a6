"""What methods that are drawn back to their first point remember."""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from mmbench.algorithms._directions import Directions, init_joint
from mmbench.core.oracle import Oracle
from mmbench.core.vectors import Joint


class AnchorState(NamedTuple):
    """The state of an anchored extragradient method.

    Args:
        anchor: first iterate.
        time: number of steps.
        share: step size relative to the first one.
        moments: moments of the directions.
    """

    anchor: Joint
    time: Float[Tensor, "runs 1"]
    share: Float[Tensor, "runs 1"]
    moments: Any


def init_anchor(direction: Directions, oracle: Oracle, z: Joint) -> AnchorState:
    """Return the state before the first step, with the anchor z."""
    none = torch.zeros_like(z[:, :1])
    return AnchorState(z, none, none + 1, init_joint(direction, oracle, z))
