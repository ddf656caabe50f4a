"""A prior and a bijection: densities one can sample from and evaluate."""

from flowlat.flows.domain import Domain, Point
from flowlat.flows.family import Family
from flowlat.flows.flow import Flow, PushforwardFlow, SymmetrizedFlow

__all__ = ["Domain", "Family", "Flow", "Point", "PushforwardFlow", "SymmetrizedFlow"]
