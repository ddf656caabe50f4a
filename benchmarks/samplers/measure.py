"""The rows of a point, one a sampler."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from benchmarks.samplers.contenders import COUNTED, OBSERVABLES, Run, interleave
from benchmarks.samplers.family import PILOT, Known, family_at
from benchmarks.samplers.points import M2, TRAINING, Point
from flowlat.actions import Phi4
from flowlat.analysis.gamma_method import SHORTEST, Estimate, gamma_methods
from flowlat.lattice import Lattice
from flowlat.samplers import HMC, MCLMC, Annealed, Cluster, Hybrid, LatentHMC, Metropolis, Sampler

#: turns of each sampler, so that a noisy machine slows all of them
TURNS = 10
#: ESS of a few draws that a flow needs to take part
LEAST_ESS = 0.05
#: steps that a chain needs, in tau_int, or its tau_int is a bound; and effective samples that
#: weights need, or their ESS and their error of log Z are
LONG, ENOUGH = 10, 50
#: trajectories of thermalisation of MCLMC, which no kernel runs, and of what starts from a flow;
#: that of the others is their own
OF_MCLMC, OF_LATENT = 200, 20
WITH_FLOW = ("metropolis", "latent_hmc", "hybrid")


@torch.no_grad()
def measure(name: str, point: Point, seconds: float, thermalization: int | None) -> list[Any]:
    """Its rows, after so many CPU seconds of each sampler."""
    known = family_at(point)
    left_out = WITH_FLOW if known.ess < LEAST_ESS else ()
    makers = contenders(point, known, thermalization)
    for sampler in left_out:
        del makers[sampler]
    runs = interleave(makers, seconds, min(TURNS, max(1, round(seconds))))
    rows = [row(head(name, point, sampler, known), point, run) for sampler, run in runs.items()]
    reason = {"reason": f"the ESS of {PILOT} draws is {known.ess:.3f}"}
    return [*rows, *(head(name, point, sampler, known) | reason for sampler in left_out)]


def contenders(
    point: Point, known: Known, thermalization: int | None
) -> dict[str, Callable[[], Sampler]]:
    """What makes each sampler."""
    theory, replicas = (Lattice(point.shape), Phi4(M2, point.lam)), point.replicas
    flow, action = known.flow, theory[1]
    options: dict[str, Any] = {"replicas": replicas}
    if thermalization is not None:
        options["thermalization"] = thermalization
    few = {**options, "thermalization": thermalization or OF_MCLMC}
    fewer = {**options, "thermalization": thermalization or OF_LATENT}
    hmc = partial(HMC, **options)
    return {
        "hmc": partial(hmc, *theory),
        "mclmc": partial(MCLMC, *theory, **few),
        "cluster": partial(Cluster, *theory, **options),
        "annealed": partial(Annealed, *theory, population=replicas),
        "metropolis": partial(Metropolis, flow, 4 * replicas, action, replicas),
        "latent_hmc": partial(LatentHMC, flow, action, **fewer),
        "hybrid": partial(Hybrid, flow, action, hmc),
    }


def head(name: str, point: Point, sampler: str, known: Known) -> dict[str, Any]:
    """What a row is of."""
    of = {"point": name, "shape": point.shape, "lam": point.lam, "line": point.line}
    found = {**of, "sampler": sampler}
    if sampler in WITH_FLOW:
        found |= {"family": known.family, "inside_domain": known.inside}
        found["training_seconds"] = TRAINING[known.family]
    return found


def row(head: dict[str, Any], point: Point, run: Run) -> dict[str, Any]:
    """The figures of a run: tau_int in rows of a chain, rates a CPU second and an evaluation."""
    evaluations = run.evaluations()
    found: dict[str, Any] = {
        **head,
        "rows": run.rows,
        "seconds": run.seconds,
        "start_seconds": run.start,
        "evaluations": evaluations,
        "tuned": run.sampler.info(run.state),
        **run.weights(),
    }
    if head["sampler"] == "annealed":
        effective = run.rows * found["ess"]
        found["bound"] = effective < ENOUGH
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
