"""Matrices of one step, under the name by which the tests know them."""

from mmbench.testing.step_matrices import dirac_matrix, radius, step_matrix

__all__ = ["dirac_matrix", "radius", "step_matrix"]
