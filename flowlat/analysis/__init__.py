"""Errors, autocorrelation, importance weights, and what is known exactly."""
