"""Numbers of rliable that `mmbench.analysis.stats` must have as well.

python -m venv peer && peer/bin/pip install rliable==1.2.0 arch==7.2.0 "pandas<3"
peer/bin/python benchmarks/rliable_numbers.py > tests/analysis/rliable.json
"""

import json

import numpy as np
from rliable import library, metrics

TARGET = 0.7


def main() -> None:
    """Print scores of two methods, ten runs of three tasks, and what rliable finds."""
    x = 0.5 + 0.5 * np.sin(np.arange(30.0) ** 2).reshape(10, 3)
    y = 0.4 + 0.5 * np.sin(np.arange(30.0) ** 3).reshape(10, 3)
    x[:, 1], y[:, 1] = np.round(x[:, 1], 1), np.round(y[:, 1], 1)  # some are equal
    thresholds = np.linspace(0, 1, 6)
    profiles, _ = library.create_performance_profile({"x": x}, thresholds, reps=2)
    found = {
        "x": x.tolist(),
        "y": y.tolist(),
        "target": TARGET,
        "thresholds": thresholds.tolist(),
        "aggregate_iqm": metrics.aggregate_iqm(x),
        "aggregate_mean": metrics.aggregate_mean(x),
        "aggregate_median": metrics.aggregate_median(x),
        "aggregate_optimality_gap": metrics.aggregate_optimality_gap(x, TARGET),
        "probability_of_improvement": metrics.probability_of_improvement(x, y),
        "performance_profile": profiles["x"].tolist(),
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
