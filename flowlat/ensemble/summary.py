"""What an ensemble says, in the numbers of summary.json."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flowlat.analysis.estimates import chain_estimate, weighted_estimate
from flowlat.analysis.gamma_method import Estimate
from flowlat.analysis.importance import ess, ess_of_populations, log_z_estimate, normalised
from flowlat.analysis.pareto import HEAVY, pareto_k
from flowlat.analysis.stretches.chains import Chains
from flowlat.analysis.thermalisation import drift, tau_int_range
from flowlat.analysis.trust import warnings
from flowlat.ensemble.file.layout import FORMAT_0_1
from flowlat.ensemble.pole_mass import correlator_of
from flowlat.ensemble.reader import Ensemble
from flowlat.ensemble.stretches import along_chains, in_rows
from flowlat.ensemble.tails import heavy_observables, without_error
from flowlat.observables import EffectiveMass, Observable


def summarize(
    ensemble: Ensemble,
    observables: dict[str, Observable],
    even: bool,
    barrier: float = 0.0,
    window: Sequence[int] | None = None,
) -> dict[str, Any]:
    """The keys of summary.json that are functions of the ensemble; those it has not are left out.

    Args:
        observables: those that were measured.
        even: whether the action is, for a warning of a one-sided ensemble.
        barrier: between two wells of a site, for a warning, where the sampler does not cross it.
        window: t_min and t_max of the fit of the pole mass; None: averaged over many.

    Weights whose Pareto k is above 0.7 give log Z and reweighted averages no error; below that,
    ``pareto_k_above`` names the observables whose weighted measurements are above, with that k.
    ``pole_mass`` is of the two-point function that it names (``of``), over its ``fits``, and so is
    ``effective_mass`` in it; that of ``observables`` is as its options say. Observables that do not
    exist on the lattice are left out. ``improved`` has those of improved estimators, where there
    are any, beside the plain ones in ``observables``.
    ``warnings`` is what cannot be trusted: :mod:`flowlat.analysis.trust`.
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
        summary |= weights(ensemble, torch.from_numpy(log_weight))
        log_z = log_z_estimate(log_weight, population, summary["pareto_k"])
        volume = math.prod(ensemble.shape)
        if heavy := heavy_observables(ensemble, summary["pareto_k"]):
            summary["pareto_k_above"] = heavy
        summary["log_z"] = log_z._asdict()
        state = {} if ensemble.format == FORMAT_0_1 else ensemble.state()
        if "systematic" in state:
            summary["log_z"]["systematic"] = float(state["systematic"].item())
        density = {"value": -log_z.value / volume, "error": log_z.error / volume}
        summary["free_energy_density"] = density
    summary["sign_balance"] = sign_balance(ensemble)
    if ensemble.kind != "weighted" and (found := thermalisation(ensemble)):
        summary["thermalisation"] = found
    averages: dict[str, dict[str, Any]] = {"observables": {}}
    for name, observable in observables.items():
        if not observable.exists(ensemble.shape):
            continue
        if ensemble.kind != "weighted":
            estimate = chain_estimate(observable, along_chains(ensemble, f"measured/{name}"), name)
            averages["observables"][name] = plain(estimate)
        if name in ensemble.improved:
            estimate = chain_estimate(observable, along_chains(ensemble, f"improved/{name}"), name)
            averages.setdefault("improved", {})[name] = plain(estimate)
        if log_weight is not None:
            values = in_rows(ensemble, f"measured/{name}")
            estimate = weighted_estimate(observable, values, log_weight, population, name)
            estimate = without_error(estimate, summary["pareto_k"] > HEAVY or name in heavy)
            key = "observables" if ensemble.kind == "weighted" else "reweighted"
            averages.setdefault(key, {})[name] = plain(estimate)
    identity = averages["observables"]["schwinger_dyson"]
    summary["schwinger_dyson"] = {key: identity[key] for key in ("value", "error")}
    summary |= averages
    if correlator := correlator_of(ensemble, observables, summary):
        summary["pole_mass"] = correlator.entry(window)
        if isinstance(observables.get("effective_mass"), EffectiveMass):
            summary["pole_mass"]["effective_mass"] = plain(correlator.effective_mass())
    figures = {**summary, "barrier": barrier}
    if not even:
        figures["sign_balance"] = None
    if ensemble.kind == "weighted":
        figures["populations"] = len(ensemble) // population
    return {**summary, "warnings": warnings(figures)}


