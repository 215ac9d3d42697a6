"""A class of algorithms outside mmbench, for files that tests write."""

# To be dedented; other classes of the file may follow, indented likewise.
PLAIN = """
    import os, signal, time
    from dataclasses import dataclass
    from pathlib import Path
    import torch
    from mmbench import Algorithm, Cost

    @dataclass(frozen=True, kw_only=True)
    class Plain(Algorithm):
        cost = Cost(grad_x=1, grad_y=1)
        size: float = 0.1

        def init(self, oracle, z):
            return (torch.zeros(len(z), dtype=torch.int64),)

        def step(self, oracle, z, state):
            self.before(oracle, int(state[0].max()))
            return z - self.size * oracle.field(z), (state[0] + 1,)

        def before(self, oracle, step):
            pass
"""
