"""Games whose quality is watched: chosen by what the registered tasks declare."""

from mmbench.core.capability import Capability
from mmbench.core.placement import Placement
from mmbench.tasks import TASKS
from mmbench.tasks._digit_gan import DIGITS
from mmbench.tasks.base import Task

from .cells import Game

# Tasks whose quality is not watched, with the reason; all others must be.
_LATE = "it has no target, and images are judged after thousands of steps"
UNWATCHED = {
    "mnist01": "two minutes for each algorithm; digits01 is the same game, smaller",
    "mnist_icr": _LATE,
    "cifar10": _LATE,
}
_ADAM = {"step_size": "0.01", "direction": "adam[beta1=0.5]", "k": "2"}

# What suits a task better than what any task is given.
_SOLVED = {  # step sizes with which most methods reach the target
    "bilinear": Game("bilinear", 600, ("distance",), {"step_size": "0.3"}, 600),
    "quadratic": Game(
        "quadratic[a=1,b=1,c=-1]", 300, ("distance",), {"step_size": "0.1"}, 300
    ),
    "dirac_gan": Game("dirac_gan[r1=1]", 300, ("distance",), {"step_size": "0.3"}, 300),
}
_GENERATING = {  # sizes with which modes are found within seconds
    "four_gaussians": Game(
        "four_gaussians[hidden=16,noise=4,batch=32]",
        300,
        ("mode_coverage[samples=200]",),
        _ADAM,
    ),
    "digits01": Game(
        "digits01[hidden=32,noise=4,batch=16,dropout=0.1,loss=saturating]",
        200,
        ("digit_coverage[samples=50]",),
        _ADAM,
    ),
}


def judge(task: Task) -> str:
    """Name of the metric whose columns come first, and so are the score."""
    words = task.target.metric if task.target else next(iter(task.metrics), "")
    return words.partition("[")[0]


def one_bound(task: Task) -> bool:
    """Whether its target is one upper bound, above which a run may be left."""
    target = task.target
    return target is not None and len(target.at_most) == len(target.bounds) == 1


def modes(task: Task) -> int:
    """How many modes, or digits, its generator can miss."""
    if Capability.DIGITS in task.gives:
        return len(DIGITS)
    return len(task.build(Placement()).modes)


_WATCHED = {name: TASKS[name]() for name in TASKS if name not in UNWATCHED}
# Those with a known solution. Every step is recorded, so the price is exact.
SOLVED = {
    name: _SOLVED.get(name) or Game(name, 300, (task.target.metric,), records=300)
    for name, task in _WATCHED.items()
    if Capability.SOLUTION in task.gives and one_bound(task)
}
# Those whose generators may lose modes. In so few steps hardly any run reaches its
# target for good, so that is not watched here.
_COVERAGE = {
    "mode_coverage": "mode_coverage[samples=200]",
    "digit_coverage": "digit_coverage[samples=50]",
}
GENERATING = {
    name: _GENERATING.get(name) or Game(name, 100, (_COVERAGE[judge(task)],), _ADAM)
    for name, task in _WATCHED.items()
    if judge(task) in _COVERAGE
}
