"""Cells in JAX: one compiled program for all runs; needs jax, and for some rules more.

    python jax_cells.py toy GAME RULE DIM RUNS STEPS RECORDS
    python jax_cells.py map SIDE STEPS
    python jax_cells.py gaussians RULE HIDDEN NOISE RUNS RECORDED SAMPLES [ITERATIONS]

RECORDED are the steps of the records, the last one that of the end, with commas.
The rule optax is Adam of that package; jax-cgd ACGD and jax-cgd BCGD are of that one.
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
from jax.flatten_util import ravel_pytree

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
    length, rest = divmod(steps, records)

    def inner(state, _):
        return step(state, (STEP, STEP)), None

    def cell(key):
        def run(key):
            x, y = jax.random.normal(key, (2, dim) if dim > 1 else (2,))

            def stretch(state, _):
                distance = jnp.sqrt((state[0] ** 2).sum() + (state[1] ** 2).sum())
                state, _ = jax.lax.scan(
                    inner, state, length=length, unroll=min(UNROLL, length)
                )
                return state, distance

            begun = (x, y, jnp.array(True), jnp.array(0))
            state, distances = jax.lax.scan(stretch, begun, length=records)
            if rest:
                state, _ = jax.lax.scan(inner, state, length=rest)
            return state, distances

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


def gaussians(  # noqa: PLR0915  # one cell
    rule, hidden, noise, runs, recorded, samples, iterations=3
):
    """Run a rule on four Gaussians, minibatches drawn inside.

    The modes that each run covers are counted at the records, of samples of the
    generator within three standard deviations of a mode.
    """
    sizes = map(int, (hidden, noise, runs, samples, iterations))
    hidden, noise, runs, samples, iterations = sizes
    *early, steps = map(int, recorded.split(","))
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

    def payoff(x, y, sample):
        """Return f, which x minimises, of the saturating loss."""
        fake, real = network(y, network(x, sample[1])), network(y, sample[0])
        return -jax.nn.softplus(-real).mean() - jax.nn.softplus(fake).mean()

    def draw(key):
        keys = jax.random.split(key, 3)
        which = jax.random.categorical(keys[0], shares, shape=(128,))
        real = modes[which] + 0.01 * jax.random.normal(keys[1], (128, 2))
        return real, jax.random.normal(keys[2], (128, noise))

    def fields(x, y, sample):
        return jax.grad(loss_x)(x, y, sample), jax.grad(loss_y, 1)(x, y, sample)

    def plain(x, y, sample, state):
        moved = lambda old, by: jax.tree.map(lambda a, b: a - 1e-3 * b, old, by)
        at_x, at_y = fields(x, y, sample)
        return moved(x, at_x), moved(y, at_y), state

    def adam(x, y, sample, state):
        """Make a step of Adam for both players, with the usual constants."""
        count, first, second = state
        by = fields(x, y, sample)
        count = count + 1
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, by)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, by)
        scale = jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        move = lambda a, m, v: a - 1e-3 * scale * m / (jnp.sqrt(v) + 1e-8)
        x, y = jax.tree.map(move, (x, y), first, second)
        return x, y, (count, first, second)

    def by_optax(x, y, sample, state):
        """Make a step of optax's Adam for both players."""
        updates, state = rule_of_optax().update(fields(x, y, sample), state)
        x, y = jax.tree.map(jnp.add, (x, y), updates)
        return x, y, state

    def cgd(x, y, sample, state):
        """Make a step of CGD for f, x's system by conjugate gradients."""
        rate = 1e-3
        f = lambda a, b: payoff(a, b, sample)
        at_x, at_y = jax.grad(f, (0, 1))(x, y)
        xy = lambda v: jax.jvp(lambda b: jax.grad(f)(x, b), (y,), (v,))[1]
        yx = lambda v: jax.jvp(lambda a: jax.grad(f, 1)(a, y), (x,), (v,))[1]
        add = lambda a, b, by: jax.tree.map(lambda p, q: p + by * q, a, b)
        matrix = lambda v: add(v, xy(yx(v)), rate * rate)
        dot = lambda a, b: sum(
            jax.tree.leaves(jax.tree.map(lambda p, q: (p * q).sum(), a, b))
        )
        zero = jax.tree.map(jnp.zeros_like, x)
        r = add(at_x, xy(at_y), rate)

        def iteration(carried, _):
            z, r, p, rr = carried
            ap = matrix(p)
            step = rr / dot(p, ap)
            z, r = add(z, p, step), add(r, ap, -step)
            after = dot(r, r)
            return (z, r, add(r, p, after / rr), after), None

        begun = (zero, r, r, dot(r, r))
        z = jax.lax.scan(iteration, begun, length=iterations)[0][0]
        new_x = add(x, z, -rate)
        return new_x, add(y, add(at_y, yx(z), -rate), rate), state

    def by_jax_cgd(x, y, sample, state):
        """Make a step of jax-cgd for f; it takes flat players and a solver."""
        of_package, solver_of, options = rule_of_jax_cgd(rule)
        (flat_x, nested_x), (flat_y, nested_y) = map(ravel_pytree, (x, y))
        x, y, *state, _ = of_package(
            flat_x,
            flat_y,
            *state,
            **options,
            solver=solver_of(tol=1e-6, max_iter=iterations),
            f=lambda a, b: payoff(nested_x(a), nested_y(b), sample),
        )
        return nested_x(x), nested_y(y), tuple(state)

    make = {"gda": plain, "adam": adam, "cgd": cgd, "optax": by_optax}
    make = make.get(rule, by_jax_cgd)

    def covered(x, key):
        points = network(x, jax.random.normal(key, (samples, noise)))
        distances = jnp.linalg.norm(points[:, None] - modes, axis=2)
        return ((distances < 0.03).sum(0) > 0).sum()

    def run(key):
        key, one, other, first, last = jax.random.split(key, 5)
        x = start(one, (noise, hidden, hidden, 2))
        y = start(other, (2, hidden, hidden, 1))
        zeros = jax.tree.map(jnp.zeros_like, (x, y))
        state = ()
        if rule == "adam":
            state = jnp.array(0.0), zeros, zeros
        elif rule == "optax":
            state = rule_of_optax().init((x, y))
        elif rule.startswith("jax-cgd"):
            squares = [ravel_pytree(one)[0] for one in zeros if "ACGD" in rule]
            state = *squares, jnp.array(0)

        def step(carried, at):
            x, y, key, state = carried
            number, is_recorded = at
            counted = jax.lax.cond(  # of no run alone, so that jax.vmap keeps it
                is_recorded,
                lambda: covered(x, jax.random.fold_in(first, number)),
                lambda: 0,
            )
            key, one = jax.random.split(key)
            x, y, state = make(x, y, draw(one), state)
            return (x, y, key, state), counted

        numbers = jnp.arange(steps)
        given = numbers, jnp.isin(numbers, jnp.array(early))
        (x, *_), counted = jax.lax.scan(step, (x, y, key, state), given)
        return counted, covered(x, last), x

    def cell(key):
        return jax.vmap(run)(jax.random.split(key, runs))

    return jax.jit(cell), (jax.random.key(0),), runs * steps


def rule_of_optax():
    import optax  # noqa: PLC0415  # the other rules do without it

    return optax.adam(1e-3)


def rule_of_jax_cgd(rule):
    """Return the function that steps, the class of its solver, and its options."""
    from jax_cgd import acgd, cgd, solvers  # noqa: PLC0415

    if rule == "jax-cgd ACGD":
        return acgd.step_func, solvers.CG, {"eta": 1e-3, "beta": 0.99, "eps": 1e-5}
    return cgd.step_func, solvers.CG, {"eta": 0.1}


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
