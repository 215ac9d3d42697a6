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
from inspect import Parameter, Signature
from typing import Any

from mmbench.algorithms import ALGORITHMS
from mmbench.core.errors import unknown_name
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
    fields = inspect.signature(algorithm).parameters

    def __init__(  # noqa: N807  # it becomes the method of a class
        self: TwoPlayer, x: Player, y: Player, *, seed: int = 0, **parameters: Any
    ) -> None:
        for parameter in parameters:
            if parameter not in fields:
                raise unknown_name(f"parameter of {name}", parameter, fields)
        TwoPlayer.__init__(self, algorithm(**parameters), x, y, seed=seed)

    x_y_seed = list(inspect.signature(__init__).parameters.values())[1:4]
    own = [
        Parameter(each, Parameter.KEYWORD_ONLY, default=fields[each].default)
        for each in fields
    ]
    members = {
        "__init__": __init__,
        "__module__": __name__,
        "__doc__": _doc(algorithm),
        "__signature__": Signature(x_y_seed + own),
    }
    return type(name, (TwoPlayer,), members)


def _doc(algorithm: type) -> str:
    summary, _, rest = (inspect.getdoc(algorithm) or "").partition("\n")
    return (
        f"{summary}\n\nThe players x and y, and the seed of the method's own random "
        "numbers, are as\n`TwoPlayer` takes them; `step` and the other methods are "
        f"its own.\n{rest}"
    )
