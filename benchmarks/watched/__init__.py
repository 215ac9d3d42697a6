"""What asv watches from commit to commit: speed, memory, quality.

What is watched comes from the registries, so a new algorithm or task is watched from
its first day.
"""
