"""Toy: games with known solutions, on which tuning is cheap.

Methods are compared at equal cost, with the winners of ten tunings on record in
`tuned/toy`, each with eight seeds of its own. Games at step sizes that their sources
chose are in `fixed_steps`.
"""

from mmbench.suites._winners import suite_of_winners

TOY = suite_of_winners("toy")
