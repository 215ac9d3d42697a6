"""A game that an algorithm can play."""

from mmbench.algorithms import ALGORITHMS
from mmbench.algorithms.base import needs_of
from mmbench.tasks import TASKS
from mmbench.testing.algorithms import playable_tasks


def playable(algorithm: str, game: str) -> str:
    """Return the game, or another small one if the algorithm needs what it lacks."""
    built = ALGORITHMS.build(algorithm)
    if needs_of(built) <= TASKS.build(game).gives:
        return game
    return str(playable_tasks(built)[0])
