"""The contract of a coupling's network."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from flowlat.lattice import Parity


class Net(nn.Module, ABC):
    """Maps the frozen field to the parameters of the active sites."""

    @abstractmethod
    def forward(self, x: Tensor, active: Parity) -> Tensor:
        """x ``(batch, 1, *shape)``, zero on the active sites -> ``(batch, n_params, *shape)``.

        The output is exactly zero off the active sites.
        """
