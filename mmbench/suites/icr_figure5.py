"""ICR Figure 5: how fast a discriminator sees through generators of unlike quality.

One training on CIFAR10 is stopped early and late: runs with one seed are the same up to
where the shorter one ends. Then a new discriminator is trained against each generator,
which stands still; its loss falls from 2 ln 2 to 0, the later the better the generator
is. Hours on a GPU.

In the paper the new discriminator begins with the features of a classifier; here it
begins as every discriminator does. The paper does not say which training it stopped.
"""

from mmbench.suites.base import Grid, Suite
from mmbench.suites.icr_cifar10 import SMALL, SMALL_METRICS, game

_ADAM = "step_size=0.0001,direction=adam[beta1=0.5,beta2=0.999]"  # of icr_cifar10


def _grids(
    size: str,
    checkpoints: tuple[int, ...],
    discriminating: int,
    seeds: int,
    records: int,
    metrics: tuple[str, ...],
) -> tuple[Grid, ...]:
    """The training up to each checkpoint, and a new discriminator from each.

    Args:
        size: options of the task.
        checkpoints: steps of the generators.
        discriminating: steps of the new discriminators.
        seeds: of each.
        records: evenly spaced ones of each run.
        metrics: words of each.
    """

    def phase(words: str, steps: int, after: str = "") -> Grid:
        return Grid(
            tasks=(game("loss=nonsaturating", size),),
            algorithms=(words,),
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
    title="New discriminators against generators of unlike quality",
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
