"""How good the flows get: the points of the literature. ``python -m benchmarks.quality``."""
