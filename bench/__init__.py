"""Benchmarks: this package and its peers, in one run, on one machine."""
