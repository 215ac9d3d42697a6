"""GAN: the four Gaussians and 0-1 MNIST at the authors' settings; hours on a CPU."""

from mmbench.suites.base import Grid, Suite

# The step sizes and form of Adam in the authors' notebooks.
_GAUSSIAN = "step_size=(0.001,0.0001),direction=adam[beta1=0.5,epsilon_at=raw],k=6"
_MNIST = "step_size=0.0002,direction=adam[beta1=0.5,epsilon=1e-7,epsilon_at=raw],k=1"

GAN = Suite(
    name="gan",
    title="Four Gaussians and 0-1 MNIST at the authors' settings",
    grids=(
        Grid(
            tasks=("four_gaussians",),
            algorithms=(
                f"GDA(1) = gda[{_GAUSSIAN.removesuffix(',k=6')}]",
                f"GDA(6) = alternating_gda[{_GAUSSIAN},first=both]",
                f"accept-reject text = accept_reject[{_GAUSSIAN}]",
                "accept-reject notebook = accept_reject"
                f"[{_GAUSSIAN},acceptance=every[r=4],rule=notebook]",
            ),
            seeds=16,
            steps=1500,
        ),
        Grid(
            tasks=("four_gaussians",),
            algorithms=(
                f"unrolled(6) = unrolled[{_GAUSSIAN}]",
                # There is no published setting: Adam's step sizes, and equal ones.
                "ACGD = acgd[step_size=(0.001,0.0001)]",
                "ACGD equal rates = acgd[step_size=0.001]",
            ),
            seeds=8,
            steps=1500,
        ),
        Grid(
            tasks=("mnist01",),
            algorithms=(
                f"GDA(1) = alternating_gda[{_MNIST}]",
                "accept-reject text = accept_reject"
                f"[{_MNIST},acceptance=constant[p=0.2],reference=reestimate]",
            ),
            seeds=10,
            steps=1000,
            records=20,
        ),
    ),
)
