"""Sources of algorithms as users write them in files of their own."""

SOURCE = """
{head}from dataclasses import dataclass
import torch
from mmbench import Algorithm, Cost

@dataclass(frozen=True, kw_only=True)
class Mine(Algorithm):
    @property
    def cost(self):
        return Cost(grad_x=1, grad_y=1)

    def init(self, oracle, z):
        {init}

    def step(self, oracle, z, state):
        {step}
"""


def own_algorithm(step: str, init: str = "return ()", head: str = "") -> str:
    """Return the source of a class `Mine`.

    Args:
        step: body of its step, one line.
        init: body of its init, one line.
        head: lines before the class.
    """
    return SOURCE.format(step=step, init=init, head=head and f"{head}\n")
