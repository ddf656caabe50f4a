"""A run folder: who may write to it, what is in it, and Hydra's record of how it came about."""
