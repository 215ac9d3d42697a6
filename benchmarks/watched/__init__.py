"""Benchmarks for asv: speed, memory and quality over commits.

They are generated from the registries, so a new algorithm or task is covered at once.
"""
