"""Trajectories of Hybrid Monte Carlo: momenta, integrators, how steps and lengths are tuned."""
