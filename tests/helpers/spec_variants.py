"""Specs of algorithms and tasks with options, for the contracts."""

from collections.abc import Iterable
from typing import Any

import pytest

# One method of each kind; tests that cross all methods run the others as slow tests.
KINDS = (
    *("gda", "omd", "extragradient", "unrolled", "cgd", "acgd", "accept_reject"),
    *("lookahead", "svre", "mirror_prox"),
)


def slow(words: Iterable[str]) -> list[Any]:
    """Return specs as parameters of slow tests."""
    return [pytest.param(one, marks=pytest.mark.slow) for one in words]


def of_each_kind(words: Iterable[str]) -> list[Any]:
    """Return specs as parameters, of which those that are not in `KINDS` are slow."""
    return [one if one in KINDS else slow([one])[0] for one in words]


def first_of_each(words: Iterable[str]) -> list[Any]:
    """Return specs as parameters, of which all but the first of each name are slow."""
    seen: set[str] = set()
    found = []
    for one in words:
        name = one.partition("[")[0]
        found += slow([one]) if name in seen else [one]
        seen.add(name)
    return found


ALGORITHM_VARIANTS = (
    "gda[direction=adam]",
    "gda[direction=(adam[beta1=0],rmsprop),step_size=(0.01,0.02)]",
    "alternating_gda[first=y,k=3]",
    "alternating_gda[first=both,k=2,direction=adam[epsilon_at=raw]]",
    "omd[first=zero,direction=adam]",
    "extragradient[minibatch=fresh,direction=(plain,adam)]",
    "past_extragradient[direction=rmsprop,step_size=0.01]",
    "unrolled[k=1]",
    "unrolled[k=3,direction=adam,step_size=(0.001,0.01)]",
    "cgd[solve=y,step_size=(0.09,0.01)]",
    "acgd[step_size=(0.05,0.01),beta=0.9]",
    "accept_reject[k=1,acceptance=annealed,reference=reestimate,direction=adam]",
    "accept_reject[rule=notebook,acceptance=every[r=4],direction=adam]",
    "accept_reject[rule=notebook,k=1,acceptance=constant[p=0]]",
    "accept_reject[rule=notebook,k=2,better=lower,restore=players,overwrite=false]",
    "accept_reject[k=2,chance=0.4,restore=x]",
    "accept_reject_search[patience=2,ascents=3]",
    "alone[player=x]",
    "alone[player=y,direction=adam]",
    "one_sided_cgd",
    "one_sided_cgd[player=x,step_size=(0.2,0.1)]",
    "gda[direction=momentum[beta=0.7,phase=1.5]]",
    "alternating_gda[direction=momentum]",
    "consensus[gamma=1,minibatch=fresh,direction=rmsprop]",
    "hamiltonian[minibatch=fresh,direction=adam]",
    "gradient_regularised[penalty=2,direction=rmsprop]",
    "sga[is_aligned=false,weight=0.5,field_weight=0]",
    "lola[shaping=own]",
    "lola[shaping=both,alpha=(0.2,0.1),direction=adam]",
    "discretisation_drift[own=(-1,1),interaction=0.5,step_size=(0.1,0.05),first=y]",
    "lss[damping=0.1,step_size=(0.1,0.05)]",
    "stackelberg[damping=0.1,iterations=3,direction=(plain,adam)]",
    "follow_the_ridge[damping=0.1,iterations=3,step_size=(0.1,0.05)]",
    "runge_kutta[order=2,minibatch=fresh]",
    "runge_kutta[penalty=0.07]",
    "svre[snapshot=0.5,restart=0.5,direction=adam]",
    "reflected_gradient[direction=rmsprop,step_size=0.01]",
    "proximal_point[step_size=(0.2,0.1),newton_steps=1,iterations=9]",
    "proximal_point[solver=fixed_point,iterations=9]",
    "proximal_point[solver=fixed_point,iterations=2]",  # no check between iterations
    "halpern[base=proximal_point[iterations=2]]",
    "smoothed_gda[penalty=(1,2),direction=(adam,plain)]",
    "curvature_eg[power=3,relaxation=1.5]",
    "bcseg[ratio=0.5,decay=rsqrt,step_size=(0.2,0.1)]",
    "extragradient[decay=power[exponent=0.7,offset=5],minibatch=fresh]",
    "eag[lipschitz_step=0.618,step_size=(0.2,0.1)]",
    "eag[minibatch=fresh,direction=adam]",
    "feg[comonotonicity=-0.2]",
    "feg[comonotonicity=0.3,minibatch=fresh,direction=rmsprop]",
    "mirror_descent[optimism=1]",
    "mirror_prox[result=ahead]",
    "lookahead[k=2,slow_from=first_return]",
    "lookahead[base=lookahead[base=extragradient[direction=adam],k=2],k=4]",
    "lookahead[base=cgd]",  # inner counters in nested states
    "averaged[weights=exponential,decay=0.9,base=alternating_gda]",
    "averaged[weights=linear,base=lookahead[k=2]]",
    "scheduled[schedule=cosine[steps=4],base=cgd[step_size=(0.2,0.1)]]",
    "scheduled[base=lookahead[base=gda[direction=adam]]]",
    "halpern[base=extragradient[direction=adam]]",
    "halpern[base=lookahead[base=cgd,k=2]]",
)

