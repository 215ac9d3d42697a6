"""MNIST ICR: a discriminator that is trained alone; hours on a GPU.

From a checkpoint, the discriminator is trained alone, and both players together; then
the generator is trained against each overtrained discriminator.
"""

from mmbench.suites.base import Grid, Suite

_METRICS = ("losses", "drift")
_RATE = "step_size=0.01"  # in all phases


def _grids(
    size: str, checkpoint: int, overtraining: int, foreseeing: int, attack: int
) -> tuple[Grid, ...]:
    """Return the phases of the experiment, for networks of one size.

    Args:
        size: options of the task that set the size of the networks.
        checkpoint: number of steps before the checkpoint.
        overtraining: number of steps from there, of one player or both.
        foreseeing: number of steps from there, by one-sided CGD.
        attack: number of steps of the generator against each discriminator.
    """
    game = f"mnist_icr[{size}]" if size else "mnist_icr"
    zero_sum = f"mnist_icr[{','.join(filter(None, ('loss=saturating', size)))}]"

    def phase(algorithm: str, steps: int, after: str = "", task: str = game) -> Grid:
        return Grid(
            tasks=(task,),
            algorithms=(algorithm,),
            metrics=_METRICS,
            seeds=3,
            steps=steps,
            after=after,
            keep="last",
        )

    phases = [
        phase(f"checkpoint = alternating_gda[first=y,{_RATE},k=1]", checkpoint),
        phase(f"D alone = alone[{_RATE}]", overtraining, "checkpoint"),
        phase(f"joint = gda[{_RATE}]", overtraining, "checkpoint"),
        # A control that the paper does not have: as many steps as one-sided CGD makes.
        phase(f"D alone, shorter = alone[{_RATE}]", foreseeing, "checkpoint"),
        phase(
            f"D alone by CGD = one_sided_cgd[{_RATE}]",
            foreseeing,
            "checkpoint",
            zero_sum,
        ),
    ]
    phases += [
        phase(f"G after {before} = alone[player=x,{_RATE}]", attack, before)
        for before in ("checkpoint", "D alone", "D alone, shorter", "D alone by CGD")
    ]
    return tuple(phases)


MNIST_ICR = Suite(
    name="mnist_icr",
    title="A discriminator left alone, and what a generator then does to it",
    # The authors' 9000 iterations, and 30 and 10 epochs of 469 iterations.
    grids=_grids("", 9000, 14070, 4690, 2000),
)

MNIST_ICR_SMALL = Suite(
    name="mnist_icr_small",
    title="A discriminator left alone: a quarter of the channels, half the batch",
    # The checkpoint is as late as there and the rest is shorter: an hour on a CPU.
    grids=_grids("batch=64,channels=8", 9000, 6000, 2000, 1000),
)
