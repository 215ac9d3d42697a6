"""Publications that several algorithms and tasks cite."""

from mmbench.core.source import Source

DASKALAKIS_2018 = Source(
    authors="Daskalakis, Ilyas, Syrgkanis and Zeng",
    year=2018,
    title="Training GANs with Optimism",
    link="https://arxiv.org/abs/1711.00141",
)
MANGOUBI_2020 = Source(
    authors="Mangoubi, Sachdeva and Vishnoi",
    year=2020,
    title="A Provably Convergent and Practical Algorithm for Min-Max Optimization "
    "with Applications to GANs",
    link="https://arxiv.org/abs/2006.12376",
)
SCHAEFER_2020 = Source(
    authors="Schäfer, Zheng and Anandkumar",
    year=2020,
    title="Implicit competitive regularization in GANs",
    link="https://arxiv.org/abs/1910.05852",
)
HSIEH_2021 = Source(
    authors="Hsieh, Mertikopoulos and Cevher",
    year=2021,
    title="The Limits of Min-Max Optimization Algorithms: Convergence to Spurious "
    "Non-Critical Sets",
    link="https://arxiv.org/abs/2006.09065",
)
PETHICK_2022 = Source(
    authors="Pethick, Latafat, Patrinos, Fercoq and Cevher",
    year=2022,
    title="Escaping limit cycles: Global convergence for constrained "
    "nonconvex-nonconcave minimax problems",
    link="https://arxiv.org/abs/2302.09831",
)
LOIZOU_2020 = Source(
    authors="Loizou, Berard, Jolicoeur-Martineau, Vincent, Lacoste-Julien and "
    "Mitliagkas",
    year=2020,
    title="Stochastic Hamiltonian Gradient Methods for Smooth Games",
    link="https://arxiv.org/abs/2007.04202",
)
WANG_2020 = Source(
    authors="Wang, Zhang and Ba",
    year=2020,
    title="On Solving Minimax Optimization Locally: A Follow-the-Ridge Approach",
    link="https://arxiv.org/abs/1910.07512",
)
