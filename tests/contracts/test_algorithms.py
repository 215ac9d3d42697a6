"""Every algorithm, and every variant of it, keeps what an algorithm must keep."""

import pytest
from spec_variants import ALGORITHM_VARIANTS, of_each_kind, slow

from mmbench.algorithms import ALGORITHMS
from mmbench.algorithms.base import needs_of
from mmbench.core.priors import GRADIENT_STEPS, STEP_SIZES, UNIT_STEPS, values_at
from mmbench.tasks import TASKS
from mmbench.testing import check_algorithm
from mmbench.testing.algorithms import check_search_space, playable_tasks
from mmbench.testing.gate import SHORT_SPECS

# A game without data and one with them are enough for options.
SMALL = ("bilinear", "four_gaussians[hidden=4,noise=2,batch=8]")
GENERAL_SUM = ("polar", "dirac_gan[loss=nonsaturating]")


@pytest.mark.parametrize("name", of_each_kind(ALGORITHMS))
def test_algorithm_keeps_its_contract(name: str) -> None:
    """Shapes, cost, company, frozen dead runs and fixed points, on six games."""
    check_algorithm(ALGORITHMS.build(SHORT_SPECS.get(name, name)))


@pytest.mark.parametrize(
    "words", [*slow(ALGORITHM_VARIANTS[1:]), ALGORITHM_VARIANTS[0]]
)
def test_variant_keeps_its_contract(words: str) -> None:
    """The same for options, on two games."""
    algorithm = ALGORITHMS.build(words)
    tasks = [TASKS.build(words) for words in SMALL]
    fitting = [task for task in tasks if needs_of(algorithm) <= task.gives]
    check_algorithm(algorithm, fitting)


@pytest.mark.parametrize(
    "name",
    of_each_kind(
        name for name in ALGORITHMS if ALGORITHMS.build(name).cost.general_sum
    ),
)
def test_general_sum_games_are_played_as_declared(name: str) -> None:
    """Methods that cost more where the losses differ, on two such games."""
    check_algorithm(ALGORITHMS.build(name), [TASKS.build(w) for w in GENERAL_SUM])


@pytest.mark.parametrize("words", [*ALGORITHMS, *ALGORITHM_VARIANTS])
def test_every_algorithm_has_a_search_space(words: str) -> None:
    """All members, since this takes no time; a spec of each trial builds it again."""
    algorithm = ALGORITHMS.build(words)
    check_search_space(algorithm)
    space = algorithm.search_space
    trial = algorithm.with_hyperparameters(values_at(space, [0.6] * len(space)))
    assert ALGORITHMS.build(str(trial)) == trial
    has_steps = not words.startswith(("curvature_eg", "alone"))
    assert (set(STEP_SIZES) <= set(space)) == has_steps


def test_step_sizes_are_in_the_units_of_their_direction() -> None:
    mixed = ALGORITHMS.build("averaged[base=gda[direction=(plain,adam)]]").search_space
    assert [mixed[name] for name in STEP_SIZES] == [GRADIENT_STEPS, UNIT_STEPS]


def test_every_algorithm_has_a_variant() -> None:
    """The list of variants reaches every registered algorithm with options."""
    named = {words.partition("[")[0] for words in ALGORITHM_VARIANTS}
    assert named == set(ALGORITHMS)


@pytest.mark.parametrize("words", ["gda", "cgd", "accept_reject", "omd"])
def test_all_games_are_played(words: str) -> None:
    """No game falls out of the check unnoticed: all six are zero-sum."""
    assert len(playable_tasks(ALGORITHMS.build(words))) == 6
