"""A prior and a bijection: densities one can sample from and evaluate."""

from flowlat.flows.flow import Flow, PushforwardFlow, SymmetrizedFlow

__all__ = ["Flow", "PushforwardFlow", "SymmetrizedFlow"]
