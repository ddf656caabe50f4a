"""Flows that need no training: families in the package, and their flow at a theory."""

from flowlat.families.point import flow_at
from flowlat.families.shipped import checkpoints, shipped_family
from flowlat.families.start import read_start, start_weights

__all__ = ["checkpoints", "flow_at", "read_start", "shipped_family", "start_weights"]
