"""Nine methods that several suites compare."""


def nine_methods(
    step_size: str, direction: str, k: int, acgd: str, cgd: str
) -> tuple[str, ...]:
    """Return the specs of nine methods, under the same labels in every grid.

    Args:
        step_size: step size of the first-order methods.
        direction: direction of the first-order methods, as a spec.
        k: number of unrolled steps, and of answers to a proposal.
        acgd: step size of ACGD.
        cgd: step size of CGD.
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
