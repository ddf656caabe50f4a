"""Sweeps: what is asked of a search before its first trial, what is known of a silent job."""
