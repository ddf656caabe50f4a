"""The theories: S[phi] and its force."""

from flowlat.actions.base import Action
from flowlat.actions.free import Free
from flowlat.actions.phi4 import Phi4, as_phi4

__all__ = ["Action", "Free", "Phi4", "as_phi4"]
