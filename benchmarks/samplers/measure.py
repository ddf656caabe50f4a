"""The rows of a point, one a sampler."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from benchmarks.samplers.contenders import COUNTED, OBSERVABLES, Run, interleave
from benchmarks.samplers.points import M2, TRAINING, Point
from flowlat.actions import Phi4
from flowlat.analysis.gamma_method import SHORTEST, Estimate, gamma_methods
from flowlat.analysis.importance import ess
from flowlat.config.checkpoint import read_checkpoint
from flowlat.families import flow_at, shipped_family
from flowlat.flows.flow import Flow
from flowlat.lattice import Lattice
from flowlat.samplers import HMC, MCLMC, Annealed, Cluster, Hybrid, LatentHMC, Metropolis, Sampler

#: turns of each sampler, so that a noisy machine slows all of them
TURNS = 10
#: draws by which a family is judged before it takes part, and the ESS that it needs
PILOT, LEAST_ESS = 128, 0.05
#: steps that a chain needs, in tau_int, or its tau_int is a bound
LONG = 10
#: trajectories of thermalisation of MCLMC, which no kernel runs, and of what starts from a flow;
#: that of the others is their own
OF_MCLMC, OF_LATENT = 200, 20
WITH_FLOW = ("metropolis", "latent_hmc", "hybrid")


@torch.no_grad()
def measure(name: str, point: Point, seconds: float, thermalization: int | None) -> list[Any]:
    """Its rows, after so many CPU seconds of each sampler."""
    makers, flow, reason = contenders(point, thermalization)
    runs = interleave(makers, seconds, min(TURNS, max(1, round(seconds))))
    rows = [row(name, point, sampler, run, flow) for sampler, run in runs.items()]
    return [*rows, *({**head(name, point, s, flow), "reason": reason} for s in WITH_FLOW if reason)]


def contenders(
    point: Point, thermalization: int | None
) -> tuple[dict[str, Callable[[], Sampler]], str, str | None]:
    """What makes each sampler, the name of the family, and why it takes no part, if so."""
    theory, replicas = (Lattice(point.shape), Phi4(M2, point.lam)), point.replicas
    options: dict[str, Any] = {"replicas": replicas}
    if thermalization is not None:
        options["thermalization"] = thermalization
    few = {**options, "thermalization": thermalization or OF_MCLMC}
    fewer = {**options, "thermalization": thermalization or OF_LATENT}
    hmc = partial(HMC, **options)
    makers: dict[str, Callable[[], Sampler]] = {
        "hmc": partial(hmc, *theory),
        "mclmc": partial(MCLMC, *theory, **few),
        "cluster": partial(Cluster, *theory, **options),
        "annealed": partial(Annealed, *theory, population=replicas),
    }
    flow, family, expected = family_flow(point)
    if expected < LEAST_ESS:
        return makers, family, f"the ESS of {PILOT} draws is {expected:.3f}"
    action = theory[1]
    makers |= {
        "metropolis": partial(Metropolis, flow, 4 * replicas, action, replicas),
        "latent_hmc": partial(LatentHMC, flow, action, **fewer),
        "hybrid": partial(Hybrid, flow, action, hmc),
    }
    return makers, family, None


def family_flow(point: Point) -> tuple[Flow, str, float]:
    """The flow of the family in the package, inside of its domain or not, its name, its ESS."""
    action = {"_target_": "flowlat.actions.Phi4", "m2": M2, "lam": point.lam}
    config = {"lattice": {"shape": list(point.shape)}, "action": action}
    path = shipped_family(config)
    flow = flow_at(read_checkpoint(path), path, config, extrapolate=True).eval()
    phi, log_q = flow.sample(PILOT, torch.Generator().manual_seed(1))
    return flow, path.stem, ess(-Phi4(M2, point.lam)(phi.double()) - log_q.double())


def head(name: str, point: Point, sampler: str, family: str) -> dict[str, Any]:
    """What a row is of."""
    trained = {"family": family, "training_seconds": TRAINING[family]}
    of = {"point": name, "shape": point.shape, "lam": point.lam, "line": point.line}
    return {**of, "sampler": sampler, **(trained if sampler in WITH_FLOW else {})}


def row(name: str, point: Point, sampler: str, run: Run, family: str) -> dict[str, Any]:
    """The figures of a run: tau_int in rows of a chain, rates a CPU second and an evaluation."""
    weights, evaluations = run.weights(), run.evaluations()
    found: dict[str, Any] = {
        **head(name, point, sampler, family),
        "rows": run.rows,
        "seconds": run.seconds,
        "start_seconds": run.start,
        "evaluations": evaluations,
        "tuned": run.sampler.info(run.state),
        **(weights or {}),
    }
    if weights:
        found["log_z_cost"] = weights["log_z_error"] * math.sqrt(run.seconds)
    if sampler == "annealed":
        effective = run.rows * found["ess"]
    else:
        estimates = along(run)
        taus = [estimate.tau_int for estimate in estimates]
        if any(map(math.isnan, taus)):
            return {**found, "reason": "a chain has not moved, or too few rows"}
        found |= {
            "tau_int": taus[:COUNTED],
            "tau_int_error": [estimate.tau_int_error for estimate in estimates[:COUNTED]],
            "means": {n: e[:2] for n, e in zip(OBSERVABLES, estimates, strict=True)},
            "xi": xi(point, estimates),
            "steps": run.rows // run.sampler.replicas,
        }
        slowest = max(taus[:COUNTED])
        found["bound"] = not found["steps"] > LONG * slowest
        effective = run.rows / (2 * slowest)
    rate = effective / run.seconds
    per_evaluation = effective / (run.rows * evaluations)
    return {**found, "per_second": rate, "per_evaluation": per_evaluation}


def along(run: Run) -> list[Estimate]:
    """Of each observable, over all replicas; NaN of a chain too short for an error."""
    chains = run.chains().numpy()
    if len(chains) < SHORTEST:
        return [Estimate(float(value), math.nan, math.nan) for value in chains.mean((0, 2))]
    name = type(run.sampler).__name__
    return gamma_methods([chains[:, :, r] for r in range(chains.shape[2])], name)


def xi(point: Point, estimates: list[Estimate]) -> float | None:
    """The second-moment correlation length; None where phi is ordered or noise is all there is."""
    chi2, lowest = estimates[1].value, estimates[4].value
    side = point.shape[-1]
    square = (chi2 / lowest - 1) / (4 * math.sin(math.pi / side) ** 2)
    return math.sqrt(square) if square > 0 else None
