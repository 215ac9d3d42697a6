"""Publications that algorithms and tasks cite, each named once."""

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
BAILEY_2020 = Source(
    authors="Bailey, Gidel and Piliouras",
    year=2020,
    title="Finite Regret and Cycles with Fixed Step-Size via Alternating "
    "Gradient Descent-Ascent",
    link="https://arxiv.org/abs/1907.04392",
)
BRUCK_1977 = Source(
    authors="Bruck",
    year=1977,
    title="On the weak convergence of an ergodic iteration for the solution of "
    "variational inequalities for monotone operators in Hilbert space",
)
PETHICK_2023 = Source(
    authors="Pethick, Fercoq, Latafat, Patrinos and Cevher",
    year=2023,
    title="Solving stochastic weak Minty variational inequalities without "
    "increasing batch size",
    link="https://openreview.net/forum?id=ejR4E1jaH9k",
)
SCHAEFER_2019 = Source(
    authors="Schäfer and Anandkumar",
    year=2019,
    title="Competitive Gradient Descent",
    link="https://arxiv.org/abs/1905.12103",
)
MESCHEDER_2017 = Source(
    authors="Mescheder, Nowozin and Geiger",
    year=2017,
    title="The Numerics of GANs",
    link="https://arxiv.org/abs/1705.10461",
)
ROSCA_2021 = Source(
    authors="Rosca, Wu, Dherin and Barrett",
    year=2021,
    title="Discretization Drift in Two-Player Games",
    link="https://arxiv.org/abs/2105.13922",
)
YOON_2021 = Source(
    authors="Yoon and Ryu",
    year=2021,
    title="Accelerated Algorithms for Smooth Convex-Concave Minimax Problems with "
    "O(1/k²) Rate on Squared Gradient Norm",
    link="https://arxiv.org/abs/2102.07922",
)
KORPELEVICH_1976 = Source(
    authors="Korpelevich",
    year=1976,
    title="The extragradient method for finding saddle points and other problems",
)
LEE_2021 = Source(
    authors="Lee and Kim",
    year=2021,
    title="Fast Extra Gradient Methods for Smooth Structured Nonconvex-Nonconcave "
    "Minimax Problems",
    link="https://arxiv.org/abs/2106.02326",
)
ARROW_1958 = Source(
    authors="Arrow, Hurwicz and Uzawa",
    year=1958,
    title="Studies in Linear and Non-Linear Programming",
)
NAGARAJAN_2017 = Source(
    authors="Nagarajan and Kolter",
    year=2017,
    title="Gradient descent GAN optimization is locally stable",
    link="https://arxiv.org/abs/1706.04156",
)
HALPERN_1967 = Source(
    authors="Halpern",
    year=1967,
    title="Fixed points of nonexpanding maps",
)
FOERSTER_2018 = Source(
    authors="Foerster, Chen, Al-Shedivat, Whiteson, Abbeel and Mordatch",
    year=2018,
    title="Learning with Opponent-Learning Awareness",
    link="https://arxiv.org/abs/1709.04326",
)
CHAVDAROVA_2021 = Source(
    authors="Chavdarova, Pagliardini, Stich, Fleuret and Jaggi",
    year=2021,
    title="Taming GANs with Lookahead-Minmax",
    link="https://arxiv.org/abs/2006.14567",
)
MAZUMDAR_2019 = Source(
    authors="Mazumdar, Jordan and Sastry",
    year=2019,
    title="On Finding Local Nash Equilibria (and Only Local Nash Equilibria) in "
    "Zero-Sum Games",
    link="https://arxiv.org/abs/1901.00838",
)
BECK_2003 = Source(
    authors="Beck and Teboulle",
    year=2003,
    title="Mirror descent and nonlinear projected subgradient methods for convex "
    "optimization",
)
NEMIROVSKI_2004 = Source(
    authors="Nemirovski",
    year=2004,
    title="Prox-method with rate of convergence O(1/t) for variational "
    "inequalities with Lipschitz continuous monotone operators and smooth "
    "convex-concave saddle point problems",
)
POPOV_1980 = Source(
    authors="Popov",
    year=1980,
    title="A modification of the Arrow-Hurwicz method for search of saddle points",
)
ROCKAFELLAR_1976 = Source(
    authors="Rockafellar",
    year=1976,
    title="Monotone Operators and the Proximal Point Algorithm",
)
MALITSKY_2015 = Source(
    authors="Malitsky",
    year=2015,
    title="Projected Reflected Gradient Methods for Monotone Variational Inequalities",
    link="https://arxiv.org/abs/1502.04968",
)
QIN_2020 = Source(
    authors="Qin, Wu, Springenberg, Brock, Donahue, Lillicrap and Kohli",
    year=2020,
    title="Training Generative Adversarial Networks by Solving Ordinary "
    "Differential Equations",
    link="https://arxiv.org/abs/2010.15040",
)
ROBBINS_1951 = Source(
    authors="Robbins and Monro",
    year=1951,
    title="A Stochastic Approximation Method",
)
BALDUZZI_2018 = Source(
    authors="Balduzzi, Racanière, Martens, Foerster, Tuyls and Graepel",
    year=2018,
    title="The Mechanics of n-Player Differentiable Games",
    link="https://arxiv.org/abs/1802.05642",
)
ZHANG_2020 = Source(
    authors="Zhang, Xiao, Sun and Luo",
    year=2020,
    title="A Single-Loop Smoothed Gradient Descent-Ascent Algorithm for "
    "Nonconvex-Concave Min-Max Problems",
    link="https://arxiv.org/abs/2010.15768",
)
FIEZ_2020 = Source(
    authors="Fiez, Chasnov and Ratliff",
    year=2020,
    title="Implicit Learning Dynamics in Stackelberg Games: Equilibria "
    "Characterization, Convergence Analysis, and Empirical Study",
    link="https://proceedings.mlr.press/v119/fiez20a.html",
)
CHAVDAROVA_2019 = Source(
    authors="Chavdarova, Gidel, Fleuret and Lacoste-Julien",
    year=2019,
    title="Reducing Noise in GAN Training with Variance Reduced Extragradient",
    link="https://arxiv.org/abs/1904.08598",
)
METZ_2017 = Source(
    authors="Metz, Poole, Pfau and Sohl-Dickstein",
    year=2017,
    title="Unrolled Generative Adversarial Networks",
    link="https://arxiv.org/abs/1611.02163",
)
SRIVASTAVA_2017 = Source(
    authors="Srivastava, Valkov, Russell, Gutmann and Sutton",
    year=2017,
    title="VEEGAN: Reducing Mode Collapse in GANs Using Implicit Variational Learning",
    link="https://arxiv.org/abs/1705.07761",
)
LIN_2018 = Source(
    authors="Lin, Khetan, Fanti and Oh",
    year=2018,
    title="PacGAN: The Power of Two Samples in Generative Adversarial Networks",
    link="https://arxiv.org/abs/1712.04086",
)
RAVURI_2019 = Source(
    authors="Ravuri and Vinyals",
    year=2019,
    title="Classification Accuracy Score for Conditional Generative Models",
    link="https://arxiv.org/abs/1905.10887",
)
SALIMANS_2016 = Source(
    authors="Salimans, Goodfellow, Zaremba, Cheung, Radford and Chen",
    year=2016,
    title="Improved Techniques for Training GANs",
    link="https://arxiv.org/abs/1606.03498",
)
HEUSEL_2017 = Source(
    authors="Heusel, Ramsauer, Unterthiner, Nessler and Hochreiter",
    year=2017,
    title="GANs Trained by a Two Time-Scale Update Rule Converge to a Local "
    "Nash Equilibrium",
    link="https://arxiv.org/abs/1706.08500",
)
CHONG_2020 = Source(
    authors="Chong and Forsyth",
    year=2020,
    title="Effectively Unbiased FID and Inception Score and Where to Find Them",
    link="https://arxiv.org/abs/1911.07023",
)
NESTEROV_2007 = Source(
    authors="Nesterov",
    year=2007,
    title="Dual Extrapolation and Its Applications to Solving Variational "
    "Inequalities and Related Problems",
)
BINKOWSKI_2018 = Source(
    authors="Bińkowski, Sutherland, Arbel and Gretton",
    year=2018,
    title="Demystifying MMD GANs",
    link="https://arxiv.org/abs/1801.01401",
)
BERARD_2020 = Source(
    authors="Berard, Gidel, Almahairi, Vincent and Lacoste-Julien",
    year=2020,
    title="A Closer Look at the Optimization Landscapes of Generative "
    "Adversarial Networks",
    link="https://arxiv.org/abs/1906.04848",
)
JIN_2020 = Source(
    authors="Jin, Netrapalli and Jordan",
    year=2020,
    title="What is Local Optimality in Nonconvex-Nonconcave Minimax Optimization?",
    link="https://arxiv.org/abs/1902.00618",
)
KYNKAANNIEMI_2019 = Source(
    authors="Kynkäänniemi, Karras, Laine, Lehtinen and Aila",
    year=2019,
    title="Improved Precision and Recall Metric for Assessing Generative Models",
    link="https://arxiv.org/abs/1904.06991",
)
NAEEM_2020 = Source(
    authors="Naeem, Oh, Uh, Choi and Yoo",
    year=2020,
    title="Reliable Fidelity and Diversity Metrics for Generative Models",
    link="https://arxiv.org/abs/2002.09797",
)
SEN_1968 = Source(
    authors="Sen",
    year=1968,
    title="Estimates of the Regression Coefficient Based on Kendall's Tau",
)
MADRY_2018 = Source(
    authors="Madry, Makelov, Schmidt, Tsipras and Vladu",
    year=2018,
    title="Towards Deep Learning Models Resistant to Adversarial Attacks",
    link="https://arxiv.org/abs/1706.06083",
)
RABIN_2012 = Source(
    authors="Rabin, Peyré, Delon and Bernot",
    year=2012,
    title="Wasserstein Barycenter and Its Application to Texture Mixing",
)
LECUN_1998 = Source(
    authors="LeCun, Bottou, Bengio and Haffner",
    year=1998,
    title="Gradient-Based Learning Applied to Document Recognition",
    link="https://doi.org/10.1109/5.726791",
)
ALPAYDIN_1998 = Source(
    authors="Alpaydin and Kaynak",
    year=1998,
    title="Optical Recognition of Handwritten Digits",
    link="https://doi.org/10.24432/C50P49",
)
KRIZHEVSKY_2009 = Source(
    authors="Krizhevsky",
    year=2009,
    title="Learning Multiple Layers of Features from Tiny Images",
)
