"""Steps of the package CGDs on four Gaussians; needs only torch and CGDs.

    python cgds_steps.py ACGD|BCGD HIDDEN NOISE STEPS RECORDED

Prints a line of JSON when it is ready, and one for each line that it is given, with the
CPU seconds of a step; start and records, at the steps named, are part of it.
"""

import json
import sys
import time
from pathlib import Path

import CGDs
import torch
from torch.nn.functional import softplus

sys.path.insert(0, str(Path(__file__).parents[1]))

import loops  # plain torch, beside this folder

RATE = {"ACGD": 1e-3, "BCGD": 0.1}


def train(name, hidden, noise, steps, recorded):
    """Make one run and return the inner iterations of all its steps."""
    one = loops.Gaussians("gda", hidden, noise)
    optimizer = getattr(CGDs, name)(
        max_params=one.d.parameters(),
        min_params=one.g.parameters(),
        lr_max=RATE[name],
        lr_min=RATE[name],
        collect_info=True,
    )
    iterations = 0
    for step in range(steps):
        if step in recorded:
            one.modes()
        real, seeds = one.sample()
        on_real, on_fake = one.d(real), one.d(one.g(seeds))
        optimizer.step(-softplus(-on_real).mean() - softplus(on_fake).mean())
        iterations += optimizer.info["iter_num"]
    one.modes()
    return iterations


def main():
    torch.set_num_threads(1)
    name, hidden, noise, steps = sys.argv[1], *map(int, sys.argv[2:5])
    recorded = set(map(int, sys.argv[5].split(",")))
    print(json.dumps({}), flush=True)
    for _ in sys.stdin:
        before = time.process_time()
        iterations = train(name, hidden, noise, steps, recorded)
        spent = time.process_time() - before
        answer = {"seconds": spent / steps, "iterations": iterations / steps}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