TASK_VARIANTS = (
    "bilinear",
    "bilinear[dim=7,smallest=0.1,largest=3,spacing=log,instance=4]",
    "bilinear[box=5]",
    "bilinear[dim=3,noise=0.5]",
    "random_quadratic[dim=3,rotation=0.9]",
    "lagrangian[dim=3,constraints=2]",
    "lagrangian[dim=3,constraints=4,kind=inequality]",
    "robust_least_squares[rows=5,unknowns=2]",
    "robust_regression[rows=6,unknowns=2]",
    "nonstationary_minimax",
    "covariance_gan",
    "covariance_gan[dim=3,batch=4]",
    "dirac_gan[loss=wasserstein,penalty=0.7]",
    "random_quadratic[dim=2,zero_sum=false,noise=0.1,instance=5]",
    "quadratic",
    "quadratic[a=-3,b=4,c=-1,start_at=(5,7)]",
    *("g3", "escaping_saddles", "forsaken", "global_forsaken", "worst_for_both"),
    *("polar", "polar[a=1,start_at=(0.5,0)]", "almost_bilinear[epsilon=0.1]"),
    "dirac_gan",
    "dirac_gan[loss=nonsaturating,r1=0.3]",
    "dirac_gan[loss=wasserstein,clip=1,start_at=(1,1)]",
    "finite_sum_bilinear[terms=5]",
    "finite_sum_bilinear[terms=6,batch=4,linear=none]",
    "icr_projection",
    "icr_projection[scaling=(100,1),deviation=1]",
    *("matrix_game", "matrix_game[matrix=random,size=5,start_at=uniform]"),
    *("ratio_game", "ratio_game[equilibrium=interior]", "kuhn_poker"),
    "adversarial_training[hidden=4,images=10]",
    "four_gaussians[hidden=8,noise=4,batch=16]",
    "four_gaussians[hidden=8,noise=4,batch=16,loss=nonsaturating,weights=uniform]",
    "four_gaussians[hidden=8,noise=4,batch=16,loss=wasserstein,clip=0.5]",
    "four_gaussians[hidden=8,noise=4,batch=16,loss=mmd[features=3],"
    "regularisers=(l2,spectral,noise,clip)]",
    "four_gaussians[hidden=8,noise=4,batch=16,loss=sliced[directions=4],"
    "regularisers=(r1,r2,gp[centre=0,shared=false])]",
    "gaussian_mixture[hidden=8,noise=4,batch=16,layout=grid,loss=hinge]",
    "digits01[hidden=8,batch=16]",
    "digits01[hidden=8,batch=16,loss=saturating,dropout=0]",
    "digits01[hidden=8,batch=16,loss=wasserstein,clip=0.1]",
)

# Tasks whose own metrics need many images, most of them with convolutional networks of
# one channel; the data sets of these are generated by the tests.
CIFAR10_TINY = "channels=1,noise=4,batch=4"
IMAGE_TASK_VARIANTS = (
    f"cifar10[{CIFAR10_TINY}]",
    f"cifar10[{CIFAR10_TINY},networks=wgan_gp,loss=saturating,clip=0.1,images=10]",
    f"cifar10[{CIFAR10_TINY},networks=mangoubi,loss=nonsaturating]",  # dropout
    f"cifar10[{CIFAR10_TINY},spectral=true]",
    f"cifar10[{CIFAR10_TINY},networks=wgan_gp,loss=nonsaturating,spectral=true]",
    f"cifar10[{CIFAR10_TINY},penalty=10]",
    f"cifar10[{CIFAR10_TINY},penalty=10,shared=false,between=normal]",
    f"cifar10[{CIFAR10_TINY},networks=mangoubi,spectral=true,penalty=1,l2=0.01]",
    f"cifar10[{CIFAR10_TINY},loss=saturating,l2=0.0001,deviation=0.02]",
    "conditional_digits[hidden=8,batch=16]",
    "conditional_digits[hidden=8,batch=16,loss=saturating,"
    "regularisers=(l2,spectral,noise,r1,gp)]",
    "mnist_icr[channels=1,noise=4,batch=4]",
    "mnist_icr[channels=1,noise=4,batch=4,loss=saturating,images=20]",
)
