"""Whether chains are where they started from no longer."""

import math
from collections.abc import Sequence

import numpy as np

#: below this many the approximation to Student's t is poor
FEWEST_REPLICAS = 4


def drift(chains: Sequence[np.ndarray]) -> float:
    """By how many errors the first tenth of the replicas differs from their second half.

    Geweke's comparison (Bayesian Statistics 4 (1992) 169), with an error that replicas give and no
    autocorrelation time has to: that of the mean over replicas ``(steps,)`` of the difference.
    Student's t of r replicas is turned into the normal deviate of the same probability (Wallace,
    Ann. Math. Statist. 30 (1959) 1124): |z| > 4 has p = 6e-5 whatever r is.

    (1e-4 of four.) NaN of fewer than four replicas or ten steps, or where nothing moves.
    """
    steps = min(map(len, chains))
    if len(chains) < FEWEST_REPLICAS or steps < 10:
        return math.nan
    values = np.stack([chain[:steps] for chain in chains])
    difference = values[:, : steps // 10].mean(1) - values[:, steps // 2 :].mean(1)
    free = len(chains) - 1
    if not (spread := difference.std(ddof=1)):
        return math.nan
    t = difference.mean() / spread * math.sqrt(len(chains))
    deviate = (8 * free + 1) / (8 * free + 3) * math.sqrt(free * math.log1p(t * t / free))
    return math.copysign(deviate, t)
