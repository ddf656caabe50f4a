"""Effective samples a CPU second of every sampler, at the same points, in turn, in one process."""
