"""The empirical figures of the papers whose methods and games are here, as data.

Each names the runs that it is drawn from. `mmbench.analysis.plot.paper` draws them.
"""

from dataclasses import dataclass

from mmbench.core.literature import SCHAEFER_2020
from mmbench.core.source import Source
from mmbench.suites.base import Grid, Suite

_PAPER = SCHAEFER_2020
_BLOG = Source(
    authors="Schäfer",
    year=2020,
    title="Implicit Competitive Regularization (blog)",
)
_MANGOUBI = Source(
    authors="Mangoubi, Sachdeva and Vishnoi",
    year=2020,
    title="Training GANs - From Theory to Practice (blog)",
    link="https://www.offconvex.org/2020/07/06/GAN-min-max/",
)
_LECTURE = Source(
    authors="Rosca",
    year=2022,
    title="GANs: a lesson on distributional divergences and optimisation in games "
    "(lecture)",
)


@dataclass(frozen=True, kw_only=True)
class PaperFigure:
    """A figure of a publication, and the runs that it is drawn from again.

    Args:
        shows: what it shows, in a line.
        source: the publication, with the place of the figure.
        theirs: what the authors' figure shows and says.
        remark: what of ours is unlike theirs by construction; empty for nothing.
        runs: runs of seconds, which are made where a store lacks them; None for none.
        suites: names of built-in suites that take hours, of which the first that a
            store has cells of is shown: that of the paper's scale, then smaller ones.
        published: folder of the repository with results of these suites.
        is_moving: whether it is an animation, with a still.
    """

    shows: str
    source: Source
    theirs: str
    remark: str = ""
    runs: Suite | None = None
    suites: tuple[str, ...] = ()
    published: str = ""
    is_moving: bool = False


def _suite(name: str, *grids: Grid) -> Suite:
    return Suite(name=name, title="Runs of a figure", grids=grids)


# ---- the game of the ICR paper and its blog ----

PAIRS = ("(0.09,0.01)", "(0.03,0.03)", "(0.01,0.09)")
ALONE, TOGETHER = "y alone", "x and y"

_STABLE = _suite(
    "icr_stable",
    Grid(
        tasks=("quadratic",),
        algorithms=(
            f"{ALONE} = alone[player=y,step_size=0.01]",
            f"{TOGETHER} = gda[step_size={PAIRS[0]}]",
        ),
        steps=500,
    ),
)
_RATES = _suite(
    "icr_rates",
    Grid(
        tasks=("quadratic",),
        algorithms=tuple(
            f"{label} {pair} = {method}[step_size={pair}]"
            for label, method in (
                ("simultaneous", "gda"),
                ("alternating", "alternating_gda"),
            )
            for pair in PAIRS
        ),
        steps=500,
    ),
)

# ---- ICR as projection ----

STAY, STAY_TOTAL = "theta_1_longest_within_0.05", "theta_1_steps_within_0.05"
STAY_STEPS = 200  # in a row, from which a stay counts as the projection state
_PROJECTION = _suite(
    "icr_projection_figures",
    *(
        Grid(
            tasks=(f"icr_projection[scaling={scaling}]",),
            algorithms=tuple(
                f"{method.upper()} = {method}[step_size=0.2]" for method in methods
            ),
            metrics=("generated_point", "stay[of=theta_1,at=2,within=0.05]"),
            seeds=20,
            first_seed=2000,  # seeds that no other suite has
            steps=6000,
            records=6000,
            dtype="float64",
        )
        for scaling, methods in (
            ("(1,0.01)", ("gda", "cgd")),
            ("(1,1)", ("gda",)),
            ("(100,1)", ("gda",)),
        )
    ),
)
_PROJECTION_REMARK = (
    "Neither step sizes, nor start, nor length, nor a rule is published: ours have "
    "step size 0.2, normal weights of standard deviation 0.5 and 6000 steps, and the "
    f"state counts from {STAY_STEPS} steps in a row with θ₁ within 0.05 of 2."
)
_MEDIAN_RUN = " The run drawn is that of the median longest stay."
# ---- games of the blog and the lecture ----

BOX, SEARCH = "bilinear[box=5]", "accept-reject search"
_BOX = _suite(
    "bilinear_box",
    Grid(
        tasks=(BOX,),
        algorithms=("GDA = gda[step_size=0.1]", f"{SEARCH} = accept_reject_search"),
        steps=400,
    ),
)
DIRAC = {  # names of the losses in words to options of the game
    "saturating": "loss=saturating",
    "non-saturating": "loss=nonsaturating",
    "Wasserstein, clipped": "loss=wasserstein,clip=1",
}
R1 = (0.3, 1)
_DIRAC_REMARK = (
    "Step size 0.2 and start (1, 1), as in the code of Mescheder et al. 2018."
)
SIMULTANEOUS, ALTERNATING, RK4 = "simultaneous", "alternating", "RK4"


