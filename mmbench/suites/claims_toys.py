"""Claims about games of two variables, which are decided in seconds.

Runs differ by their starts alone, but for the last two grids, which are random.
"""

from mmbench.suites._claims import FIRST_LOOK, FIRST_SEED
from mmbench.suites.base import Grid, Suite

STARTS = 64

_BOX = "bilinear[box=5]"
_SIMULTANEOUS, _ALTERNATING = "SimGD 0.2 = gda", "alternating 0.2 = alternating_gda"
_DIRAC = tuple(f"{label}[step_size=0.2]" for label in (_SIMULTANEOUS, _ALTERNATING))
_LONG_ANSWER = "alternating 0.2, k=5 = alternating_gda[step_size=0.2,k=5]"
# The authors' start; the default draws one for each run.
_FROM_ONE = "start_at=(1,1)"


def _grid(
    tasks: tuple[str, ...], *algorithms: str, steps: int, seeds: int = STARTS
) -> Grid:
    """Return methods on games, measured 200 times, or at each of fewer steps."""
    return Grid(
        tasks=tasks,
        algorithms=algorithms,
        metrics=("distance", "worst", "rate"),
        seeds=seeds,
        first_seed=FIRST_SEED,
        steps=steps,
        records=min(steps, 200),
        dtype="float64",
    )


def _at(pair: str, **methods: str) -> tuple[str, ...]:
    """Return methods at a pair of step sizes, by label without the pair."""
    return tuple(
        f"{label} {pair} = {spec.format(f'step_size={pair}')}"
        for label, spec in methods.items()
    )


_GRADIENT = {"SimGD": "gda[{}]", "alternating": "alternating_gda[{}]"}

CLAIMS_TOYS = Suite(
    name="claims_toys",
    title="What holds on games of two variables",
    grids=(
        _grid(
            ("quadratic",),
            *_at("(0.09,0.01)", **_GRADIENT),
            *_at(
                "(0.03,0.03)",
                **_GRADIENT,
                CGD="cgd[{}]",
                LOLA="lola[{}]",
                SGA="sga[{}]",
            ),
            "SGA 0.1 (0.03,0.03) = sga[step_size=(0.03,0.03),weight=0.1]",
            *(
                f"SGA {weight} unaligned (0.03,0.03) = "
                f"sga[step_size=(0.03,0.03),weight={weight},is_aligned=false]"
                for weight in ("1", "0.1")
            ),
            *_at("(0.01,0.09)", **_GRADIENT),
            "y alone = alone[step_size=0.01]",
            steps=1000,
        ),
        _grid(("bilinear",), "SimGD 0.1 = gda[step_size=0.1]", steps=1000),
        _grid(
            # The rules as printed, without step sizes.
            ("bilinear",),
            "SimGD 1 = gda[step_size=1]",
            "OMD 1 = omd[step_size=1]",
            steps=30,
        ),
        _grid(
            (_BOX,),
            "SimGD 0.1 = gda[step_size=0.1]",
            "SimGD 1 = gda[step_size=1]",
            "alternating 0.1 = alternating_gda[step_size=0.1]",
            steps=2000,
        ),
        # Of the authors' notebook are step size, start, number of steps, the weights
        # of the penalty and of consensus, and the clip.
        _grid(
            (
                "dirac_gan",
                "dirac_gan[loss=nonsaturating]",
                "dirac_gan[r1=0.3]",
                "dirac_gan[r1=1]",
                "dirac_gan[loss=nonsaturating,r1=0.3]",
                "dirac_gan[loss=nonsaturating,r1=1]",
            ),
            *_DIRAC,
            steps=500,
        ),
        _grid(
            (
                f"dirac_gan[{_FROM_ONE}]",
                f"dirac_gan[loss=nonsaturating,{_FROM_ONE}]",
                f"dirac_gan[loss=wasserstein,clip=1,{_FROM_ONE}]",
            ),
            *_DIRAC,
            _LONG_ANSWER,
            steps=500,
            seeds=1,
        ),
        _grid(
            ("dirac_gan[loss=wasserstein,clip=1]",),
            _DIRAC[0],
            _LONG_ANSWER,
            steps=500,
        ),
        _grid(
            ("dirac_gan",),
            "consensus 0.2 = consensus[step_size=0.2,gamma=1]",
            "gradient-regularised 0.2 = gradient_regularised[step_size=0.2]",
            "RK4 0.2 = runge_kutta[step_size=0.2]",
            steps=500,
        ),
        _grid(
            ("bilinear",),
            "Euler 0.2 = gda[step_size=0.2]",
            "RK4 0.2 = runge_kutta[step_size=0.2]",
            steps=500,
        ),
        # Of the authors' notebook on sixteen Gaussians are the step and the weight.
        _grid(
            ("dirac_gan",),
            "ODE-GAN = runge_kutta[step_size=0.1,penalty=0.07]",
            steps=10_000,
        ),
        # Proposals are random.
        _grid(
            (_BOX,),
            "search = accept_reject_search",
            steps=400,
            seeds=FIRST_LOOK,
        ),
        Grid(
            # A small GAN at the step sizes of mnist01.
            tasks=("digits01",),
            algorithms=(
                "GDA(1) = alternating_gda"
                "[step_size=0.0002,direction=adam[beta1=0.5],k=1]",
            ),
            metrics=("losses", "gain_alone[steps=100,step_size=0.1]"),
            seeds=FIRST_LOOK,
            first_seed=FIRST_SEED,
            steps=1000,
            records=2,
        ),
    ),
)
