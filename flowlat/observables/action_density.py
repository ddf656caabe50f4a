"""The action per site."""

from torch import Tensor

from flowlat.observables.base import Configurations, Observable


class ActionDensity(Observable):
    """<S> / V."""

    symbol = "<S>/V"

    def measure(self, configurations: Configurations) -> Tensor:
        return configurations.action / configurations.volume
