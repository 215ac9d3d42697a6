"""ICR Figure 5: new discriminators against generators of different quality.

A training on CIFAR10 is stopped early and late: runs with the same seed are equal up to
the end of the shorter one. Then a new discriminator is trained against each generator,
which stays fixed; its loss falls from 2 ln 2 to 0, and falls later for a better
generator. It takes hours on a GPU.

In the paper the new discriminator starts from the features of a classifier; here it
starts from random weights. The paper does not state which training was stopped.
"""

from mmbench.suites.base import Grid, Suite
from mmbench.suites.icr_cifar10 import SMALL, SMALL_METRICS, game

_ADAM = "step_size=0.0001,direction=adam[beta1=0.5,beta2=0.999]"  # as in icr_cifar10


def _grids(
    size: str,
    checkpoints: tuple[int, ...],
    discriminating: int,
    seeds: int,
    records: int,
    metrics: tuple[str, ...],
) -> tuple[Grid, ...]:
    """Return the training up to each checkpoint, and a new discriminator from each.

    Args:
        size: options of the task that set the size of the networks.
        checkpoints: numbers of steps after which the training is stopped.
        discriminating: number of steps of the new discriminators.
        seeds: number of runs of each.
        records: number of evenly spaced records of each run.
        metrics: specs of the metrics.
    """

    def phase(algorithm: str, steps: int, after: str = "") -> Grid:
        return Grid(
            tasks=(game("loss=nonsaturating", size),),
            algorithms=(algorithm,),
            metrics=metrics,
            seeds=seeds,
            steps=steps,
            records=records,
            after=after,
            inherit="x" if after else "both",
            keep="last",
        )

    trained = {f"G {steps}": steps for steps in checkpoints}
    return (
        *(
            phase(f"{label} = alternating_gda[first=y,{_ADAM},k=1]", steps)
            for label, steps in trained.items()
        ),
        *(
            phase(f"D against {label} = alone[player=y,{_ADAM}]", discriminating, label)
            for label in trained
        ),
    )


ICR_FIGURE5 = Suite(
    name="icr_figure5",
    title="New discriminators against generators of different quality",
    grids=_grids(
        "",
        checkpoints=(1000, 5000, 25_000, 100_000),
        discriminating=2000,
        seeds=3,
        records=20,
        metrics=("losses", "frechet_distance"),
    ),
)

ICR_FIGURE5_SMALL = Suite(
    name="icr_figure5_small",
    title="New discriminators against generators of a few steps, small networks",
    grids=_grids(
        SMALL,
        checkpoints=(2, 8),
        discriminating=8,
        seeds=2,
        records=2,
        metrics=SMALL_METRICS,
    ),
)
