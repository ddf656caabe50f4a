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


def summarize(ensemble: Ensemble, observables: dict[str, Observable], even: bool) -> dict[str, Any]:
    """The keys of summary.json that are functions of the ensemble; those it has not are left out.

    Args:
        observables: those that were measured.
        even: whether the action is, for a warning of a one-sided ensemble.
    """
    summary: dict[str, Any] = {
        "kind": ensemble.kind,
        "replicas": ensemble.replicas,
        "n_samples": len(ensemble),
        "acceptance": acceptance(ensemble),
    }
    if ensemble.accepted is not None:
        summary["longest_rejection_run"] = ensemble.longest_rejection_run()
    if ensemble.log_weight is not None:
        log_z = log_z_estimate(ensemble.log_weight, ensemble.population)
        volume = math.prod(ensemble.shape)
        summary["ess"] = ess(torch.from_numpy(ensemble.log_weight))
        summary["log_z"] = log_z._asdict()
        summary["free_energy_density"] = {
            "value": -log_z.value / volume,
            "error": log_z.error / volume,
        }
    balance = sign_balance(ensemble)
    if even and abs(balance) > LOPSIDED:
        warn_of_one_side(ensemble, balance)
    along_chain: dict[str, Any] = {}
    reweighted: dict[str, Any] = {}
    for name, observable in observables.items():
        if ensemble.kind != "weighted":
            along_chain[name] = plain(chain_estimate(observable, ensemble.chains(name), name))
        if ensemble.log_weight is not None:
            values = ensemble.read(f"measured/{name}")
            found = weighted_estimate(
                observable, values, ensemble.log_weight, ensemble.population, name
            )
            reweighted[name] = plain(found)
    main = along_chain or reweighted
    identity = main["schwinger_dyson"]
    summary |= {
        "sign_balance": balance,
        "schwinger_dyson": {key: identity[key] for key in ("value", "error")},
        "observables": main,
    }
    if along_chain and reweighted:
        summary["reweighted"] = reweighted
    return summary


def acceptance(ensemble: Ensemble) -> float | None:
    """The fraction of steps taken; the first proposal of a replica starts it and is no decision."""
    if ensemble.accepted is None:
        return None
    first = ensemble.replicas if ensemble.kind == "proposals" else 0
    decisions = ensemble.accepted[first:]
    return float(decisions.mean()) if len(decisions) else math.nan


def sign_balance(ensemble: Ensemble) -> float:
    """<sign M>, along the chain or weighted."""
    sign = np.sign(ensemble.read("measured/magnetization"))
    if ensemble.kind == "weighted" and ensemble.log_weight is not None:
        weight, _ = normalised(ensemble.log_weight)
        return float((weight * sign).sum() / weight.sum())
    return float(sign[ensemble.chain_index()].mean())


def warn_of_one_side(ensemble: Ensemble, balance: float) -> None:
    """Say what a one-sided ensemble of an even action is worth, and what to do."""
    cure = "the chains sit in one mode; sampler.sign_flip=true is the exact cure"
    if ensemble.log_weight is not None:
        cure = (
            "it sits in one mode, log Z is short by up to log 2 = 0.693; a flow trained with "
            "recipe=ordered is the exact cure"
        )
    log.warning("<sign M> = %.2f, and the action is even: %s", balance, cure)


def plain(estimate: Estimate | list[Estimate]) -> dict[str, float] | list[dict[str, float]]:
    """An estimate as it is written to a file; a vector as a list."""
    if isinstance(estimate, list):
        return [one._asdict() for one in estimate]
    return estimate._asdict()
