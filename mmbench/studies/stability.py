"""The map of stable step sizes on the game of the ICR paper, as data."""

TASK = "quadratic"  # x² + 10xy + y²
SECOND = (2, 10, 2)  # its f_xx, f_xy and f_yy
LOW, HIGH, POINTS = 1e-3, 1.0, 41  # step sizes of each player, evenly in logarithms
STEPS = 20_000  # of each run
REACHED = 1e-6  # relative distance from the solution, below which a run has converged
# Runs of so many steps cannot tell radii this near 1 from 1: 18/STEPS, a factor of 1e-6
# and one of 100 for the transient.
NEAR = 1e-3
FILE = "stability.parquet"

# Methods that have no linear step on this game, and why.
NOT_LINEAR = {
    "acgd": "its step sizes adapt to the gradients",
    "accept_reject": "it tests its steps",
    "accept_reject_search": "its proposals are random",
    "averaged": "its steps are those of the method that it averages",
    "bcseg": "its steps change over time",
    "curvature_eg": "it finds its step sizes itself",
    "eag": "its steps change over time",
    "feg": "its steps change over time",
    "halpern": "its steps change over time",
    "mirror_descent": "it needs mixed strategies",
    "mirror_prox": "it needs mixed strategies",
    "scheduled": "its steps change over time",
    "svre": "it needs a game of finitely many terms",
}
