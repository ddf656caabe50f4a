"""Commands as people type them, in every phase and dimension. ``python -m benchmarks.phases``."""
