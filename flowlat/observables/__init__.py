"""What is measured on configurations, and derived from the averages."""

from flowlat.observables.base import Configurations, Observable, SignAverages
from flowlat.observables.correlation_length import CorrelationLength
from flowlat.observables.densities import (
    ActionDensity,
    KineticDensity,
    Phi2,
    Phi4Density,
    PotentialDensity,
)
from flowlat.observables.effective_mass import EffectiveMass
from flowlat.observables.magnetization import (
    AbsMagnetization,
    Binder,
    ConnectedSusceptibility,
    Magnetization,
    Susceptibility,
)
from flowlat.observables.schwinger_dyson import SchwingerDyson
from flowlat.observables.two_point import TwoPoint, TwoPointConnected

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
    "Phi4Density",
    "PotentialDensity",
    "SchwingerDyson",
    "SignAverages",
    "Susceptibility",
    "TwoPoint",
    "TwoPointConnected",
]
