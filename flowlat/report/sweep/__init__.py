"""A multirun: who was first."""
