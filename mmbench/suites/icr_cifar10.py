"""CIFAR10 ICR: Adam and ACGD under every regulariser of the paper; days on a GPU.

The eleven settings of Table 3, and two that it leaves out: the Wasserstein loss without
a regulariser under Adam, and spectral normalisation under ACGD. The paper's iterations
are 469 000.

    OGAN   cross-entropy; the generator minimises the non-saturating loss under Adam,
           and the zero-sum one under ACGD
    WGAN   E D(real) − E D(fake)
    GP     gradient penalty of weight 10; under Adam the generator leaves it out
    SN     spectral normalisation
    L2     λ Σ y², with the λ in front of the name

Adam moves the discriminator first. With the gradient penalty it moves it five times,
has a smaller β₂ and starts from convolutions of smaller deviation, as in the authors'
script. The table has five critic iterations for ACGD there too; ACGD moves both players
at once, so here it makes one.
"""

from mmbench.suites.base import Grid, Suite

_RATE = "step_size=0.0001"  # in all settings
_ADAM = f"alternating_gda[first=y,{_RATE},direction=adam[beta1=0.5,beta2=0.999],k=1]"
_ADAM_GP = f"alternating_gda[first=y,{_RATE},direction=adam[beta1=0.5,beta2=0.99],k=5]"
_ACGD = f"acgd[{_RATE}]"
_GP = "penalty=10,between=normal"

# Label, options of the task and algorithm of each setting, in the order of the table.
_SETTINGS = (
    ("OGAN-0.0001L2 + Adam", "loss=nonsaturating,l2=0.0001", _ADAM),
    ("OGAN-0.0001L2 + ACGD", "loss=saturating,l2=0.0001", _ACGD),
    ("OGAN-NOREG + Adam", "loss=nonsaturating", _ADAM),
    ("OGAN-NOREG + ACGD", "loss=saturating", _ACGD),
    ("WGAN-GP + Adam", f"{_GP},shared=false,deviation=0.005", _ADAM_GP),
    ("WGAN-SN + Adam", "spectral=true", _ADAM),
    ("WGAN-NOREG + ACGD", "", _ACGD),
    ("WGAN-GP + ACGD", _GP, _ACGD),
    ("WGAN-0.01L2 + Adam", "l2=0.01", _ADAM),
    ("WGAN-0.001L2 + Adam", "l2=0.001", _ADAM),
    ("WGAN-0.001L2 + ACGD", "l2=0.001", _ACGD),
    # These controls are not in the table.
    ("WGAN-NOREG + Adam", "", _ADAM),
    ("WGAN-SN + ACGD", "spectral=true", _ACGD),
)


def game(*options: str) -> str:
    """Return the spec of the task with these options; empty ones are left out."""
    chosen = ",".join(filter(None, options))
    return f"cifar10[{chosen}]" if chosen else "cifar10"


def _grids(
    size: str, steps: int, seeds: int, records: int, metrics: tuple[str, ...] = ()
) -> tuple[Grid, ...]:
    """Return the grids of all settings, for networks of one size.

    Args:
        size: options of the task that set the size of the networks.
        steps: number of steps of each run.
        seeds: number of runs of each setting.
        records: number of evenly spaced records of each run.
        metrics: specs of the metrics; none means those of the task.
    """
    return tuple(
        Grid(
            tasks=(game(options, size),),
            algorithms=(f"{label} = {algorithm}",),
            metrics=metrics,
            seeds=seeds,
            steps=steps,
            records=records,
            keep="last",  # all records would take a gigabyte for each setting
        )
        for label, options, algorithm in _SETTINGS
    )


ICR_CIFAR10 = Suite(
    name="icr_cifar10",
    title="Adam and ACGD on CIFAR10, with and without regularisers",
    grids=_grids("", steps=100_000, seeds=3, records=50),
)

# These few steps learn nothing; they check that every setting runs.
SMALL = "channels=8,batch=8,images=200"
SMALL_METRICS = (
    "frechet_distance[count=200]",
    "classifier_score[count=200]",
    "losses[minibatches=1]",
)

ICR_CIFAR10_SMALL = Suite(
    name="icr_cifar10_small",
    title="Every setting on CIFAR10 for a few steps, with small networks",
    grids=_grids(SMALL, steps=20, seeds=1, records=1, metrics=SMALL_METRICS),
)
