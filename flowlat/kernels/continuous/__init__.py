"""The ODE of the continuous flow, solved in plain PyTorch and by a fused kernel."""