def dirac(options: str) -> str:
    """Return the spec of a DiracGAN from the authors' start."""
    return f"dirac_gan[{options},start_at=(1,1)]"


def _dirac(name: str, *options: str) -> Suite:
    return _suite(
        name,
        Grid(
            tasks=tuple(map(dirac, options)),
            algorithms=(
                f"{SIMULTANEOUS} = gda[step_size=0.2]",
                f"{ALTERNATING} = alternating_gda[step_size=0.2]",
            ),
            seeds=1,
            steps=500,
        ),
    )


CIRCLE = "bilinear[start_at=(1,1)]"
EULER_SIZES = (0.05, 0.1, 0.2)
RK4_SIZES = (0.2, 0.4, 0.8)  # as many evaluations of the field as those of Euler
TIME = 20  # of the flow that all steps follow


def _integrated(
    name: str, label: str, method: str, sizes: tuple[float, ...], *more: Grid
) -> Suite:
    """Return a method that follows the flow of xy, with each step size."""
    return _suite(
        name,
        *(
            Grid(
                tasks=(CIRCLE,),
                algorithms=(f"{label} h={size:g} = {method}[step_size={size:g}]",),
                seeds=1,
                steps=round(TIME / size),
            )
            for size in sizes
        ),
        *more,
    )


