"""Scans along a coupling: one, or several side by side."""
