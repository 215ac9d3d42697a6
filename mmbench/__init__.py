"""Benchmark harness for min-max algorithms."""