PAPER_FIGURES: dict[str, PaperFigure] = {
    "icr/3": PaperFigure(
        shows="y alone diverges on x² + 10xy + y², both together converge",
        source=_PAPER.at("Figure 3"),
        theirs="When only y is optimised it diverges rapidly for any fixed x; with "
        "step sizes (0.09, 0.01) simultaneous steps converge to (0, 0).",
        runs=_STABLE,
    ),
    "icr/4": PaperFigure(
        shows="a discriminator of MNIST from a checkpoint on, alone and jointly",
        source=_PAPER.at("Figure 4"),
        theirs="Alone, the discriminator reaches near-zero loss, and its output on "
        "1000 reference images moves away fast; jointly the loss stays and the output "
        "moves slowly. (The caption says the reverse of the second, a misprint.)",
        suites=("mnist_icr", "mnist_icr_small"),
        published="reports/mnist_icr/store",
    ),
    "icr/5": PaperFigure(
        shows="new discriminators against generators of unlike quality, CIFAR10",
        source=_PAPER.at("Figure 5"),
        theirs="All discriminators become near-perfect; the better the generator's "
        "inception score, the more slowly.",
        remark="The new discriminator starts from random weights, not from a "
        "classifier.",
        suites=("icr_figure5",),
    ),
    "icr/6": PaperFigure(
        shows="three pairs of step sizes, simultaneous and alternating",
        source=_PAPER.at("Figure 6"),
        theirs="Simultaneous steps diverge slowly at (0.03, 0.03) and rapidly at "
        "(0.01, 0.09). A footnote says that simultaneous training includes alternating"
        " steps.",
        runs=_RATES,
    ),
    "icr/7": PaperFigure(
        shows="approximate projection: one coordinate is held where D sees it better",
        source=_PAPER.at("Figure 7"),
        theirs="With η = I the generator is accurate in one coordinate after the "
        "other, in cycles; with η = diag(1, 0.01) it holds the first coordinate for "
        "long.",
        remark=_PROJECTION_REMARK + _MEDIAN_RUN,
        runs=_PROJECTION,
    ),
    "icr/8": PaperFigure(
        shows="the generator strikes back, and how long CGD holds the coordinate",
        source=_PAPER.at("Figure 8 and Appendix A.2"),
        theirs="Against the over-trained discriminator a few steps of the generator "
        "raise the loss rapidly; one over-trained by CGD is even more robust than that"
        " of the checkpoint. CGD stays longer in the projection state: 17 of 20 runs "
        "have it, 13 of 20 of simultaneous steps.",
        remark=_PROJECTION_REMARK,
        runs=_PROJECTION,
        suites=("mnist_icr", "mnist_icr_small"),
        published="reports/mnist_icr/store",
    ),
    "icr/9": PaperFigure(
        shows="CIFAR10 under every regulariser, Adam and ACGD",
        source=_PAPER.at("Figure 9"),
        theirs="WGAN without regularisation trained by ACGD has the highest inception "
        "score; the Fréchet distance agrees; ACGD is slower per gradient than Adam "
        "with spectral normalisation.",
        suites=("icr_cifar10",),
    ),
    "icr/stability": PaperFigure(
        shows="stable step sizes of every method on x² + 10xy + y², exactly and by "
        "runs",
        source=_PAPER.at("Section 4, the map that the paper lacks"),
        theirs="The paper shows three pairs of step sizes of simultaneous steps, and "
        "says that small steps of y and a large mixed derivative make (0, 0) stable.",
    ),
    "icr_blog/stable": PaperFigure(
        shows="y alone runs off, both together spiral in",
        source=_BLOG.at("combined_stable.gif"),
        theirs="With x fixed, y diverges to infinity; trained together, the system "
        "converges to (0, 0).",
        runs=_STABLE,
        is_moving=True,
    ),
    "icr_blog/rates": PaperFigure(
        shows="stable, metastable and unstable step sizes",
        source=_BLOG.at("beta_1.gif, beta_0.gif and beta_-1.gif"),
        theirs="The system converges, slowly cycles away, or rapidly diverges.",
        remark="The blog does not print the step sizes; these are those of the paper.",
        runs=_RATES,
        is_moving=True,
    ),
    "icr_blog/projection": PaperFigure(
        shows="both components of the generator over time",
        source=_BLOG.at("combined_project.gif and SimGD_CGD_blog.png"),
        theirs="With η = diag(100, 1) the generator meets the first component exactly "
        "for a while, and then snaps out of it; CGD prolongs this state.",
        remark=_PROJECTION_REMARK + _MEDIAN_RUN,
        runs=_PROJECTION,
        is_moving=True,
    ),
    "mangoubi/1": PaperFigure(
        shows="GDA on xy in the square [-5, 5]²",
        source=_MANGOUBI.at("Figure 1"),
        theirs="GDA is non-convergent from almost every initial point.",
        remark="The blog states no step size; ours is 0.1.",
        runs=_BOX,
        is_moving=True,
    ),
    "mangoubi/2": PaperFigure(
        shows="GDA changes between modes, and between digits",
        source=_MANGOUBI.at("Figure 2"),
        theirs="The generator cycles between two or more of four Gaussian modes; on "
        "0-1 MNIST it learns zeros, forgets them for long and makes only ones.",
        suites=("gan",),
        published="reports/gan/store",
    ),
    "mangoubi/3": PaperFigure(
        shows="GDA and the accept-reject search on xy in the square",
        source=_MANGOUBI.at("Figure 3"),
        theirs="GDA does not converge; their search reaches the line x = 0 of global "
        "min-max points and stops there.",
        remark="A proposal must lower f by 0.03, as in the authors' code, so that the "
        "search stops beside the line and not on it. One step of the search is a "
        "proposal with all steps of ascent that answer it.",
        runs=_BOX,
        is_moving=True,
    ),
    "mangoubi/4": PaperFigure(
        shows="four Gaussian modes under GDA and accept-reject",
        source=_MANGOUBI.at("Figure 4"),
        theirs="By iteration 1500 GDA had one mode in 100 % of the runs, theirs four "
        "modes in 68 % and three in 26 %, counted by eye.",
        suites=("gan",),
        published="reports/gan/store",
    ),
    "mangoubi/5": PaperFigure(
        shows="zeros and ones of MNIST under GDA and accept-reject",
        source=_MANGOUBI.at("Figure 5"),
        theirs="At iteration 1000 theirs made both digits in 86 % of the runs, GDA in "
        "23 %, judged by eye.",
        suites=("gan",),
        published="reports/gan/store",
    ),
    "lecture/dirac": PaperFigure(
        shows="DiracGAN: gradient steps rotate and do not converge",
        source=_LECTURE.at("Rotational forces in DiracGAN"),
        theirs="Many GANs do not converge on this problem, whose solution is (0, 0); "
        "the players rotate.",
        remark=_DIRAC_REMARK,
        runs=_dirac("dirac_figure", *DIRAC.values()),
    ),
    "lecture/regularised": PaperFigure(
        shows="DiracGAN with a gradient penalty at the data (R1)",
        source=_LECTURE.at("Rotational forces in DiracGAN: explicit regularisation"),
        theirs="A penalty on the discriminator's gradient makes the players converge.",
        remark=_DIRAC_REMARK,
        runs=_dirac("dirac_r1_figure", *(f"r1={weight:g}" for weight in R1)),
    ),
    "lecture/euler": PaperFigure(
        shows="the discretisation error of gradient descent: a spiral",
        source=_LECTURE.at("Discretization error for gradient descent"),
        theirs="The flow of the game goes round, and gradient steps leave it outwards.",
        remark="The game is xy, whose flow is a circle.",
        runs=_integrated("euler_figure", "Euler", "gda", EULER_SIZES),
    ),
    "lecture/rk4": PaperFigure(
        shows="steps of RK4 stay on the orbit, and need regularisation to leave it",
        source=_LECTURE.at("Discretization error for Runge Kutta 4 updates"),
        theirs="RK4 follows the flow where gradient steps spiral out; it might still "
        "need explicit regularisation.",
        remark="The game is xy, whose flow is a circle, and in the second row "
        "DiracGAN. The step sizes are four times those of lecture/euler, at equal "
        "evaluations.",
        runs=_integrated(
            "rk4_figure",
            RK4,
            "runge_kutta",
            RK4_SIZES,
            Grid(
                tasks=(dirac("r1=0"), dirac(f"r1={R1[0]:g}")),
                algorithms=(f"{RK4} = runge_kutta[step_size=0.2]",),
                seeds=1,
                steps=500,
            ),
        ),
    ),
}
