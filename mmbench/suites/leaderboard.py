"""Leaderboard: every method on games, mixtures and digits, at equal cost."""

from mmbench.suites.base import Grid, Suite

# Cost of a run, in gradient-equivalents: 1000 or 1500 steps of GDA.
GAME_BUDGET, NETWORK_BUDGET = 2000, 3000

# Every method that moves both players, with its default parameters.
METHODS = (
    "GDA = gda",
    "alternating GDA = alternating_gda",
    "negative momentum = alternating_gda[direction=momentum[beta=-0.5]]",
    "OMD = omd",
    "extragradient = extragradient",
    "EG+ = extragradient[ratio=0.5]",
    "past extragradient = past_extragradient",
    "reflected gradient = reflected_gradient",
    "EAG = eag",
    "FEG = feg",
    "Halpern = halpern",
    "BC-SEG+ = bcseg",
    "CurvatureEG+ = curvature_eg",
    "proximal point = proximal_point",
    "Runge-Kutta = runge_kutta",
    "lookahead = lookahead",
    "averaged GDA = averaged",
    "smoothed GDA = smoothed_gda",
    "unrolled = unrolled",
    "CGD = cgd",
    "ACGD = acgd",
    "accept-reject = accept_reject",
    "accept-reject search = accept_reject_search",
    "LOLA = lola",
    "SGA = sga",
    "consensus = consensus",
    "Hamiltonian = hamiltonian",
    "gradient regularisation = gradient_regularised",
    "drift regularisation = discretisation_drift",
    "LSS = lss",
    "Stackelberg = stackelberg",
    "follow the ridge = follow_the_ridge",
)

_ADAM = "step_size=0.01,direction=adam[beta1=0.5]"

# The same for networks: steps of Adam where a method takes a direction. The competitive
# methods solve to a tolerance that is enough for minibatches.
NETWORK_METHODS = (
    f"GDA = gda[{_ADAM}]",
    f"alternating GDA = alternating_gda[{_ADAM}]",
    f"OMD = omd[{_ADAM}]",
    f"extragradient = extragradient[{_ADAM}]",
    f"past extragradient = past_extragradient[{_ADAM}]",
    f"reflected gradient = reflected_gradient[{_ADAM}]",
    f"lookahead = lookahead[base=gda[{_ADAM}]]",
    f"averaged GDA = averaged[base=gda[{_ADAM}],weights=exponential]",
    f"smoothed GDA = smoothed_gda[{_ADAM}]",
    f"unrolled = unrolled[{_ADAM},k=2]",
    "CGD = cgd[tolerance=0.001]",
    "ACGD = acgd[tolerance=0.001]",
    f"accept-reject = accept_reject[{_ADAM}]",
    f"LOLA = lola[{_ADAM}]",
    f"SGA = sga[{_ADAM}]",
    f"consensus = consensus[{_ADAM}]",
    f"gradient regularisation = gradient_regularised[{_ADAM}]",
    "Runge-Kutta = runge_kutta",
    "drift regularisation = discretisation_drift",
)

_SMALL = "hidden=32,noise=8,batch=64"

LEADERBOARD = Suite(
    name="leaderboard",
    title="Every method at equal cost, with its default parameters",
    grids=(
        Grid(
            tasks=(
                "bilinear",
                "bilinear[dim=10,smallest=0.1]",
                "quadratic",
                "dirac_gan",
                "dirac_gan[r1=1]",
                "dirac_gan[loss=nonsaturating]",
                "g3",
                "escaping_saddles",
                "forsaken",
                "global_forsaken",
                "polar",
                # Instances that nothing was tuned on.
                *(f"random_quadratic[instance={number}]" for number in range(100, 120)),
            ),
            algorithms=METHODS,
            seeds=100,
            budget=GAME_BUDGET,
        ),
        Grid(
            tasks=("matrix_game[matrix=rock_paper_scissors]", "kuhn_poker"),
            algorithms=(
                *METHODS,
                "mirror descent = mirror_descent",
                "optimistic mirror descent = mirror_descent[optimism=1]",
                "mirror-prox = mirror_prox",
            ),
            seeds=100,
            budget=GAME_BUDGET,
        ),
        Grid(
            tasks=("finite_sum_bilinear",),
            algorithms=(*METHODS, "SVRE = svre"),
            seeds=100,
            budget=GAME_BUDGET,
        ),
        Grid(
            tasks=(f"four_gaussians[{_SMALL}]", f"gaussian_mixture[{_SMALL}]"),
            algorithms=NETWORK_METHODS,
            metrics=(
                "mode_coverage[samples=1000]",
                "sliced_wasserstein[samples=1000]",
                "forgetting[of=modes]",
            ),
            seeds=32,
            budget=NETWORK_BUDGET,
            records=15,
        ),
        Grid(
            tasks=("digits01[hidden=48,noise=8,batch=32,dropout=0.1,loss=saturating]",),
            algorithms=NETWORK_METHODS,
            metrics=("digit_coverage[samples=200]", "forgetting[of=digits]"),
            seeds=32,
            budget=NETWORK_BUDGET,
            records=15,
        ),
    ),
)
