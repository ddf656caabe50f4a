"""A continuous flow between maps of each site."""

from flowlat.bijections import Bijection, Composition, Continuous, SinhArcsinh, Spectral
from flowlat.lattice import Lattice
from flowlat.utils.limits import Count, Layers


def continuous(
    lattice: Lattice, n_steps: Layers = 4, channels: Count = 4, equivariant: bool = True
) -> Bijection:
    """An ODE for the couplings of the sites, and what it would learn slowly in few parameters.

    The sinh-arcsinh maps give each site its tails, those of exp(-phi^4), and the filter the
    spectrum its last correction.

    Args:
        n_steps: classical Runge-Kutta steps of the ODE in training; see :class:`Continuous`.
        channels: pairs of filters with a nonlinearity between them, see
            :class:`flowlat.bijections.Continuous`.
        equivariant: commutes with phi -> -phi.
    """
    return Composition(
        [
            SinhArcsinh(odd=equivariant),
            Continuous(lattice, n_steps, channels, odd=equivariant),
            Spectral(lattice),
            SinhArcsinh(odd=equivariant),
        ]
    )
