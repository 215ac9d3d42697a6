"""Steps of TorchOpt's Adam on four Gaussians; needs only torch and torchopt.

    python torchopt_steps.py HIDDEN NOISE STEPS RECORDED

Prints a line of JSON when it is ready, and one for each line that it is given, with the
CPU seconds of a step; start and records, at the steps named, are part of it.
"""

import json
import sys
import time
from pathlib import Path

import torch
import torchopt

sys.path.insert(0, str(Path(__file__).parents[1]))

import loops  # plain torch, beside this folder


def main():
    torch.set_num_threads(1)
    hidden, noise, steps = map(int, sys.argv[1:4])
    recorded = set(map(int, sys.argv[4].split(",")))
    print(json.dumps({}), flush=True)
    for _ in sys.stdin:
        before = time.process_time()
        one = loops.Gaussians("adam", hidden, noise)
        one.for_g = torchopt.Adam(one.g.parameters(), lr=1e-3)
        one.for_d = torchopt.Adam(one.d.parameters(), lr=1e-3)
        one.train(steps, recorded)
        seconds = (time.process_time() - before) / steps
        print(json.dumps({"seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
