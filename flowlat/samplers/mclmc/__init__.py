"""Microcanonical Langevin Monte Carlo: isokinetic dynamics, and chains of its trajectories."""

from flowlat.samplers.mclmc.sampler import MCLMC

__all__ = ["MCLMC"]
