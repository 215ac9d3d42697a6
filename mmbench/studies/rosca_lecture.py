"""Claims of Rosca's lecture on GANs, divergences and games."""

from mmbench.studies._toys import (
    COMPUTED,
    DIRAC,
    RATES,
    SECOND_ORDER,
    ends_within,
    grows,
    on_toys,
    stays_beyond,
)
from mmbench.studies.base import Bound, Claim, Origin, Rule, Variant
from mmbench.studies.counting import LOSES_MODES, SECOND_IMPLEMENTATIONS

_SATURATING, _OTHER = "dirac_gan", "dirac_gan[loss=nonsaturating]"
_SIMULTANEOUS, _ALTERNATING = "SimGD 0.2", "alternating 0.2"
_LONG_ANSWER = "alternating 0.2, k=5"
_NO_SETTINGS = "The lecture states no settings."


def _from_one(options: str = "") -> str:
    """Return the DiracGAN from its authors' start."""
    return f"dirac_gan[{options}start_at=(1,1)]"


def _steps(start: str, origin: Origin, tasks: tuple[str, str]) -> tuple[Variant, ...]:
    """Return gradient steps on the DiracGAN of either loss, without a regulariser."""
    return tuple(
        on_toys(f"{loss}, {label.removesuffix(' 0.2')}, {start}", origin, task, label)
        for loss, task in zip(("saturating", "non-saturating"), tasks, strict=True)
        for label in (_SIMULTANEOUS, _ALTERNATING)
    )


def _penalised(loss: str = "") -> tuple[Variant, ...]:
    """Return gradient steps on the DiracGAN with a penalty at the data."""
    words = "non-saturating" if loss else "saturating"
    return tuple(
        on_toys(
            f"{words}, weight {weight}, {label.removesuffix(' 0.2')}, random starts",
            "ours",
            f"dirac_gan[{loss}r1={weight}]",
            label,
        )
        for weight in ("0.3", "1")
        for label in (_SIMULTANEOUS, _ALTERNATING)
    )


def _gda(task: str, name: str) -> Variant:
    """Return descent-ascent on four Gaussians, with the steps of another notebook."""
    return Variant(
        name=name,
        origin="ours",
        suite="claims_four_gaussians",
        task=task,
        label="GDA(1)",
    )


_ON_GAUSSIANS = (
    _gda("four_gaussians[weights=uniform]", "four equal Gaussians"),
    _gda("four_gaussians", "four Gaussians, one of double weight"),
)

