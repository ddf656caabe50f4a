"""Two-point functions that are given, and chains that scatter around them."""

import math

import numpy as np
from scipy import signal

from flowlat.observables import Observable


class Given(Observable):
    """Stands for a two-point function that is measured as it is."""

    symbol = "C(t)"

    def measure(self, configurations):
        raise NotImplementedError


def cosh(mass, period):
    """C(t) of one state, C(0) = 1, t = 0 .. T//2."""
    t = np.arange(period // 2 + 1)
    return np.cosh(mass * (period / 2 - t)) / np.cosh(mass * period / 2)


def chain(rng, c, tau_int, steps, correlation=0.9, spread=0.5):
    """C(t) of each configuration ``(steps, len(c))``: normal, autoregressive in time.

    All times have the tau_int; neighbours in t have this correlation, and t the standard deviation
    ``spread`` sqrt(C(0) C(t)).
    """
    half = len(c)
    a = (2 * tau_int - 1) / (2 * tau_int + 1)
    noise = rng.normal(size=(steps, half))
    noise[1:] *= math.sqrt(1 - a * a)
    series = signal.lfilter([1.0], [1.0, -a], noise, axis=0)
    together = correlation ** np.abs(np.subtract.outer(range(half), range(half)))
    return c + series @ np.linalg.cholesky(together).T * spread * np.sqrt(c[0] * c)
