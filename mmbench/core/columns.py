"""The columns of a table of results that every cell has."""

# What an oracle counts, one column for each.
COUNTED = ("grad_x", "grad_y", "hvps", "values", "samples")

# Columns of the tidy table before and after the metrics.
LEADING = (
    "task",
    "algorithm",
    "label",
    "seed",
    "step",
    *COUNTED,
    "cell_seconds",
    "status",
    "stopped_at",
    "reason",
)
TRAILING = ("parameters", "key")
RESERVED = (*LEADING, *TRAILING)
