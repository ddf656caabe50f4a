"""The rows of a point, one a sampler."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks.samplers.contenders import COUNTED, OBSERVABLES, Run, interleave
from benchmarks.samplers.flows import HUGE, PILOT, Known, family_at, trained_at
from benchmarks.samplers.points import M2, Point
from flowlat.actions import Phi4
from flowlat.analysis.gamma_method import SHORTEST, Estimate, gamma_methods
from flowlat.lattice import Lattice
from flowlat.samplers import HMC, MCLMC, Annealed, Cluster, Hybrid, LatentHMC, Metropolis, Sampler

#: turns of each sampler, so that a noisy machine slows all of them
TURNS = 10
#: ESS of a few draws that the flow of a family needs to take part, but for latent_hmc, whose forces
#: make up for it where they do not take minutes
LEAST_ESS = 0.05
#: steps that a chain needs, in tau_int, or its tau_int is a bound; and effective samples that
#: weights need, or their ESS and their error of log Z are
LONG, ENOUGH = 10, 50
#: trajectories of thermalisation of MCLMC, which no kernel runs, and of what starts from a flow;
#: that of the others is their own
OF_MCLMC, OF_LATENT = 200, 60
WITH_FLOW = ("metropolis", "latent_hmc", "hybrid")


class Contender(NamedTuple):
    """What makes a sampler, and the flow that it has."""

    make: Callable[[], Sampler]
    known: Known | None = None


@torch.no_grad()
def measure(
    name: str, point: Point, seconds: float, thermalization: int | None, folder: Path | None
) -> list[Any]:
    """Its rows, after so many CPU seconds of each sampler."""
    entries = contenders(name, point, thermalization, folder)
    rows, makers = [], {}
    for sampler, (make, known) in entries.items():
        local = sampler == "latent_hmc" and point.volume < HUGE
        if known and sampler in WITH_FLOW and known.ess < LEAST_ESS and not local:
            reason = {"reason": f"the ESS of {PILOT} draws is {known.ess:.3f}"}
            rows.append(head(name, point, sampler, known) | reason)
        else:
            makers[sampler] = make
    runs = interleave(makers, seconds, min(TURNS, max(1, round(seconds))))
    for sampler, run in runs.items():
        rows.append(row(head(name, point, sampler, entries[sampler].known), point, run))
    return sorted(rows, key=lambda row: list(entries).index(row["sampler"]))


def contenders(
    name: str, point: Point, thermalization: int | None, folder: Path | None
) -> dict[str, Contender]:
    """All samplers at a point: without a flow, with the family's, with those in a folder."""
    theory, replicas = (Lattice(point.shape), Phi4(M2, point.lam)), point.replicas
    options: dict[str, Any] = {"replicas": replicas}
    if thermalization is not None:
        options["thermalization"] = thermalization
    few = {**options, "thermalization": thermalization or OF_MCLMC}
    fewer = {**options, "thermalization": thermalization or OF_LATENT}
    hmc = partial(HMC, **options)

    def with_flow(sampler: str, known: Known) -> Contender:
        flow, action = known.flow, theory[1]
        make: dict[str, Callable[[], Sampler]] = {
            "metropolis": partial(Metropolis, flow, 4 * replicas, action, replicas),
            "latent_hmc": partial(LatentHMC, flow, action, **fewer),
            "hybrid": partial(Hybrid, flow, action, hmc),
        }
        return Contender(make[sampler], known)

    family = family_at(point)
    found = {
        "hmc": Contender(partial(hmc, *theory)),
        "mclmc": Contender(partial(MCLMC, *theory, **few)),
        "cluster": Contender(partial(Cluster, *theory, improved=False, **options)),
        "annealed": Contender(partial(Annealed, *theory, population=replicas)),
        **{sampler: with_flow(sampler, family) for sampler in WITH_FLOW},
    }
    if folder and point.trained:
        here, half = trained_at(name, point, folder)
        found |= {f"{s}, {here.origin}": with_flow(s, here) for s in WITH_FLOW[:2]}
        found[f"latent_hmc, {half.origin}"] = with_flow("latent_hmc", half)
    return found


def head(name: str, point: Point, sampler: str, known: Known | None) -> dict[str, Any]:
    """What a row is of."""
    of = {"point": name, "shape": point.shape, "lam": point.lam, "line": point.line}
    found = {**of, "sampler": sampler}
    return found | ({"flow": known.origin, "training_seconds": known.seconds} if known else {})


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
