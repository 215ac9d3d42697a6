"""Smoke: nine algorithms on small games, in seconds; for tests and first tries."""

from mmbench.suites.base import Grid, Suite

SMOKE = Suite(
    name="smoke",
    title="Nine algorithms on two toy games and one tiny GAN, in seconds",
    grids=(
        Grid(
            tasks=("bilinear", "dirac_gan"),
            algorithms=(
                "GDA = gda",
                "alternating GDA = alternating_gda",
                "OMD = omd",
                "extragradient = extragradient",
                "past extragradient = past_extragradient",
                "unrolled = unrolled",
                "CGD = cgd",
                "ACGD = acgd[step_size=0.05]",
                "accept-reject = accept_reject",
            ),
            seeds=4,
            steps=100,
            records=10,
        ),
        Grid(
            tasks=("four_gaussians[hidden=16,noise=4,batch=32]",),
            algorithms=(
                "GDA = gda[direction=adam[beta1=0.5],step_size=(0.001,0.001)]",
                "ACGD = acgd[step_size=0.001]",
            ),
            seeds=4,
            steps=20,
            records=4,
        ),
    ),
)
