from flowlat.observables.action_density import ActionDensity
from flowlat.observables.base import Observable
from flowlat.observables.magnetization import AbsMagnetization, Magnetization
from flowlat.observables.phi2 import Phi2
from flowlat.observables.susceptibility import Susceptibility

__all__ = [
    "AbsMagnetization",
    "ActionDensity",
    "Magnetization",
    "Observable",
    "Phi2",
    "Susceptibility",
]
