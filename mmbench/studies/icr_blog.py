"""Claims of Schäfer's article on ICR that the paper does not make."""

from mmbench.studies._toys import COMPUTED, RATES, grows, on_toys
from mmbench.studies.base import Claim

ICR_BLOG = (
    Claim(
        numbers=(1,),
        name="icr-blog-perfect-discriminator",
        paper="icr-blog",
        place="Unconstrained discriminators can always be perfect",
        statement="Against finitely many data points an unconstrained discriminator "
        "makes almost no error whatever the generator is, so that the generator's loss "
        "is always the same.",
        kind="formula",
        computation="perfect_discriminator",
        negative=COMPUTED,
    ),
    Claim(
        numbers=(2,),
        name="icr-blog-three-pairs",
        paper="icr-blog",
        place="Measuring visual similarity is hard; paper, Figure 2",
        statement="Of three pairs of images the one that looks least different has the "
        "greatest pixel distance.",
        kind="none",
        reason="not testable",
        note="The images are not in the text, and no measure of what a viewer sees is.",
    ),
    Claim(
        numbers=(2,),
        name="icr-blog-warp",
        paper="icr-blog",
        place="Measuring visual similarity is hard; paper, Appendix A.1",
        statement="A warp of a rough texture by one pixel changes its pixels by more, "
        "in Euclidean distance, than a large grey square drawn on it.",
        kind="formula",
        computation="warp_of_a_texture",
        negative=COMPUTED,
        note="Both images are made here: uniform noise, and a square over a sixteenth "
        "of it.",
    ),
    Claim(
        numbers=(5,),
        name="icr-blog-slow-y",
        paper="icr-blog",
        place="ICR selects for slowly learning discriminators",
        statement="On x² + 10xy + y², ICR is the stronger the more slowly y learns "
        "compared with x.",
        kind="formula",
        computation="slow_y_is_stabler",
        negative=COMPUTED,
        note="At a fixed product of the step sizes, by the spectral radius of a step.",
    ),
    Claim(
        numbers=(7,),
        name="icr-blog-one-critical-point",
        paper="icr-blog",
        place="ICR selects for slowly learning discriminators",
        statement="The gradient of x² + 10xy + y² is zero in (0, 0) alone.",
        kind="formula",
        computation="one_critical_point",
        negative=COMPUTED,
    ),
    Claim(
        numbers=(10,),
        name="icr-blog-generator-gradient",
        paper="icr-blog",
        place="A game perspective on ICR",
        statement="While the discriminator is trained alone, the generator's gradient "
        "grows.",
        kind="none",
        reason="not run at scale",
        note="No suite measures it: at scale, a suite as mnist_icr with the metric "
        "gradient_norms would, in hours on a GPU.",
    ),
    Claim(
        numbers=(14,),
        name="icr-blog-bilinear",
        paper="icr-blog",
        place="CGD for stronger ICR",
        statement="Simultaneous steps on xy do not converge to (0, 0).",
        kind="always",
        variants=(on_toys("steps of 0.1", "ours", "bilinear", "SimGD 0.1"),),
        rules=(grows(1.001),),
        negative=RATES,
    ),
    Claim(
        numbers=(15,),
        name="icr-blog-extra-loss",
        paper="icr-blog",
        place="A game perspective on ICR",
        statement="From (0, 1), a move of y by δ costs it 10 ε δ more where x moves by "
        "−ε at the same time.",
        kind="formula",
        computation="extra_loss",
        negative=COMPUTED,
    ),
)
