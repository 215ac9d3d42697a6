"""What all suites of claims share."""

FIRST_SEED = 5000  # no run of another suite has these seeds
FIRST_LOOK = 50  # runs of each method, before more are added
