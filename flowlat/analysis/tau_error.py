"""The error of tau_int, where chains are slow and not Gaussian."""

import math
from collections.abc import Sequence

import numpy as np

#: of a block, windows; fewest blocks whose scatter says something
BLOCK, FEWEST = 2, 8
#: of the relative error, which would have no upper end from 2 on
MOST = 1.4


def tau_error(tau_int: float, gaussian: float, scatter: float) -> float:
    """The error of tau_int, from the larger of two estimates at the tau_int that was found.

    Both grow as tau_int^(3/2), the window being some tau_int: a chain that happens to look fast has
    too small an error as well. So 1 / sqrt(tau_int) is what has a constant error, and that of
    tau_int is the distance to the upper end of its interval, with the relative error r

        error = tau_int ((1 - r / 2)^-2 - 1) = tau_int (r + 3 r^2 / 4 + ...).

    Args:
        gaussian: eq. (42) of Wolff, hep-lat/0306017, for Gaussian measurements.
        scatter: :func:`scatter_of_tau`.
    """
    r = min(max(gaussian, scatter) / tau_int, MOST)
    return tau_int * ((1 - r / 2) ** -2 - 1)


def scatter_of_tau(centred: Sequence[np.ndarray], window: int) -> float:
    """The error of tau_int(W) from its scatter over blocks of 2 W; 0 of fewer than eight blocks.

    tau_int(W) is <q> / <d^2>, q_s = d_s (d_s / 2 + d_{s+1} + ... + d_{s+W}): a ratio of averages,
    with the error of one, whatever the distribution of d. Chains of rejections, which stand still
    for long and rarely, have a larger one than Gaussian chains of the same autocorrelation.

    Args:
        centred: replicas ``(steps,)`` less their mean.
        window: W.
    """
    sums = [np.concatenate([np.zeros(1), np.cumsum(d)]) for d in centred]
    q, d2 = [], np.concatenate([d * d for d in centred])
    for d, total in zip(centred, sums, strict=True):
        here = np.arange(len(d))
        ahead = total[np.minimum(here + window + 1, len(d))] - total[here + 1]
        q.append(d * (d / 2 + ahead))
    variance = d2.mean()
    tau = sum(map(np.sum, q)) / d2.sum()
    blocks = []
    for one, d in zip(q, centred, strict=True):
        size = min(BLOCK * window, len(d))
        whole = len(d) // size * size
        blocks += list(((one - tau * d * d)[:whole] / variance).reshape(-1, size).mean(1))
    if len(blocks) < FEWEST:
        return 0.0
    return float(np.std(blocks, ddof=1)) / math.sqrt(len(blocks))
