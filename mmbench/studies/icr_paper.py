"""Claims of Schäfer, Zheng and Anandkumar's paper on ICR, without the projection."""

from mmbench.studies._toys import (
    COMPUTED,
    RATES,
    SECOND_ORDER,
    ends_within,
    grows,
    on_toys,
)
from mmbench.studies.base import Bound, Claim, Rule

_CIFAR10 = "At scale: mmbench run icr_cifar10, days on a GPU."
_MNIST = (
    "At scale: mmbench run mnist_icr, hours on a GPU. reports/mnist_icr has three runs "
    "with a quarter of the channels."
)


def _both(pair: str) -> tuple:
    """Return simultaneous and alternating steps at a pair of step sizes."""
    return (
        on_toys("simultaneous steps", "text", "quadratic", f"SimGD {pair}"),
        on_toys(
            "alternating steps, which a footnote includes",
            "text",
            "quadratic",
            f"alternating {pair}",
        ),
    )


ICR_PAPER = (
    # ---- Section 2 ----
    Claim(
        numbers=(18,),
        name="icr-disjoint-supports",
        paper="icr",
        place="Section 2",
        statement="Between distributions with disjoint supports every f-divergence has "
        "its greatest value, the Jensen-Shannon divergence log 2, however near the "
        "supports are.",
        kind="formula",
        computation="disjoint_supports",
        negative=COMPUTED,
    ),
    Claim(
        numbers=(47,),
        name="icr-divergences-alike",
        paper="icr",
        place="Sections 1 and 2, after Lucic et al.",
        statement="With equal budgets for tuning, GANs of different divergences do not "
        "differ systematically.",
        kind="none",
        reason="not run at scale",
        note="The losses are parameters of every GAN, as in "
        "cifar10[loss=fgan[divergence=kl]]; mmbench tune tunes them at equal budgets.",
    ),
    # ---- Section 3 ----
    Claim(
        numbers=(3, 19),
        name="icr-quadratic-converges",
        paper="icr",
        place="Section 3, Figure 3; blog, ICR",
        statement="On x² + 10xy + y², simultaneous steps of 0.09 and 0.01 converge to "
        "(0, 0), which is worst for y.",
        kind="always",
        published="shown",
        variants=_both("(0.09,0.01)"),
        rules=(ends_within(1e-6),),
        negative=RATES,
    ),
    Claim(
        numbers=(4, 19),
        name="icr-quadratic-y-alone",
        paper="icr",
        place="Section 3, Figure 3; blog, ICR",
        statement="There y alone, with x fixed, diverges from almost every start.",
        kind="always",
        published="shown",
        variants=(on_toys("steps of 0.01", "text", "quadratic", "y alone"),),
        rules=(
            Rule(
                name="the end is 100 away or more, and the distance grows",
                bounds=(
                    Bound(column="distance", at_least=100),
                    Bound(column="distance_rate", at_least=1.001),
                ),
            ),
        ),
        negative=RATES,
    ),
    Claim(
        numbers=(8, 20),
        name="icr-mnist-loss-alone",
        paper="icr",
        place="Section 3, Figure 4, first image; blog, ICR",
        statement="From a checkpoint on MNIST, a discriminator that is trained alone "
        "reaches almost no loss; trained jointly, the loss stays.",
        kind="none",
        reason="not run at scale",
        note=_MNIST,
    ),
    Claim(
        numbers=(8, 21),
        name="icr-mnist-drift-alone",
        paper="icr",
        place="Section 3, Figure 4, second image; blog, ICR",
        statement="Trained alone, the discriminator moves away from the checkpoint "
        "faster than jointly, by its weights and by its outputs.",
        kind="none",
        reason="not run at scale",
        flags=("source-ambiguous",),
        note=f"The caption says slower, the text faster. {_MNIST}",
    ),
    Claim(
        numbers=(22,),
        name="icr-mnist-somewhat-stable",
        paper="icr",
        place="Section 3",
        statement="Trained jointly, the losses and the images of the checkpoint are "
        "somewhat stable, and diverge after long.",
        kind="none",
        reason="not run at scale",
        note=f"How long is not stated. {_MNIST}",
    ),
    # ---- Section 4 ----
    Claim(
        numbers=(23,),
        name="icr-learning-speed",
        paper="icr",
        place="Section 4, Figure 5",
        statement="The better the images of a generator, the more slowly a new "
        "discriminator learns to tell them apart.",
        kind="none",
        reason="not run at scale",
        note="At scale: mmbench run icr_figure5, hours on a GPU; its discriminators "
        "start from random weights, the paper's from a classifier.",
    ),
    Claim(
        numbers=(6, 24),
        name="icr-quadratic-slow-divergence",
        paper="icr",
        place="Section 4, Figure 6; blog, slowly learning discriminators",
        statement="With steps of 0.03 and 0.03 the players slowly cycle away from "
        "(0, 0).",
        kind="always",
        published="shown",
        variants=_both("(0.03,0.03)"),
        rules=(grows(1.001, 1.1),),
        negative=RATES,
        note="The published factor of simultaneous steps would be 1.0423.",
    ),
    Claim(
        numbers=(6, 24),
        name="icr-quadratic-fast-divergence",
        paper="icr",
        place="Section 4, Figure 6; blog, slowly learning discriminators",
        statement="With steps of 0.01 and 0.09 the players diverge more rapidly than "
        "with steps of 0.03 and 0.03.",
        kind="always",
        published="shown",
        variants=_both("(0.01,0.09)"),
        rules=(grows(1.05),),
        negative=RATES,
        note="With steps of 0.03 the factor is 1.0423.",
    ),
    Claim(
        numbers=(25,),
        name="icr-criterion",
        paper="icr",
        place="Section 4",
        statement="Where ηₓ f_xx > ηᵧ f_yy and f_xy² > f_xx f_yy, the eigenvalues of M "
        "have positive real parts, and simultaneous steps are stable once both step "
        "sizes are made small enough by one factor.",
        kind="formula",
        computation="icr_criterion",
        negative=COMPUTED,
    ),
    Claim(
        numbers=(26,),
        name="icr-stability-of-steps",
        paper="icr",
        place="Section 4",
        statement="A stationary point of a zero-sum game attracts simultaneous steps "
        "where Id − M has a spectral radius below one, and repels them above.",
        kind="formula",
        computation="stability_of_steps",
        negative=COMPUTED,
    ),
    Claim(
        numbers=(26,),
        name="icr-stability-as-printed",
        paper="icr",
        place="Section 4",
        statement="A fixed point of z + F(z) is stable where the Jacobian of F has a "
        "spectral radius below one.",
        kind="formula",
        computation="stability_as_printed",
        negative=COMPUTED,
        note="A misprint: it is the Jacobian of z + F(z), as the next sentence has it.",
        flags=("misprint",),
    ),
    Claim(
        numbers=(27,),
        name="icr-weakens-with-curvature",
        paper="icr",
        place="Section 5",
        statement="On αx² + 10xy + βy², ICR vanishes as α = β grows: where they are "
        "large, no pair of step sizes leads simultaneous steps to (0, 0).",
        kind="formula",
        computation="icr_weakens_with_curvature",
        negative=COMPUTED,
        flags=("source-ambiguous",),
        note="The paper does not define α and β, nor the strength of ICR, of which it "
        "says that it decreases rapidly. First registered as ever fewer pairs of step "
        "sizes, which is not so between 1 and 2.",
    ),
    # ---- Section 5 ----
    Claim(
        numbers=(9, 33),
        name="icr-mnist-counter-attack",
        paper="icr",
        place="Section 5, Figure 8; blog, A game perspective",
        statement="A generator that is trained against an overtrained discriminator "
        "raises its loss rapidly; against that of the checkpoint it does so slowly.",
        kind="none",
        reason="not run at scale",
        note=_MNIST,
    ),
    Claim(
        numbers=(11, 34),
        name="icr-mnist-cgd-robust",
        paper="icr",
        place="Section 5, Figure 8; blog, CGD for stronger ICR",
        statement="A discriminator that is overtrained by competitive steps resists a "
        "generator better than that of the checkpoint.",
        kind="none",
        reason="not run at scale",
        note=_MNIST,
    ),
    Claim(
        numbers=(35,),
        name="icr-cgd-converges",
        paper="icr",
        place="Section 5; blog, CGD for stronger ICR",
        statement="At some step sizes where simultaneous steps leave (0, 0), such as "
        "0.03 for both, competitive steps converge to it.",
        kind="always",
        variants=(on_toys("steps of 0.03", "text", "quadratic", "CGD (0.03,0.03)"),),
        rules=(ends_within(1e-6),),
        negative=RATES,
        note="With steps of 0.01 and 0.09 they diverge as well.",
    ),
    Claim(
        numbers=(35,),
        name="icr-cgd-region",
        paper="icr",
        place="Section 5; blog, CGD for stronger ICR",
        statement="Competitive steps converge to (0, 0) of the quadratic game at all "
        "step sizes at which simultaneous ones do, and at others.",
        kind="formula",
        computation="cgd_region",
        negative=COMPUTED,
    ),
    Claim(
        numbers=(36,),
        name="icr-lola-converges",
        paper="icr",
        place="Section 5",
        statement="LOLA strengthens ICR as well: it converges to (0, 0) of the "
        "quadratic game where simultaneous steps do not.",
        kind="always",
        published="expected",
        variants=(
            on_toys(
                "steps of 0.03, which each counts on",
                "text",
                "quadratic",
                "LOLA (0.03,0.03)",
            ),
        ),
        rules=(ends_within(1e-6),),
        negative=SECOND_ORDER,
    ),
    Claim(
        numbers=(36,),
        name="icr-sga-converges",
        paper="icr",
        place="Section 5",
        statement="Symplectic gradient adjustment strengthens ICR as well: it "
        "converges to (0, 0) of the quadratic game where simultaneous steps do not.",
        kind="always",
        published="expected",
        variants=(
            on_toys(
                "steps of 0.03, weight 1 of its authors",
                "code",
                "quadratic",
                "SGA (0.03,0.03)",
            ),
            on_toys(
                "steps of 0.03, weight 0.1",
                "ours",
                "quadratic",
                "SGA 0.1 (0.03,0.03)",
            ),
        ),
        rules=(ends_within(1e-6),),
        negative=SECOND_ORDER,
        flags=("source-ambiguous",),
        note="The paper states no weight. The step is aligned as by its authors, and "
        "so avoids points that are unstable for one player; without that, see "
        "icr-sga-unaligned.",
    ),
    Claim(
        numbers=(),
        name="icr-sga-unaligned",
        paper="icr",
        place="Section 5",
        statement="Without alignment, symplectic gradient adjustment converges to "
        "(0, 0) of the quadratic game where simultaneous steps do not.",
        kind="always",
        published="expected",
        variants=(
            on_toys(
                "steps of 0.03, weight 1 of its authors",
                "code",
                "quadratic",
                "SGA 1 unaligned (0.03,0.03)",
            ),
            on_toys(
                "steps of 0.03, weight 0.1",
                "ours",
                "quadratic",
                "SGA 0.1 unaligned (0.03,0.03)",
            ),
        ),
        rules=(ends_within(1e-6),),
        negative=SECOND_ORDER,
        flags=("source-ambiguous",),
        note="Registered after the runs with alignment.",
    ),
    Claim(
        numbers=(37,),
        name="icr-cgd-is-nash",
        paper="icr",
        place="Section 5",
        statement="A competitive step is the Nash equilibrium of the local game, which "
        "is bilinear with a quadratic penalty on each move.",
        kind="formula",
        computation="cgd_is_nash",
        negative=COMPUTED,
    ),
    Claim(
        numbers=(38,),
        name="icr-acgd-is-cgd",
        paper="icr",
        place="Appendix A.5",
        statement="Where its step sizes are multiples of the identity, a step of ACGD "
        "is one of CGD.",
        kind="formula",
        computation="acgd_is_cgd",
        negative=COMPUTED,
    ),
    # ---- Section 6 ----
    Claim(
        numbers=(16, 17, 39, 49),
        name="icr-cifar10-best",
        paper="icr",
        place="Section 6, result 1; abstract; blog, CIFAR 10",
        statement="On CIFAR10 the Wasserstein loss without a regulariser, under ACGD, "
        "has a higher inception score than every other combination tested.",
        kind="none",
        reason="not run at scale",
        note=_CIFAR10,
    ),
    Claim(
        numbers=(16, 40),
        name="icr-cifar10-fid",
        paper="icr",
        place="Section 6, result 2; blog, CIFAR 10",
        statement="The order is the same by the Fréchet inception distance.",
        kind="none",
        reason="not run at scale",
        note=_CIFAR10,
    ),
    Claim(
        numbers=(41,),
        name="icr-cifar10-slower",
        paper="icr",
        place="Section 6, result 3",
        statement="By gradients and Hessian products ACGD is slower than Adam with "
        "spectral normalisation.",
        kind="none",
        reason="not run at scale",
        note=_CIFAR10,
    ),
    Claim(
        numbers=(42,),
        name="icr-cifar10-erratic",
        paper="icr",
        place="Section 6, result 4, Figure 9",
        statement="ACGD is erratic only on the original loss without a regulariser or "
        "with a weight decay of 0.0001, and still better than Adam there.",
        kind="none",
        reason="not run at scale",
        note=_CIFAR10,
    ),
    Claim(
        numbers=(43,),
        name="icr-cifar10-saturating",
        paper="icr",
        place="Section 6, result 4, Figure 9",
        statement="With the saturating loss, training with Adam breaks down.",
        kind="none",
        reason="not run at scale",
        note="No suite has it. At scale: mmbench run -t 'cifar10[loss=saturating]' "
        "-a 'gda[step_size=0.0001,direction=adam[beta1=0.5]]' --steps 100000.",
    ),
    Claim(
        numbers=(44, 48),
        name="icr-cifar10-hardly-worse",
        paper="icr",
        place="Section 6, result 5; abstract",
        statement="Over models and iterations, and untuned, ACGD often has a much "
        "higher inception score than Adam, and hardly ever a much lower one.",
        kind="none",
        reason="not run at scale",
        note=_CIFAR10,
    ),
    Claim(
        numbers=(45,),
        name="icr-cifar10-ten-percent",
        paper="icr",
        place="Appendix A.4.3, Figure 12",
        statement="By the inception score of TensorFlow, ACGD without a penalty is "
        "about 10 % above WGAN-GP with Adam.",
        kind="none",
        published="about 10 %",
        reason="not comparable",
        note="The scores stand in a figure alone, without their number of runs. "
        f"{_CIFAR10}",
    ),
    Claim(
        numbers=(46,),
        name="icr-cifar10-literature",
        paper="icr",
        place="Appendix A.4.3, Figure 12",
        statement="The scores of WGAN-GP with Adam match those in the literature.",
        kind="none",
        reason="not comparable",
        note="It compares two figures of other papers, of which no numbers are given.",
    ),
)
