"""Errors of Monte Carlo averages, by the Gamma method."""

import logging
import math
from typing import NamedTuple

import numpy as np
import pyerrors

log = logging.getLogger(__name__)

#: below this many measurements an autocorrelation time cannot be estimated
FEWEST = 50


class Estimate(NamedTuple):
    """A mean, its error, and the integrated autocorrelation time (white noise has 0.5)."""

    value: float
    error: float
    tau_int: float


def gamma_method(chain: np.ndarray, name: str) -> Estimate:
    """Mean of a chain with the error of the Gamma method (Wolff, hep-lat/0306017).

    tau_int = 1/2 + sum_t rho(t). Error and tau_int are NaN, and a warning says why, where they
    would mean nothing: fewer than 50 measurements, or a chain that never moved.

    Raises:
        ValueError: the chain holds NaN or infinity.
    """
    if not np.isfinite(chain).all():
        raise ValueError(f"{name}: the chain holds NaN or infinity")
    value = float(chain.mean())
    if len(chain) < FEWEST:
        log.warning("%s: %d measurements are too few for an error", name, len(chain))
        return Estimate(value, math.nan, math.nan)
    if np.ptp(chain) == 0:
        log.warning("%s: the chain never moved, it has no error", name)
        return Estimate(value, math.nan, math.nan)
    # observables named in a table of their own: the ensemble's name must not matter
    obs = pyerrors.Obs([chain], ["ensemble"])
    obs.gamma_method()
    return Estimate(value, float(obs.dvalue), float(obs.e_tauint["ensemble"]))
