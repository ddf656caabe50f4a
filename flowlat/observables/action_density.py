"""The action per site."""

from torch import Tensor

from flowlat.observables.base import Observable


class ActionDensity(Observable):
    """<S> / V."""

    symbol = "<S>/V"

    def __call__(self, phi: Tensor, action: Tensor) -> Tensor:
        return action / phi[0].numel()
