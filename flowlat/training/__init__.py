"""train.py: from a checked config to checkpoints, metrics and a summary."""
