"""Nine methods under the labels that several suites share."""


def nine_methods(
    step_size: str, direction: str, k: int, acgd: str, cgd: str
) -> tuple[str, ...]:
    """Nine methods with one step size, under the labels that all grids share.

    Args:
        step_size: of the first-order methods, in words.
        direction: of the first-order methods, in words.
        k: unrolled steps, and answers to a proposal.
        acgd: step size of ACGD, which sets its own direction.
        cgd: step size of CGD, which knows no direction.
    """
    common = f"step_size={step_size},direction={direction}"
    return (
        f"GDA = gda[{common}]",
        f"alternating GDA = alternating_gda[{common}]",
        f"OMD = omd[{common}]",
        f"extragradient = extragradient[{common}]",
        f"past extragradient = past_extragradient[{common}]",
        f"unrolled = unrolled[{common},k={k}]",
        f"CGD = cgd[step_size={cgd},tolerance=0.001]",
        f"ACGD = acgd[step_size={acgd},tolerance=0.001]",
        f"accept-reject = accept_reject[{common},k={k}]",
    )
