"""Words of algorithms with options and of tasks, for the contracts."""

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
    "accept_reject_search[patience=2,ascents=3]",
    "alone[player=x]",
    "alone[player=y,direction=adam]",
    "one_sided_cgd",
    "one_sided_cgd[player=x,step_size=(0.2,0.1)]",
)

TASK_VARIANTS = (
    "bilinear",
    "bilinear[dim=7,smallest=0.1,largest=3,spacing=log,instance=4]",
    "bilinear[box=5]",
    "quadratic",
    "quadratic[a=-3,b=4,c=-1,start_at=(5,7)]",
    "dirac_gan",
    "dirac_gan[loss=nonsaturating,r1=0.3]",
    "dirac_gan[loss=wasserstein,clip=1,start_at=(1,1)]",
    "four_gaussians[hidden=8,noise=4,batch=16]",
    "four_gaussians[hidden=8,noise=4,batch=16,loss=nonsaturating,weights=uniform]",
    "four_gaussians[hidden=8,noise=4,batch=16,loss=wasserstein,clip=0.5]",
    "digits01[hidden=8,batch=16]",
    "digits01[hidden=8,batch=16,loss=saturating,dropout=0]",
    "digits01[hidden=8,batch=16,loss=wasserstein,clip=0.1]",
)

# Convolutional networks of one channel; they read data sets that tests make up.
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
    "mnist_icr[channels=1,noise=4,batch=4]",
    "mnist_icr[channels=1,noise=4,batch=4,loss=saturating,images=20]",
)
