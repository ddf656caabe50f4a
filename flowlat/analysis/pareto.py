"""The tail of importance weights: the shape k of a generalised Pareto distribution."""

import math

import numpy as np

from flowlat.analysis.jackknife import block_sums
from flowlat.analysis.stretches.chains import Chains

#: k from which on weights have no variance, and beyond which no average of them settles
NO_VARIANCE, HEAVY = 0.5, 0.7
#: with fewer weights in the tail there is no shape to be seen
SHORTEST_TAIL = 5
#: weights that differ by less than this, relatively, are equal
ROUNDING = 1e-12
#: weights, of a largest one of 1, below which the grid of the fit would overflow
FAINTEST = 1e-290
#: the prior of the shape: as many observations of k = 1/2 (Vehtari et al., appendix C)
PRIOR = 10


def pareto_k(log_weight: np.ndarray) -> float:
    """The shape k of the tail of the weights: their moments of order 1/k and above are infinite.

    k of the min(N / 5, 3 sqrt(N)) largest of N weights, above the next one. From k = 1/2 on they
    have no variance; up to 0.7 averages still converge at a useful rate, beyond it neither they nor
    their errors can be trusted. Vehtari et al., arXiv:1507.02646, sections 3 and 4.

    NaN where there is no tail to be seen: of 20 weights or fewer, of equal ones, of none at all.
    Infinity where the largest are out of all proportion to the rest.
    """
    log_weight = np.asarray(log_weight, dtype=float)
    size = tail_size(len(log_weight))
    if size < SHORTEST_TAIL:
        return math.nan
    return shape_above(np.partition(log_weight, -size - 1)[-size - 1 :])


def tail_size(n: int) -> int:
    """How many of n weights are the tail."""
    return math.ceil(min(0.2 * n, 3 * math.sqrt(n)))


def shape_above(largest: np.ndarray) -> float:
    """k of the largest log weights above the least of these, in any order."""
    highest = largest.max()
    if not math.isfinite(highest):
        return math.nan
    weight = np.sort(np.exp(largest - highest))
    tail = weight[1:] - weight[0]
    if tail[-1] < ROUNDING:
        return math.nan
    tail = tail[tail > FAINTEST]
    return generalised_pareto_shape(tail) if len(tail) >= SHORTEST_TAIL else math.inf


def pareto_k_of(values: np.ndarray | Chains, log_weight: np.ndarray) -> float:
    """k of w abs(a - <a>), the largest of the columns of measurements a, ``(n,)`` or ``(n, k)``,
    which may be chains of one replica.

    What the average of a needs is a variance of w a, not of w alone: a flow that is too narrow
    draws the large values of M^2 rarely, and gives them large weights. Vehtari et al., section 4.2.
    """
    rows = values if isinstance(values, Chains) else Chains.of([values])
    size = tail_size(len(log_weight))
    if size < SHORTEST_TAIL:
        return math.nan
    total, *sums = block_sums(rows, np.exp(log_weight - log_weight.max()), 1).sum(0)
    mean = np.array(sums) / total
    largest = np.full((len(mean), size + 1), -math.inf)
    for start, (part,) in rows.stretches():
        with np.errstate(divide="ignore"):
            apart = np.log(np.abs(part.reshape(len(part), -1) - mean)).T
        found = np.hstack([largest, log_weight[start : start + len(part)] + apart])
        largest = np.partition(found, -size - 1)[:, -size - 1 :]
    shapes = map(shape_above, largest)
    return max((k for k in shapes if not math.isnan(k)), default=math.nan)


def generalised_pareto_shape(x: np.ndarray) -> float:
    """k of (1 + k x / sigma)^(-1/k - 1) / sigma, x > 0 ``(n,)`` in ascending order.

    The posterior mean of b = -k / sigma on a grid, with the likelihood maximised over k at each b;
    then k(b) = mean log(1 - b x), drawn a little towards 1/2. Zhang and Stephens, Technometrics 51
    (2009) 316, whose k has the other sign.
    """
    n = len(x)
    points = 30 + math.isqrt(n)
    quartile = x[int(n / 4 + 0.5) - 1]
    b = 1 / x[-1] + (1 - np.sqrt(points / (np.arange(points) + 0.5))) / (3 * quartile)
    k = np.log1p(-b[:, None] * x).mean(1)
    log_likelihood = n * (np.log(-b / k) - k - 1)
    posterior = np.exp(log_likelihood - log_likelihood.max())
    best = (b * posterior).sum() / posterior.sum()
    return float((n * np.log1p(-best * x).mean() + PRIOR / 2) / (n + PRIOR))
