"""Cells in JAX: one compiled program for all runs; needs only jax.

    python jax_cells.py toy GAME RULE DIM RUNS STEPS RECORDS
    python jax_cells.py map SIDE STEPS
    python jax_cells.py gaussians HIDDEN NOISE RUNS STEPS

Prints a line of JSON when it has compiled, and one for each line that it is given, with
the CPU seconds of a round.
"""

import json
import os
import sys
import time
from itertools import pairwise

os.environ["XLA_FLAGS"] = (
    "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
)

import jax  # reads the flags when it is loaded
import jax.numpy as jnp

STEP, LIMIT = 0.001, 1e6
UNROLL, BLOCK = 20, 1024  # the best of those tried


def payoff_of(game, dim):
    """Return f; players of one entry are scalars, three times as fast in XLA."""
    if game == "bilinear" and dim > 1:
        a = jax.random.normal(jax.random.key(1), (dim, dim)) / dim**0.5
        return lambda x, y: x @ a @ y
    return {
        "bilinear": lambda x, y: x * y,
        "quadratic": lambda x, y: x * x + 10 * x * y + y * y,
        "dirac_gan": lambda x, y: -jax.nn.softplus(-x * y) - jnp.log(2.0),
    }[game]


def stepped(payoff, rule):
    """Make one step of a run, which keeps its iterate where it would diverge."""
    field = jax.grad(payoff, argnums=(0, 1))

    def step(run, sizes):
        x, y, alive, lived = run
        at_x, at_y = field(x, y)
        if rule == "extragradient":
            at_x, at_y = field(x - sizes[0] * at_x, y + sizes[1] * at_y)
        new_x, new_y = x - sizes[0] * at_x, y + sizes[1] * at_y
        largest = jnp.maximum(jnp.abs(new_x).max(), jnp.abs(new_y).max())
        goes_on = alive & (largest <= LIMIT)
        keep = lambda new, old: jnp.where(goes_on, new, old)
        return keep(new_x, x), keep(new_y, y), goes_on, lived + alive

    return step


def toy(game, rule, dim, runs, steps, records):
    """Compute all runs of a game, with their distances at the records."""
    dim, runs, steps, records = map(int, (dim, runs, steps, records))
    step = stepped(payoff_of(game, dim), rule)

    def cell(key):
        def run(key):
            x, y = jax.random.normal(key, (2, dim) if dim > 1 else (2,))

            def stretch(state, _):
                distance = jnp.sqrt((state[0] ** 2).sum() + (state[1] ** 2).sum())
                inner = lambda state, _: (step(state, (STEP, STEP)), None)
                length = steps // records
                state, _ = jax.lax.scan(
                    inner, state, length=length, unroll=min(UNROLL, length)
                )
                return state, distance

            begun = (x, y, jnp.array(True), jnp.array(0))
            return jax.lax.scan(stretch, begun, length=records)

        return jax.vmap(run)(jax.random.split(key, runs))

    return jax.jit(cell), (jax.random.key(0),), runs * steps


def step_map(side, steps):
    """Return the end of GDA on the ICR game from (1, 1) for each pair of sizes."""
    side, steps = int(side), int(steps)
    step = stepped(payoff_of("quadratic", 1), "gda")

    def run(sizes):
        one = jnp.ones(())
        inner = lambda state, _: (step(state, sizes), None)
        begun = (one, one, jnp.array(True), jnp.array(0))
        end, _ = jax.lax.scan(inner, begun, length=steps, unroll=min(UNROLL, steps))
        return jnp.sqrt(end[0] ** 2 + end[1] ** 2), end[2], end[3]

    def cell(at_x, at_y):
        pairs = jnp.stack(jnp.meshgrid(at_x, at_y, indexing="ij"), -1).reshape(-1, 2)
        return jax.lax.map(run, pairs, batch_size=min(BLOCK, side * side))

    sizes = jnp.geomspace(1e-3, 1.0, side)
    return jax.jit(cell), (sizes, sizes), side * side * steps


def gaussians(hidden, noise, runs, steps):
    """Run GDA on four Gaussians, minibatches drawn inside; no records."""
    hidden, noise, runs, steps = map(int, (hidden, noise, runs, steps))
    modes = jnp.array([[0.0, 1.0], [1.0, 0.0], [0.0, -1.0], [-1.0, 0.0]])
    shares = jnp.log(jnp.array([0.4, 0.2, 0.2, 0.2]))

    def network(layers, h):
        for weight, bias in layers[:-1]:
            h = jax.nn.relu(h @ weight + bias)
        return h @ layers[-1][0] + layers[-1][1]

    def start(key, widths):
        layers = []
        for before, after in pairwise(widths):
            key, one = jax.random.split(key)
            weight = jax.nn.initializers.orthogonal(0.8)(one, (before, after))
            layers.append((weight, jnp.zeros(after)))
        return layers

    def loss_x(x, y, sample):
        return jax.nn.softplus(-network(y, network(x, sample[1]))).mean()

    def loss_y(x, y, sample):
        fake = network(y, jax.lax.stop_gradient(network(x, sample[1])))
        real = network(y, sample[0])
        return jax.nn.softplus(-real).mean() + jax.nn.softplus(fake).mean()

    def step(state, _):
        x, y, key = state
        key, *keys = jax.random.split(key, 4)
        which = jax.random.categorical(keys[0], shares, shape=(128,))
        real = modes[which] + 0.01 * jax.random.normal(keys[1], (128, 2))
        sample = real, jax.random.normal(keys[2], (128, noise))
        at_x, at_y = jax.grad(loss_x)(x, y, sample), jax.grad(loss_y, 1)(x, y, sample)
        moved = lambda old, by: jax.tree.map(lambda a, b: a - 1e-3 * b, old, by)
        return (moved(x, at_x), moved(y, at_y), key), None

    def run(key):
        key, one, other = jax.random.split(key, 3)
        x = start(one, (noise, hidden, hidden, 2))
        y = start(other, (2, hidden, hidden, 1))
        return jax.lax.scan(step, (x, y, key), length=steps)[0]

    def cell(key):
        return jax.vmap(run)(jax.random.split(key, runs))

    return jax.jit(cell), (jax.random.key(0),), runs * steps


def main():
    kind, *words = sys.argv[1:]
    made = {"toy": toy, "map": step_map, "gaussians": gaussians}[kind](*words)
    program, given, run_steps = made
    begun = time.perf_counter()
    result = jax.block_until_ready(program(*given))
    answer = {"first": time.perf_counter() - begun, "run_steps": run_steps}
    if kind == "map":
        answer["diverged"] = int((~result[1]).sum())
    print(json.dumps(answer), flush=True)
    for _ in sys.stdin:
        before = time.process_time()
        jax.block_until_ready(program(*given))
        print(json.dumps({"seconds": time.process_time() - before}), flush=True)


if __name__ == "__main__":
    main()