ROSCA_LECTURE = (
    # ---- distributions ----
    Claim(
        numbers=(70, 71),
        name="rosca-jensen-shannon",
        paper="rosca-lecture",
        place="Are GANs doing divergence minimization?",
        statement="Against the best discriminator, p/(p + q), the generator's loss is "
        "twice the Jensen-Shannon divergence, less log 4.",
        kind="formula",
        computation="best_discriminator",
        negative=COMPUTED,
    ),
    Claim(
        numbers=(71,),
        name="rosca-discriminator-as-printed",
        paper="rosca-lecture",
        place="Convergence in GANs: global Nash equilibrium",
        statement="The best discriminator is 2p/(p + q).",
        kind="formula",
        computation="best_discriminator_as_printed",
        negative=COMPUTED,
        note="A misprint: it is p/(p + q), which is 1/2 where p = q.",
        flags=("misprint",),
    ),
    Claim(
        numbers=(72,),
        name="rosca-divergences",
        paper="rosca-lecture",
        place="Examples of f-divergences",
        statement="The generators of Kullback-Leibler, of its reverse and of the "
        "squared Hellinger distance give the divergences beside them.",
        kind="formula",
        computation="table_of_divergences",
        negative=COMPUTED,
    ),
    Claim(
        numbers=(72,),
        name="rosca-pearson-as-printed",
        paper="rosca-lecture",
        place="Examples of f-divergences",
        statement="The generator (u − 1)² gives ∫ (q − p)²/p.",
        kind="formula",
        computation="pearson_as_printed",
        negative=COMPUTED,
        note="It gives ∫ (q − p)²/q: p and q are exchanged.",
        flags=("misprint",),
    ),
    Claim(
        numbers=(72,),
        name="rosca-jensen-shannon-as-printed",
        paper="rosca-lecture",
        place="Examples of f-divergences",
        statement="The generator −(u + 1) log((1 + u)/2) + u log u gives the "
        "Jensen-Shannon divergence.",
        kind="formula",
        computation="jensen_shannon_as_printed",
        negative=COMPUTED,
        note="It gives twice that.",
        flags=("misprint",),
    ),
    Claim(
        numbers=(73,),
        name="rosca-variational-bound",
        paper="rosca-lecture",
        place="Variational bound on f-divergences",
        statement="E_p t − E_q f†(t) is at most the f-divergence for every t, and "
        "equal to it for t = f'(p/q).",
        kind="formula",
        computation="variational_bound",
        negative=COMPUTED,
    ),
    Claim(
        numbers=(74,),
        name="rosca-integral-metrics",
        paper="rosca-lecture",
        place="Integral probability metrics; Wasserstein distance; MMD",
        statement="The supremum over functions of slope 1 is the cost of transport, "
        "that over the unit ball of a kernel's space is the maximum mean discrepancy, "
        "and both are distances.",
        kind="formula",
        computation="integral_metrics",
        negative=COMPUTED,
    ),
    Claim(
        numbers=(75,),
        name="rosca-learns-where-flat",
        paper="rosca-lecture",
        place="Smooth learning signal, after Fedus et al.",
        statement="A GAN learns although the Jensen-Shannon divergence is log 2 all "
        "the way: a point mass reaches that of the data.",
        kind="always",
        published="shown",
        variants=(*_penalised(), *_penalised("loss=nonsaturating,")),
        rules=(ends_within(1e-3),),
        negative=DIRAC,
        note="On the DiracGAN with a penalty at the data, whose divergence is flat; "
        "there the picture is of two Gaussians on a line.",
    ),
    # ---- training ----
    Claim(
        numbers=(76,),
        name="rosca-saturating",
        paper="rosca-lecture",
        place="Gradients matter",
        statement="Where the discriminator is confident that a point is generated, "
        "log(1 − D) has almost no gradient and −log D has a strong one.",
        kind="formula",
        computation="saturating_gradients",
        negative=COMPUTED,
    ),
    Claim(
        numbers=(77,),
        name="rosca-mode-collapse",
        paper="rosca-lecture",
        place="Mode collapse",
        statement="A generator misses modes of the data.",
        kind="most",
        published="can",
        variants=_ON_GAUSSIANS,
        rules=(
            Rule(
                name="at most three of four modes, 5 % of the samples within 0.3",
                bounds=(Bound(column="modes", at_most=3),),
            ),
            Rule(
                name="the same by 1 % within 0.35",
                bounds=(Bound(column="modes_lenient", at_most=3),),
            ),
        ),
        negative=SECOND_IMPLEMENTATIONS,
        note=f"{_NO_SETTINGS} That it does so in most runs is more than the text says.",
    ),
    Claim(
        numbers=(77,),
        name="rosca-mode-hopping",
        paper="rosca-lecture",
        place="The challenge of optimisation in adversarial games",
        statement="A generator hops from mode to mode.",
        kind="most",
        published="sketched",
        variants=_ON_GAUSSIANS,
        rules=LOSES_MODES,
        negative=SECOND_IMPLEMENTATIONS,
        note=f"{_NO_SETTINGS} That it does so in most runs is more than the text says.",
    ),
    Claim(
        numbers=(78,),
        name="rosca-sensitivity",
        paper="rosca-lecture",
        place="Hyperparameter sensitivity, after Lucic et al.",
        statement="The quality of a GAN depends strongly on its hyperparameters.",
        kind="none",
        reason="not run at scale",
        note="mmbench tune reports every trial of a method on a task.",
    ),
    Claim(
        numbers=(79,),
        name="rosca-low-momentum",
        paper="rosca-lecture",
        place="Mitigation strategies",
        statement="Low momentum helps: on xy the factor of an alternating step grows "
        "with the momentum.",
        kind="formula",
        computation="low_momentum",
        negative=COMPUTED,
        note="On the bilinear game, for momenta from −0.5 to 0.9.",
    ),
    Claim(
        numbers=(79,),
        name="rosca-mitigations",
        paper="rosca-lecture",
        place="Mitigation strategies",
        statement="Large batches, batch normalisation, residual networks and spectral "
        "normalisation make GANs train better.",
        kind="none",
        reason="not run at scale",
        note="Batch and spectral normalisation are parameters of the GANs here; "
        "residual networks are not.",
    ),
    # ---- games ----
    Claim(
        numbers=(80,),
        name="rosca-dirac-equilibrium",
        paper="rosca-lecture",
        place="Solution to DiracGAN; rotational forces",
        statement="(0, 0) solves the DiracGAN, and the field around it is a rotation.",
        kind="formula",
        computation="dirac_gan_rotates",
        negative=COMPUTED,
    ),
    Claim(
        numbers=(80,),
        name="rosca-dirac-rotates",
        paper="rosca-lecture",
        place="Rotational forces in DiracGAN, after Mescheder et al.",
        statement="Without a regulariser neither simultaneous nor alternating steps "
        "converge on the DiracGAN.",
        kind="always",
        published="shown",
        variants=(
            *_steps(
                "the authors' start",
                "code",
                (_from_one(), _from_one("loss=nonsaturating,")),
            ),
            *_steps("random starts", "ours", (_SATURATING, _OTHER)),
        ),
        rules=(stays_beyond(0.01), stays_beyond(0.1)),
        negative=DIRAC,
        note="500 steps of 0.2, as in the notebook of the cited paper.",
    ),
    Claim(
        numbers=(81,),
        name="rosca-penalty-converges",
        paper="rosca-lecture",
        place="Rotational forces in DiracGAN: explicit regularisation",
        statement="With a gradient penalty at the data they converge.",
        kind="always",
        published="shown",
        variants=(*_penalised(), *_penalised("loss=nonsaturating,")),
        rules=(ends_within(1e-3),),
        negative=DIRAC,
    ),
    Claim(
        numbers=(82,),
        name="rosca-clip-does-not-converge",
        paper="rosca-lecture",
        place="Rotational forces in DiracGAN, after Mescheder et al.",
        statement="The Wasserstein DiracGAN with a clipped discriminator does not "
        "converge.",
        kind="always",
        published="shown",
        variants=(
            *(
                on_toys(
                    f"{words}, the authors' start",
                    "code",
                    _from_one("loss=wasserstein,clip=1,"),
                    label,
                )
                for words, label in (
                    ("simultaneous", _SIMULTANEOUS),
                    ("alternating", _ALTERNATING),
                    ("five steps of the discriminator", _LONG_ANSWER),
                )
            ),
            *(
                on_toys(
                    f"{words}, random starts",
                    "ours",
                    "dirac_gan[loss=wasserstein,clip=1]",
                    label,
                )
                for words, label in (
                    ("simultaneous", _SIMULTANEOUS),
                    ("five steps of the discriminator", _LONG_ANSWER),
                )
            ),
        ),
        rules=(stays_beyond(0.01), stays_beyond(0.1)),
        negative=DIRAC,
    ),
    Claim(
        numbers=(83,),
        name="rosca-kinds-of-points",
        paper="rosca-lecture",
        place="Convergence in games; other ways of measuring convergence",
        statement="A stationary point is locally stable where the eigenvalues of the "
        "matrix of second derivatives of both losses have positive real parts; a "
        "strict local Nash equilibrium of a zero-sum game is one, and not conversely.",
        kind="formula",
        computation="kinds_of_points",
        negative=COMPUTED,
        note="The slide calls the matrix a Hessian; it is the Jacobian of both "
        "players' gradients.",
    ),
    Claim(
        numbers=(84,),
        name="rosca-no-nash",
        paper="rosca-lecture",
        place="Do GANs reach a Nash equilibrium?, after Farnia and Ozdaglar",
        statement="There are GANs without a Nash equilibrium.",
        kind="formula",
        computation="gan_without_equilibrium",
        negative=COMPUTED,
        note="Of the DiracGAN with the penalty of WGAN-GP; the examples of the cited "
        "paper are others.",
    ),
    Claim(
        numbers=(84,),
        name="rosca-not-at-nash",
        paper="rosca-lecture",
        place="Do GANs reach a Nash equilibrium?, after Farnia and Ozdaglar",
        statement="A trained GAN is at no Nash equilibrium: its discriminator gains "
        "when it is trained alone.",
        kind="most",
        published="many GANs",
        variants=(
            Variant(
                name="zeros and ones of 8 × 8 pixels",
                origin="ours",
                suite="claims_toys",
                task="digits01",
                label="GDA(1)",
            ),
        ),
        rules=(
            Rule(
                name="the discriminator gains 0.1 or more in 100 steps",
                bounds=(Bound(column="gain_y", at_least=0.1),),
            ),
        ),
        negative=SECOND_IMPLEMENTATIONS,
        note=_NO_SETTINGS,
    ),
    Claim(
        numbers=(85,),
        name="rosca-parameter-penalties",
        paper="rosca-lecture",
        place="Examples of ensuring GAN convergence",
        statement="Penalties on the gradients in the parameters stabilise: with them "
        "steps on the DiracGAN converge.",
        kind="always",
        variants=(
            on_toys("consensus, random starts", "ours", _SATURATING, "consensus 0.2"),
            on_toys(
                "on the discriminator's gradient, random starts",
                "ours",
                _SATURATING,
                "gradient-regularised 0.2",
            ),
        ),
        rules=(ends_within(1e-3),),
        negative=SECOND_ORDER,
        note="Starts are random; six of 64 lead consensus far away, where both "
        "gradients are small. The authors' start, (1, 1), leads both to (0, 0).",
    ),
    Claim(
        numbers=(86,),
        name="rosca-euler-spirals",
        paper="rosca-lecture",
        place="Discretization error for gradient descent",
        statement="Gradient steps along a flow that circles spiral outwards.",
        kind="always",
        published="shown",
        variants=(on_toys("xy, steps of 0.2", "ours", "bilinear", "Euler 0.2"),),
        rules=(grows(1.001),),
        negative=RATES,
    ),
    Claim(
        numbers=(86,),
        name="rosca-rk4-orbit",
        paper="rosca-lecture",
        place="Discretization error for Runge Kutta 4 updates",
        statement="Runge-Kutta steps of order 4 stay on the circle.",
        kind="always",
        published="shown",
        variants=(
            on_toys("xy, steps of 0.2", "ours", "bilinear", "RK4 0.2"),
            on_toys("DiracGAN, steps of 0.2", "ours", _SATURATING, "RK4 0.2"),
        ),
        rules=(grows(0.9999, 1.0001),),
        negative=SECOND_ORDER,
    ),
    Claim(
        numbers=(87,),
        name="rosca-rk4-regularised",
        paper="rosca-lecture",
        place="Loss of stability due to discretisation, after Qin et al.",
        statement="Runge-Kutta steps might still need a regulariser: with that of "
        "ODE-GAN they converge on the DiracGAN, where they circle without it.",
        kind="always",
        published="might",
        variants=(
            on_toys("steps of 0.1, weight 0.07", "code", _SATURATING, "ODE-GAN"),
        ),
        rules=(ends_within(1e-3),),
        negative=SECOND_ORDER,
        note="The lecture speaks of the best performance on images, which is not run "
        "here.",
    ),
    Claim(
        numbers=(88,),
        name="rosca-metrics",
        paper="rosca-lecture",
        place="Evaluating GANs",
        statement="GANs are evaluated by inception score, Fréchet and kernel inception "
        "distance, precision and recall, and accuracy of a classifier.",
        kind="none",
        reason="not testable",
        note="A practice. The metrics are classifier_score, frechet_distance, "
        "kernel_distance, precision_recall and classification_accuracy_score.",
    ),
)
