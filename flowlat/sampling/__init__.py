"""sample.py: from a checked config to an ensemble and its summary."""
