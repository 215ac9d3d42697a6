"""Every algorithm as an optimiser of two players' parameters, for loops of one's own.

    opt = mmbench.optim.CGD(generator, discriminator, step_size=0.1)
    for real in loader:
        noise = torch.randn(len(real), 64)
        opt.step(lambda: loss(generator, discriminator, real, noise))

There is a class for each algorithm of the registry, under the name of its class;
`TwoPlayer` takes any description or spec, such as "lookahead[base=cgd]".
"""

import inspect
from functools import cache
from typing import Any

from mmbench.algorithms import ALGORITHMS
from mmbench.optim.two_player import Player
from mmbench.optim.two_player import TwoPlayer as TwoPlayer

_NAMES = {
    reference.rpartition(":")[2]: name for name, reference in ALGORITHMS.members.items()
}


def __getattr__(name: str) -> type[TwoPlayer]:
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _optimiser_of(name)


def __dir__() -> list[str]:
    return sorted({"TwoPlayer", *_NAMES})


@cache
def _optimiser_of(name: str) -> type[TwoPlayer]:
    """Return the optimiser class of an algorithm."""
    algorithm: Any = ALGORITHMS[_NAMES[name]]

    def __init__(  # noqa: N807  # it becomes the method of a class
        self: TwoPlayer, x: Player, y: Player, *, seed: int = 0, **parameters: Any
    ) -> None:
        TwoPlayer.__init__(self, algorithm(**parameters), x, y, seed=seed)

    members = {"__init__": __init__, "__module__": __name__, "__doc__": _doc(algorithm)}
    return type(name, (TwoPlayer,), members)


def _doc(algorithm: type) -> str:
    first = (inspect.getdoc(algorithm) or "").partition("\n")[0]
    return (
        f"{first}\n\nArgs:\n    x, y, seed: as `TwoPlayer` takes them.\n"
        f"    parameters: fields of `mmbench.algorithms.{algorithm.__name__}`.\n"
    )
