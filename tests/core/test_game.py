"""Checks of what a game with modes, digits, classes or a classifier must have."""

import pytest

from mmbench.core.errors import MisfitError
from mmbench.core.game import with_classes, with_classifier, with_digits, with_modes
from mmbench.tasks import TASKS
from mmbench.testing.tools import PLACEMENT


@pytest.mark.parametrize(
    ("check", "spec", "names"),
    [
        (with_modes, "four_gaussians", "modes, mode_weights, deviation and draw_real"),
        (with_digits, "digits01", "share_of_ones"),
        (with_classes, "conditional_digits", "generated_classes"),
        (with_classifier, "adversarial_training", "radius, held_out, box and classify"),
    ],
)
def test_games_without_what_a_metric_needs_are_refused(check, spec, names) -> None:
    """The right game is returned; another gives a message with the missing names."""
    game = TASKS.build(spec).build(PLACEMENT)
    assert check(game) is game
    with pytest.raises(MisfitError, match=f"QuadraticGame must have {names}, since"):
        check(TASKS.build("quadratic").build(PLACEMENT))
