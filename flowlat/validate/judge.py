"""Pulls, and what they say together.

The numbers of one ensemble are correlated: C(t) at neighbouring t are nearly one number, and so are
|M| and chi2. They may not enter a chi2 as if they were independent. The pulls of an ensemble enter
as one degree of freedom, through the one p-value that Simes makes of them, Biometrika 73 (1986)
751: the smallest of n p_k / k, p_k the k-th smallest of n. It is exact where the n are independent
and where they are all the same, and between the two it errs on the safe side: too large.
Ensembles are independent.
"""

import math
from collections.abc import Iterable, Sequence
from statistics import NormalDist
from typing import NamedTuple

import torch

#: a p-value below this is a failure
THRESHOLD = 1e-4
#: of values without any statistical error, relatively
ROUNDING = 1e-9


class Check(NamedTuple):
    """A number of an ensemble against what it should be; exact references have error 0."""

    group: str
    ensemble: str
    name: str
    value: float
    error: float
    reference: float
    reference_error: float

    @property
    def pull(self) -> float:
        """The difference over its error."""
        rounding = ROUNDING * max(1.0, abs(self.reference))
        error = math.hypot(self.error, self.reference_error, rounding)
        return (self.value - self.reference) / error


class Verdict(NamedTuple):
    """chi2 over ``ensembles`` degrees of freedom, and its p-value."""

    chi2: float
    ensembles: int
    p_value: float


def verdict(checks: Iterable[Check]) -> Verdict:
    """One degree of freedom an ensemble, see the top of this module."""
    ensembles: dict[str, list[float]] = {}
    for check in checks:
        ensembles.setdefault(check.ensemble, []).append(check.pull)
    # the Gaussian deviation that has the two-sided p-value of an ensemble
    p_values = (max(simes(pulls), 1e-300) for pulls in ensembles.values())
    chi2 = sum(NormalDist().inv_cdf(p / 2) ** 2 for p in p_values)
    half = torch.tensor([len(ensembles) / 2, chi2 / 2], dtype=torch.float64)
    return Verdict(chi2, len(ensembles), torch.special.gammaincc(*half).item())


def overall(checks: Sequence[Check]) -> float:
    """The p-value of everything: that of chi2 or that of the largest pull of all, times their
    number, if it is smaller. Twice the smaller, since there are two.

    chi2 alone would not see one ensemble that is wrong among many that are right.
    """
    worst = len(checks) * min(p_value(check.pull) for check in checks)
    return min(1.0, 2 * min(verdict(checks).p_value, worst))


def simes(pulls: Sequence[float]) -> float:
    """One p-value of n pulls."""
    ordered = sorted(map(p_value, pulls))
    return min(len(pulls) * p / k for k, p in enumerate(ordered, 1))


def p_value(pull: float) -> float:
    """The probability of a larger deviation of a Gaussian number, of either sign."""
    return math.erfc(largeness(pull) / math.sqrt(2))


def largeness(pull: float) -> float:
    """The absolute value, infinite for what is no number: an error that could not be given."""
    return math.inf if math.isnan(pull) else abs(pull)
