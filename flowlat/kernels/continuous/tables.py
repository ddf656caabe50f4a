"""What defines the velocity of the continuous flow."""

from typing import NamedTuple

from torch import Tensor


class Tables(NamedTuple):
    """For N times and the S shells of :func:`flowlat.lattice.shells`."""

    linear: Tensor  # A, (N, S)
    first: Tensor  # V_j, (N, S, channels)
    second: Tensor  # W_j, (N, S, channels)
    coefficients: Tensor  # c, (N, channels, terms): of s, s^3, ... if ``odd``, else of 1, s, ...
    trace: Tensor  # sum_k A(k), (N,)
    weights: Tensor  # sum_k V_j(k) W_j(k) / V, (N, channels)
