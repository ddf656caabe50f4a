"""Whether chains are where they started from no longer, and whether they had the time for it."""

import math
from collections.abc import Sequence

import numpy as np

from flowlat.analysis.gamma_method import FEWEST, SHORTEST, estimate, settled
from flowlat.analysis.stretches.chains import Chains

#: below this many the approximation to Student's t is poor, and the error is not that of replicas
FEWEST_REPLICAS = 4
#: with fewer, the first two of these windows of a chain are compared with those of its second half
WINDOWS = 20
#: of which each has so many tau_int, or their means are not independent
INDEPENDENT = 5
#: errors of tau_int: chains that had exactly the steps they need are seldom said to have had fewer
SIGMAS = 4.0


def drift(chains: Sequence[np.ndarray] | Chains) -> float:
    """By how many errors the first tenth of the chains differs from their second half.

    Geweke's comparison (Bayesian Statistics 4 (1992) 169), with an error that replicas give and no
    autocorrelation time has to: that of the mean over replicas ``(steps,)`` of the difference.
    Student's t of r replicas is turned into the normal deviate of the same probability (Wallace,
    Ann. Math. Statist. 30 (1959) 1124): |z| > 4 has p = 6e-5 whatever r is.

    (1e-4 of four.) Fewer than four replicas are cut into windows, a twentieth of a chain each, and
    the error is that of the means of windows, as they scatter in the second half.

    NaN of fewer than ten steps, or where nothing moves; of fewer than four replicas also where a
    window is too short for its mean to be independent of the next one's.
    """
    chains = Chains.of(chains)
    steps, replicas = int(chains.lengths.min()), len(chains.lengths)
    if steps < 10:
        return math.nan
    chains = chains.part(0, steps)
    if replicas < FEWEST_REPLICAS:
        return _drift_of_windows(chains)
    early, late = chains.part(0, steps // 10), chains.part(steps // 2, steps)
    difference = early.block_means(early.steps) - late.block_means(late.steps)
    error = difference.std(ddof=1) / math.sqrt(replicas)
    return deviate(difference.mean(), error, replicas - 1)


def _drift_of_windows(chains: Chains) -> float:
    """:func:`drift` of few chains of equal lengths."""
    size = chains.steps // WINDOWS
    if not size:
        return math.nan
    early = chains.part(0, 2 * size)
    late = chains.part(chains.steps - size * (WINDOWS // 2), chains.steps)
    gamma = autocovariance_of(late)
    if not gamma[0] > 0 or size < INDEPENDENT * estimate(0.0, gamma, late.rows).tau_int:
        return math.nan
    means = late.block_means(size)
    error = means.std(ddof=1) * math.sqrt(size / early.rows + 1 / len(means))
    return deviate(early.mean() - means.mean(), error, len(means) - 1)


def autocovariance_of(chains: Chains) -> np.ndarray:
    """Gamma(t) of one quantity, as far as its window needs it."""
    columns = chains.map(lambda part: part[:, None])
    return settled(columns, columns.mean())[0]


def deviate(difference: float, error: float, free: int) -> float:
    """The normal deviate of Student's t = difference / error with so many degrees of freedom."""
    if not error:
        return math.nan
    t = difference / error
    size = (8 * free + 1) / (8 * free + 3) * math.sqrt(free * math.log1p(t * t / free))
    return math.copysign(size, t)


def tau_int_range(chains: Sequence[np.ndarray] | Chains, thin: int) -> tuple[float, float]:
    """tau_int of replicas ``(steps,)``, and what it is at least.

    That is tau_int / (1 + ``SIGMAS`` r), r its relative error. Both are in steps of chains of which
    only every ``thin``-th is seen, as if the autocorrelation were a single exponential rho^t, with
    tau_int = 1/2 (1 + rho) / (1 - rho). NaN where they mean nothing.
    """
    chains = Chains.of(chains)
    if chains.rows < FEWEST or chains.steps < SHORTEST:
        return math.nan, math.nan
    gamma = autocovariance_of(chains)
    if not gamma[0] > 0:
        return math.nan, math.nan
    found = estimate(0.0, gamma, chains.rows)
    least = found.tau_int / (1 + SIGMAS * found.tau_int_error / found.tau_int)
    seen = [max(0.0, 2 * tau_int - 1) / (2 * tau_int + 1) for tau_int in (found.tau_int, least)]
    tau_int, least = (0.5 * (1 + r) / (1 - r) for r in (r ** (1 / thin) for r in seen))
    return tau_int, least
