"""Whether configurations are of a theory as they are read, by the Schwinger-Dyson identity.

If they are not, other readings are tried: the same numbers as the couplings of other conventions,
fields in another normalisation than that of their couplings, axes in another order.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import permutations
from typing import NamedTuple

import numpy as np
import torch

from flowlat.actions import Action, Phi4
from flowlat.analysis.gamma_method import Estimate, autocovariance, estimate
from flowlat.exchange.axes import arrange
from flowlat.exchange.convention import CONVENTIONS, Theory, kappa_of, theory_of
from flowlat.exchange.imported import fields
from flowlat.observables import Configurations, SchwingerDyson
from flowlat.utils.errors import ConfigError, EnsembleError

#: numbers of the configurations that are looked at, and steps of them
NUMBERS, STEPS = 2**19, 512
#: errors by which the identity may be missed: p = 6e-7; and of a reading that is named
MISSED, MET = 5.0, 3.0
#: a reading whose error is larger than this tells nothing
VAGUE = 0.1
#: axes of which every order is tried
AXES = 5


class Reading(NamedTuple):
    """Configurations ``(steps, replicas, *shape)`` taken for those of a theory.

    ``options``: how they are read so, as one types it.
    """

    values: np.ndarray
    theory: Theory
    options: str = ""

    def identity(self) -> Estimate:
        """<phi dS/dphi> / V of steps that are evenly spaced over the chains; exactly 1."""
        steps, a_step = len(self.values), self.values[0].size
        most = max(8, min(STEPS, NUMBERS // a_step))
        spacing = -(-steps // most)
        phi = self.theory.scale * torch.from_numpy(fields(self.values[::spacing]))
        action = phi4(self.theory)
        measured = SchwingerDyson().measure(Configurations(phi.flatten(0, 1), action))
        chains = measured.reshape(phi.shape[:2]).numpy()
        mean, rows = float(chains.mean()), chains.size
        gamma = autocovariance([chain[:, None] for chain in chains.T])[0]
        if len(gamma) > 2 and gamma[0] > 0:
            return estimate(mean, gamma, rows)
        return Estimate(mean, float(chains.std()) / math.sqrt(max(1, rows - 1)), math.nan)


def phi4(theory: Theory) -> Action:
    """The action of a theory; ConfigError where it is none."""
    try:
        return Phi4(theory.m2, theory.lam)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def pull(identity: Estimate) -> float:
    """How many errors the identity is missed by; NaN where nothing varies."""
    return (identity.value - 1) / identity.error if identity.error else math.nan


def require_identity(
    source: str, reading: Reading, others: Iterator[Callable[[], Reading]]
) -> None:
    """Raise EnsembleError, with the other readings that meet it, if a reading misses the identity.

    One that shows no fluctuation, or holds NaN, is not judged.
    """
    identity = reading.identity()
    if not abs(pull(identity)) > MISSED:
        return
    hints = fitting(others)
    elsewise = f"they are as {', or '.join(hints)}" if hints else "and no other reading fits"
    m2, lam, _ = reading.theory
    raise EnsembleError(
        f"{source}: <phi dS/dphi> is {identity.value:.3f} +- {identity.error:.3f} and not 1: as "
        f"they are read, these are not configurations of m2={m2:g} lam={lam:g}; {elsewise}; "
        "--unchecked takes them all the same"
    )


def others(
    array: np.ndarray,
    axes: Sequence[str],
    shape: Sequence[int],
    replicas: int | None,
    convention: str,
    couplings: Mapping[str, float],
) -> Iterator[Callable[[], Reading]]:
    """Other readings of an array; one that is not possible raises ConfigError when it is made."""
    numbers, d = list(couplings.values()), len(shape)
    theory = theory_of(convention, couplings, d)
    values = arrange(array, axes, shape, replicas)

    def typed(name: str, pair: Sequence[float]) -> str:
        named = zip(CONVENTIONS[name].couplings, pair, strict=True)
        return f"--convention {name} " + " ".join(f"--coupling {k}={v:.10g}" for k, v in named)

    def of_couplings(name: str, pair: Sequence[float]) -> Callable[[], Reading]:
        named = dict(zip(CONVENTIONS[name].couplings, pair, strict=True))
        return lambda: Reading(values, theory_of(name, named, d), typed(name, pair))

    def of_axes(order: Sequence[str]) -> Callable[[], Reading]:
        options = f"--axes {','.join(order)}"
        return lambda: Reading(arrange(array, order, shape, replicas), theory, options)

    for name in CONVENTIONS:
        if name != convention:
            yield of_couplings(name, numbers)
    if theory.scale != 1:  # the couplings are theirs, the fields are ours already
        yield of_couplings("flowlat", (theory.m2, theory.lam))
    yield of_couplings("g/4", (theory.m2, theory.lam))
    if theory.lam >= 0 and (theory.m2 + 2 * d > 0 or theory.lam > 0):
        kappa = kappa_of(theory.m2, theory.lam, d)
        yield of_couplings("hopping", (kappa, theory.lam * kappa**2))
    if len(axes) <= AXES:
        yield from (of_axes(order) for order in permutations(axes) if order != tuple(axes))


def fitting(readings: Iterator[Callable[[], Reading]], most: int = 3) -> list[str]:
    """What those are called that meet the identity, and how well; the first few."""
    found: list[str] = []
    seen: set[float] = set()
    for make in readings:
        try:
            reading = make()
            phi4(reading.theory)
        except ConfigError:
            continue
        identity = reading.identity()
        met = identity.error < VAGUE and abs(pull(identity)) < MET
        if met and identity.value not in seen:
            seen.add(identity.value)
            found.append(f"{reading.options} ({identity.value:.3f} +- {identity.error:.3f})")
        if len(found) == most:
            break
    return found
