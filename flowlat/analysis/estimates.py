"""Observables with their errors, from chains and from weighted ensembles."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from flowlat.analysis.curvature import beyond_linear
from flowlat.analysis.gamma_method import Estimate, finite_mean, gamma_methods, replicas
from flowlat.analysis.importance import is_one_sample, normalised
from flowlat.analysis.jackknife import all_but_one, block_sums, jackknife, ratio
from flowlat.analysis.stretches.chains import Chains
from flowlat.observables import Observable

if TYPE_CHECKING:
    from pyerrors import Obs


def chain_estimate(
    observable: Observable, chains: Sequence[np.ndarray] | Chains, name: str
) -> Estimate | list[Estimate]:
    """An observable over replicas of measurements, ``(steps,)`` or ``(steps, n)`` each.

    The value is f = derive(mean); the error is that of the linear part of f,
    sum_i (df/da_i) a_i, by the Gamma method (Wolff, hep-lat/0306017, sec. 3), the gradient by
    autograd, and what the curvature of f adds, bias included, see
    :func:`flowlat.analysis.curvature.beyond_linear`. An element that does not exist (NaN), or has
    no gradient, has a NaN error.

    Raises:
        ValueError: a chain holds NaN or infinity.
    """
    chains = Chains.of(chains)
    means = finite_mean(chains, name)
    value = evaluate(observable, means)
    slope = gradient(observable, means)
    exists = np.isfinite(value.ravel()) & np.isfinite(slope).all(1)
    centred = chains.map(lambda part: (part - means).reshape(len(part), means.size))
    linear = centred.map(lambda part: value.ravel()[exists] + part @ slope[exists].T)
    known = iter(gamma_methods(linear, name) if exists.any() else [])
    more = np.zeros(value.size)
    if type(observable).derive is not Observable.derive:
        more = beyond_linear(observable, means, value, centred)
    found = zip(value.ravel().tolist(), exists, more.ravel().tolist(), strict=True)
    estimates = [
        widened(next(known), v, extra) if there else Estimate(v, math.nan, math.nan)
        for v, there, extra in found
    ]
    return shaped(estimates, value)


def widened(linear: Estimate, value: float, variance: float) -> Estimate:
    """With this value, and a variance that comes on top."""
    return linear._replace(value=value, error=math.sqrt(linear.error**2 + variance))


def chain_obs(
    observable: Observable, chains: Sequence[np.ndarray], ensemble: str = "ensemble"
) -> "Obs | list[Obs]":
    """:func:`chain_estimate` as a pyerrors Obs, of a vector a list, for functions of several.

    Replicas are named as by :func:`flowlat.analysis.gamma_method.replicas`. An element that does
    not exist is an Obs of NaN. Its error is that of the linear part alone.
    """
    from pyerrors import derived_observable  # and pandas with it

    columns = [chain.reshape(len(chain), -1) for chain in chains]
    series = [[c[:, i] for c in columns] for i in range(columns[0].shape[1])]
    averages = [replicas(one, ensemble) for one in series]
    means = np.concatenate(chains).astype(float).mean(0)
    value = evaluate(observable, means)
    found = [
        derived_observable(lambda _, value=number, **__: value, averages, man_grad=list(slope))
        for number, slope in zip(value.ravel(), gradient(observable, means), strict=True)
    ]
    return found if value.ndim else found[0]


def weighted_estimate(
    observable: Observable,
    values: np.ndarray | Chains,
    log_weight: np.ndarray,
    population: int,
    name: str,
) -> Estimate | list[Estimate]:
    """An observable over weighted rows, ``(rows,)`` or ``(rows, n)``, of log weight ``(rows,)``.

    ``values`` may be chains of one replica.

    f = derive(sum w a / sum w), with the error of a jackknife over about 100 blocks of whole
    populations (``population`` rows each, 1: independent rows). tau_int is NaN: there is no chain;
    the error too where the weights are worth one sample.
    A warning says where the bias, by the jackknife, is more than half the error; whether weights
    are enough for errors at all: :mod:`flowlat.analysis.trust`.

    Raises:
        ValueError: a value or a log weight is NaN or +infinity, or all weights are zero.
    """
    weight, _ = normalised(log_weight, name)
    rows = values if isinstance(values, Chains) else Chains.of([values])
    shape, blocks = rows.shape, block_sums(rows, weight, population)
    if not np.isfinite(blocks).all():
        raise ValueError(f"{name}: a measurement is NaN or infinity")
    means = (ratio(sums).reshape(shape) for sums in all_but_one(blocks))
    value = evaluate(observable, ratio(blocks.sum(0)).reshape(shape))
    error, _ = jackknife(value, np.stack([evaluate(observable, mean) for mean in means]), name)
    if is_one_sample(weight, population):
        error = np.full_like(error, math.nan)
    found = zip(value.ravel().tolist(), error.ravel().tolist(), strict=True)
    return shaped([Estimate(v, e, math.nan) for v, e in found], value)


def evaluate(observable: Observable, means: np.ndarray) -> np.ndarray:
    """derive(means), float64 ``()`` or ``(m,)``."""
    with torch.no_grad():
        return observable.derive(torch.as_tensor(means, dtype=torch.float64)).numpy()


def gradient(observable: Observable, means: np.ndarray) -> np.ndarray:
    """d derive / d means, float64 ``(m, n)``, 1 for an axis that is not there.

    Backwards, one element that does not exist can make the gradients of all others NaN. Then they
    are computed in forward mode, which does not mix them; PyTorch 2.13 takes 1.5 CPU seconds to
    import its compiler for that.
    """
    point = torch.as_tensor(means, dtype=torch.float64)
    value = evaluate(observable, means)
    if not value.size:
        return np.zeros((0, means.size))
    slope = torch.autograd.functional.jacobian(observable.derive, point)
    if slope.reshape(value.size, -1)[np.isfinite(value).ravel()].isnan().any():
        slope = torch.func.jacfwd(observable.derive)(point)
    return slope.reshape(value.size, -1).numpy()


def shaped(estimates: list[Estimate], value: np.ndarray) -> Estimate | list[Estimate]:
    """A list for a vector, its one element for a number."""
    return estimates if value.ndim else estimates[0]
