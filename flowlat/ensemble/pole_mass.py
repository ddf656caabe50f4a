"""The pole mass of an ensemble, from its two-point function."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from flowlat.analysis.estimates import chain_estimate, weighted_estimate
from flowlat.analysis.gamma_method import Estimate
from flowlat.analysis.mass.covariance import chain_blocks, weighted_blocks
from flowlat.analysis.mass.plateau import Plateau
from flowlat.analysis.mass.pole_mass import pole_mass
from flowlat.analysis.mass.windows import PoleMass
from flowlat.analysis.stretches.chains import Chains
from flowlat.ensemble.reader import Ensemble
from flowlat.ensemble.stretches import along_chains, in_rows
from flowlat.observables import Observable, TwoPoint

#: a Binder cumulant above this is nearer to +-v (2/3) than to a Gaussian M (0)
ORDERED = 0.5


def vector(entries: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Values and errors of a vector in a summary ``(2, n)``, NaN where there is none."""
    return np.array([(entry["value"], entry["error"]) for entry in entries], dtype=float).T


class Correlator(NamedTuple):
    """The two-point function of an ensemble that decays with the mass.

    known: its values and errors ``(2, T//2 + 1)``, of the improved estimator if there is one.
    """

    ensemble: Ensemble
    name: str
    observable: Observable
    known: np.ndarray
    improved: bool

    @property
    def column(self) -> str:
        """That of its measurements."""
        return f"{'improved' if self.improved else 'measured'}/{self.name}"

    @property
    def period(self) -> int:
        return self.ensemble.shape[-1]

    def estimate(self, observable: Observable) -> list[Estimate]:
        """A vector with errors that is made of the same measurements."""
        if self.ensemble.kind == "weighted":
            population = self.ensemble.population
            rows = in_rows(self.ensemble, self.column)  # all may not fit into memory
            log_weight = self.ensemble.read("log_weight")
            found = weighted_estimate(observable, rows, log_weight, population, self.name)
        else:
            found = chain_estimate(observable, self._chains(), self.name)
        return found if isinstance(found, list) else [found]

    def blocks(self) -> np.ndarray:
        """Its scatter over blocks of the chains, or without one of those of weighted rows."""
        if self.ensemble.kind == "weighted":
            return weighted_blocks(self.observable, *self._weighted(), self.ensemble.population)
        return chain_blocks(self.observable, self._chains())

    def effective_mass(self) -> list[Estimate]:
        """m(t), t = 0 .. T//2 - 1: of the function that the pole mass is fitted to.

        Without an error where that has none, of weights of too heavy a tail.
        """
        found = self.estimate(Plateau(self.observable, self.period))
        return [one._replace(error=math.nan) for one in found] if self._bare else found

    def mass(self, window: Sequence[int] | None) -> PoleMass:
        """See :func:`flowlat.analysis.mass.pole_mass.pole_mass`."""
        return pole_mass(
            self.observable, self.known, self.estimate, self.blocks, self.period, window
        )

    def entry(self, window: Sequence[int] | None) -> dict[str, Any]:
        """``pole_mass`` of a summary: of which function, improved or not, over which window (null:
        averaged)."""
        mass = self.mass(window)
        of = {"of": self.name, "improved": self.improved}
        entry = {**of, "window": window, "value": mass.value, "error": mass.error}
        return {**entry, "fits": [fit._asdict() for fit in mass.fits]}

    @property
    def _bare(self) -> bool:
        return bool(np.isnan(self.known[1]).all())

    def _chains(self) -> Chains:
        return along_chains(self.ensemble, self.column)

    def _weighted(self) -> tuple[np.ndarray, np.ndarray]:
        return self.ensemble.read(self.column), self.ensemble.read("log_weight")


def correlator_of(
    ensemble: Ensemble, observables: Mapping[str, Observable], summary: Mapping[str, Any]
) -> Correlator | None:
    """C(t), its connected part in an ordered phase; None where there is none, or one time slice.

    In one dimension there is no ordered phase: C(t) decays with the gap, however small.

    Not of an observable of another class that goes by its name.

    Args:
        summary: with its averages by name, ``observables``, and ``improved`` where there are any.
    """
    if not isinstance(observables.get("two_point"), TwoPoint) or ensemble.shape[-1] < 2:
        return None
    averages, improved = summary["observables"], summary.get("improved") or {}
    binder = (averages.get("binder") or {}).get("value") or 0.0
    connected = isinstance(observables.get("two_point_connected"), TwoPoint)
    ordered = binder > ORDERED and connected and len(ensemble.shape) > 1
    name = "two_point_connected" if ordered else "two_point"
    known = vector({**averages, **improved}[name])
    return Correlator(ensemble, name, observables[name], known, name in improved)
