"""Stacks of periodic stencils: what they are, the oracle, and the fast paths."""