def weights(ensemble: Ensemble, log_weight: Tensor) -> dict[str, float]:
    """ESS and Pareto k; of resampled particles from populations, which are independent."""
    population = ensemble.population
    if ensemble.config["sampler"].get("resample_below") is None:
        return {"ess": ess(log_weight), "pareto_k": pareto_k(log_weight.numpy())}
    means = torch.logsumexp(log_weight.reshape(-1, population), 1)
    value = ess_of_populations(log_weight, population)
    return {"ess": value, "pareto_k": pareto_k(means.numpy())}


def thermalisation(ensemble: Ensemble) -> dict[str, Any]:
    """Of S, |M|, M^2 and phi^2 that which drifts most, and by how many errors it does.

    Left out where it cannot be told: see :func:`flowlat.analysis.thermalisation.drift`. Where the
    sampler thermalises for a number of steps, ``burn_in`` has ``option`` and ``steps``, and of the
    slowest of the same quantities ``observable``, ``tau_int`` and what it is at least, in steps.
    ``proposals``, if any, are those that thermalised the chains before these count: 0 where the run
    was over before there were enough of them.
    """
    magnetization = along_chains(ensemble, "measured/magnetization")
    chains = {
        "S": along_chains(ensemble, "action"),
        "|M|": magnetization.map(np.abs),
        "M^2": magnetization.map(np.square),
    }
    if "phi2" in ensemble.config["observables"]:
        chains["phi^2"] = along_chains(ensemble, "measured/phi2")
    pulls = {name: abs(drift(replicated)) for name, replicated in chains.items()}
    known = {name: pull for name, pull in pulls.items() if math.isfinite(pull)}
    name = max(known, key=known.__getitem__, default="")
    found: dict[str, Any] = {"observable": name, "pull": known[name]} if known else {}
    if ensemble.kind == "proposals":
        found["proposals"] = ensemble.start_row
    if slowest := burn_in(ensemble, chains):
        found["burn_in"] = slowest
    return found


def burn_in(ensemble: Ensemble, chains: dict[str, Chains]) -> dict[str, Any]:
    """See :func:`thermalisation`; empty where there is no thermalisation, or no tau_int."""
    option, node = "sampler", ensemble.config["sampler"]
    if isinstance(hmc := node.get("hmc"), dict):
        option, node = "sampler.hmc", hmc
    if "thermalization" not in node:
        return {}
    thin = node.get("thin", 1)
    times = {name: tau_int_range(replicated, thin) for name, replicated in chains.items()}
    known = {name: least for name, (_, least) in times.items() if math.isfinite(least)}
    if not known:
        return {}
    name = max(known, key=known.__getitem__)
    tau_int, least = times[name]
    steps = {"option": f"{option}.thermalization", "steps": node["thermalization"]}
    return {**steps, "observable": name, "tau_int": tau_int, "tau_int_at_least": least}


def acceptance(ensemble: Ensemble) -> float | None:
    """The fraction of steps taken; the first proposal of a replica, if it starts it, is no
    decision."""
    if ensemble.accepted is None:
        return None
    starting = ensemble.replicas if ensemble.kind == "proposals" else 0
    decisions = ensemble.accepted[ensemble.start_row or starting :]
    return float(decisions.mean()) if len(decisions) else math.nan


def sign_balance(ensemble: Ensemble) -> float:
    """<sign M>, along the chain or weighted."""
    if ensemble.kind == "weighted":
        sign = np.sign(ensemble.read("measured/magnetization"))
        return float(np.average(sign, weights=normalised(ensemble.read("log_weight"))[0]))
    return float(along_chains(ensemble, "measured/magnetization").map(np.sign).mean())


def plain(estimate: Estimate | list[Estimate]) -> dict[str, float] | list[dict[str, float]]:
    """An estimate as it is written to a file; a vector as a list."""
    return [e._asdict() for e in estimate] if isinstance(estimate, list) else estimate._asdict()
