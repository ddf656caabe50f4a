"""Measurements read a stretch at a time: as much memory for a long run as for a short one."""
