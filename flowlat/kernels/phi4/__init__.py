"""Updates of phi^4 fused in C++: trajectories of Hybrid Monte Carlo, clusters, local updates."""
