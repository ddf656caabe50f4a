"""The continuous flow, fused and in plain PyTorch. ``python -m benchmarks.flow``."""
