"""What an ensemble says, in the numbers of summary.json."""

import logging
import math
from typing import Any

import numpy as np
import torch

from flowlat.analysis.estimates import chain_estimate, weighted_estimate
from flowlat.analysis.gamma_method import Estimate
from flowlat.analysis.importance import ess, log_z_estimate, normalised
from flowlat.ensemble.reader import Ensemble
from flowlat.observables import Observable

log = logging.getLogger(__name__)

#: |<sign M>| beyond which an ensemble of an even action is called one-sided
LOPSIDED = 0.5
#: what an ensemble of one side is worth, and what to do
ONE_SIDED_CHAIN = "the chains sit in one mode; sampler.sign_flip=true is the exact cure"
ONE_SIDED_FLOW = (
    "it sits in one mode, log Z is short by up to log 2 = 0.693; a flow trained with "
    "recipe=ordered is the exact cure"
)


def summarize(ensemble: Ensemble, observables: dict[str, Observable], even: bool) -> dict[str, Any]:
    """The keys of summary.json that are functions of the ensemble; those it has not are left out.

    Args:
        observables: those that were measured.
        even: whether the action is, for a warning of a one-sided ensemble.
    """
    log_weight, population = ensemble.log_weight, ensemble.population
    summary: dict[str, Any] = {
        "kind": ensemble.kind,
        "replicas": ensemble.replicas,
        "n_samples": len(ensemble),
        "acceptance": acceptance(ensemble),
    }
    if ensemble.accepted is not None:
        summary["longest_rejection_run"] = ensemble.longest_rejection_run()
    if log_weight is not None:
        log_z, volume = log_z_estimate(log_weight, population), math.prod(ensemble.shape)
        summary["ess"] = ess(torch.from_numpy(log_weight))
        summary["log_z"] = log_z._asdict()
        density = {"value": -log_z.value / volume, "error": log_z.error / volume}
        summary["free_energy_density"] = density
    summary["sign_balance"] = balance = sign_balance(ensemble)
    if even and abs(balance) > LOPSIDED:
        cure = ONE_SIDED_CHAIN if log_weight is None else ONE_SIDED_FLOW
        log.warning("<sign M> = %.2f, and the action is even: %s", balance, cure)
    averages: dict[str, dict[str, Any]] = {"observables": {}}
    for name, observable in observables.items():
        if ensemble.kind != "weighted":
            estimate = chain_estimate(observable, ensemble.chains(name), name)
            averages["observables"][name] = plain(estimate)
        if log_weight is not None:
            values = ensemble.read(f"measured/{name}")
            estimate = weighted_estimate(observable, values, log_weight, population, name)
            key = "observables" if ensemble.kind == "weighted" else "reweighted"
            averages.setdefault(key, {})[name] = plain(estimate)
    identity = averages["observables"]["schwinger_dyson"]
    summary["schwinger_dyson"] = {key: identity[key] for key in ("value", "error")}
    return summary | averages


def acceptance(ensemble: Ensemble) -> float | None:
    """The fraction of steps taken; the first proposal of a replica starts it and is no decision."""
    if ensemble.accepted is None:
        return None
    decisions = ensemble.accepted[ensemble.replicas if ensemble.kind == "proposals" else 0 :]
    return float(decisions.mean()) if len(decisions) else math.nan


def sign_balance(ensemble: Ensemble) -> float:
    """<sign M>, along the chain or weighted."""
    sign = np.sign(ensemble.read("measured/magnetization"))
    if ensemble.kind == "weighted":
        return float(np.average(sign, weights=normalised(ensemble.read("log_weight"))[0]))
    return float(sign[ensemble.chain_index()].mean())


def plain(estimate: Estimate | list[Estimate]) -> dict[str, float] | list[dict[str, float]]:
    """An estimate as it is written to a file; a vector as a list."""
    return [e._asdict() for e in estimate] if isinstance(estimate, list) else estimate._asdict()
