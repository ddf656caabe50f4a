"""What is measured on configurations, and derived from the averages."""

from flowlat.observables.action_density import ActionDensity
from flowlat.observables.base import Configurations, Observable
from flowlat.observables.binder import Binder
from flowlat.observables.connected_susceptibility import ConnectedSusceptibility
from flowlat.observables.correlation_length import CorrelationLength
from flowlat.observables.effective_mass import EffectiveMass
from flowlat.observables.energies import KineticDensity, PotentialDensity
from flowlat.observables.magnetization import AbsMagnetization, Magnetization
from flowlat.observables.phi2 import Phi2
from flowlat.observables.schwinger_dyson import SchwingerDyson
from flowlat.observables.susceptibility import Susceptibility
from flowlat.observables.two_point import TwoPoint
from flowlat.observables.two_point_connected import TwoPointConnected

__all__ = [
    "AbsMagnetization",
    "ActionDensity",
    "Binder",
    "Configurations",
    "ConnectedSusceptibility",
    "CorrelationLength",
    "EffectiveMass",
    "KineticDensity",
    "Magnetization",
    "Observable",
    "Phi2",
    "PotentialDensity",
    "SchwingerDyson",
    "Susceptibility",
    "TwoPoint",
    "TwoPointConnected",
]
