"""Checkerboard couplings with combinational-convolution nets."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from flowlat.bijections import (
    Affine,
    Bijection,
    Checkerboard,
    Composition,
    SinhArcsinh,
    Spectral,
    Spline,
    Transform,
)
from flowlat.lattice import Lattice
from flowlat.nets import CombConvNet, Net, Z2Equivariant
from flowlat.utils.limits import COUNT, Count, Layers


def combconv(
    lattice: Lattice,
    k: Count | None = None,
    n_couplings: Layers = 8,
    block: Count | None = 2,
    spline_bins: Annotated[int, Field(ge=2, le=COUNT)] | None = None,
    hidden: Sequence[Count] = (8, 8),
    kernel_size: Count = 3,
    activation: str = "leaky_relu",
    activation_last: bool = False,
    final_tanh: bool = False,
    batch_norm: bool = False,
    identity_start: bool = True,
    equivariant: bool = False,
    recompute: bool = False,
    kernel: str = "auto",
) -> Bijection:
    """The bijection of the study of combinational convolutions, with its options.

    Args:
        k: axes convolved at once; None is all d of them, the standard convolution.
        n_couplings: coupling layers, alternating between the two sublattices.
        block: after every so many couplings a spectral filter, and around them a sinh-arcsinh map
            of each site: what couplings learn slowly, in a few parameters. None: couplings only.
        spline_bins: bins of a rational-quadratic spline before the affine map of each coupling
            (needs zuko). None: affine couplings.
        hidden: channels of the hidden layers; kernel_size: odd, per convolved axis.
        activation: of the hidden layers; ``activation_last`` puts it after the mean over branches.
        final_tanh: bound s and t by a tanh on the last layer.
        equivariant: couplings that commute with phi -> -phi, at twice the cost.
        recompute: compute the couplings again in the backward, to need less memory.
        kernel: implementation of the convolution, see :mod:`flowlat.kernels`.
    """
    layers: list[Bijection] = [] if block is None else [SinhArcsinh(odd=equivariant)]
    for i in range(n_couplings):
        transform: Transform = Affine() if spline_bins is None else Spline(spline_bins)
        net: Net = CombConvNet(
            lattice,
            n_params=transform.n_params,
            k=lattice.d if k is None else k,
            hidden=hidden,
            kernel_size=kernel_size,
            activation=activation,
            activation_last=activation_last,
            final_activation="tanh" if final_tanh else "identity",
            batch_norm=batch_norm,
            identity_start=identity_start,
            kernel=kernel,
        )
        if equivariant:
            net = Z2Equivariant(net, transform.reflect)
        layers.append(Checkerboard(lattice, "odd" if i % 2 else "even", net, transform))
        if block is not None and ((i + 1) % block == 0 or i + 1 == n_couplings):
            layers += [Spectral(lattice), SinhArcsinh(odd=equivariant)]
    return Composition(layers, recompute)
