"""ICR projection: how long gradient and competitive steps hold one coordinate.

The paper saw the projection state in 13 of 20 runs of simultaneous gradient descent and
in 17 of 20 of competitive gradient descent from the same points. It states no step
sizes, no distribution of the start and no rule, so several are measured. All steps are
recorded, which makes a store of 250 MB in an hour of one core.
"""

from mmbench.suites.base import Grid, Suite


def _grid(
    game: str, step_sizes: tuple[str, ...], methods: tuple[str, ...] = ("gda", "cgd")
) -> Grid:
    """Return methods on one game, paired by their starts.

    Args:
        game: options of the task.
        step_sizes: step sizes of both players.
        methods: names of the methods.
    """
    return Grid(
        tasks=(f"icr_projection[{game}]",),
        algorithms=tuple(
            f"{method.upper()} {step_size} = {method}[step_size={step_size}]"
            for step_size in step_sizes
            for method in methods
        ),
        metrics=(
            "generated_point",
            "stay[of=theta_1,at=2,within=0.02]",
            "stay[of=theta_1,at=2,within=0.05]",
            "stay[of=theta_1,at=2,within=0.1]",
        ),
        seeds=128,
        steps=6000,
        records=6000,
        dtype="float64",
    )


ICR_PROJECTION = Suite(
    name="icr_projection",
    title="How long a generator holds the coordinate that the discriminator sees best",
    grids=(
        _grid("deviation=0.5", ("0.2", "0.1", "0.3", "0.02")),
        _grid("deviation=1", ("0.2", "0.3")),
        # Controls: equal factors, and those of the authors' blog.
        _grid("scaling=(1,1)", ("0.2",), ("gda",)),
        _grid("scaling=(100,1)", ("0.2",), ("gda",)),
    ),
)
