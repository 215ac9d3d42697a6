"""Games of the quality benchmarks, chosen by what registered tasks declare."""

from .cells import Game
from .library import DIGITS, TASKS, Capability, Placement, Task

# Tasks without a quality benchmark, with the reason; all others must have one.
_MIXED = "matrix_game has the same geometry and is smaller"
_LATE = "it has no target, and images are evaluated after thousands of steps"
UNWATCHED = {
    "ratio_game": _MIXED,
    "kuhn_poker": _MIXED,
    "mnist01": "two minutes for each algorithm; digits01 is the same game, smaller",
    "mnist_icr": _LATE,
    "cifar10": _LATE,
    "conditional_digits": _LATE,
    "adversarial_training": "it has no target",
    "icr_projection": "it has no target: what counts is how a run moves",
}
_CYCLES = "it has no solution, and methods are to stay away from its stationary point"
UNWATCHED |= dict.fromkeys(("almost_bilinear", "worst_for_both"), _CYCLES)
_ADAM = {"step_size": "0.01", "direction": "adam[beta1=0.5]", "k": "2"}

# Settings of single tasks, in place of those of all.
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


def score_metric(task: Task) -> str:
    """Return the name of the metric whose first column is the score."""
    words = task.target.metric if task.target else next(iter(task.metrics), "")
    return words.partition("[")[0]


def has_one_bound(task: Task) -> bool:
    """Return whether the target of a task is one upper bound."""
    target = task.target
    return target is not None and len(target.at_most) == len(target.bounds) == 1


def modes(task: Task) -> int:
    """Return how many modes, or digits, a generator can miss."""
    if Capability.DIGITS in task.gives:
        return len(DIGITS)
    return len(task.build(Placement()).modes)


_WATCHED = {name: TASKS[name]() for name in TASKS if name not in UNWATCHED}
# Games with a known solution. Every step is recorded, so that the cost is exact.
SOLVED = {
    name: _SOLVED.get(name) or Game(name, 300, (task.target.metric,), records=300)
    for name, task in _WATCHED.items()
    if Capability.SOLUTION in task.gives and has_one_bound(task)
}
# Games whose generators may lose modes. Hardly any run keeps its target in these few
# steps, so reaching it is not measured.
_COVERAGE = {
    "mode_coverage": "mode_coverage[samples=200]",
    "digit_coverage": "digit_coverage[samples=50]",
}
GENERATING = {
    name: _GENERATING.get(name)
    or Game(name, 100, (_COVERAGE[score_metric(task)],), _ADAM)
    for name, task in _WATCHED.items()
    if score_metric(task) in _COVERAGE
}
