"""Which figures of a run cannot be trusted, and what to do: one table of rules."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from flowlat.analysis.gamma_method import FEWEST, LONG, LONG_REPLICA
from flowlat.analysis.pareto import HEAVY

#: an ESS below this is that of a flow that has not learnt the theory
LOW_ESS = 0.1
#: an error from fewer populations than this is itself uncertain by 1/4 and more
FEWEST_POPULATIONS = 10
#: |<sign M>| beyond which an ensemble of an even action is called one-sided
LOPSIDED = 0.5
#: share of all samples, and of those of its chain, that one configuration may be: beyond the latter
#: the errors of 64 lognormal replicas held the truth in 4 of 10 runs; ``FEWEST`` steps are allowed
STUCK, STUCK_REPLICA = 1 / 100, 1 / 4
#: of the best ESS of a training, what is left after a collapse, in two evaluations
COLLAPSED = 1 / 3
#: a fall of log Z that counts, in errors and by itself: a lost mode of two is log 2
LOG_Z_SIGMAS, LOG_Z_FALL = 5.0, 0.5
#: what the mirror image of a flow adds to log Z, where it is more than ``LOG_Z_SIGMAS`` errors
LOG_Z_SHORT = 0.1
#: pulls, in standard normal deviations: p = 5e-4, and p = 6e-5 since several are looked at
SUSPICIOUS, DRIFTING = 3.5, 4.0
#: of S, between two wells of a site: HMC was seen never to cross it from 5 on
FROZEN = 5.0
#: tau_int that chains need to forget where they started
BURN_IN = 20
#: RMS of log_prob(phi) - log q beyond which a flow is refused: two densities that differ by so much
#: differ in log Z by its square, 0.0025, and in acceptance by 0.05 / sqrt(pi) = 3 per cent. The
#: rounding of single precision stays far below, an inverse that is none is far above
MOST_OFF = 0.05
#: systematic over statistical error of log Z beyond which the sum of squares is felt: 5 per cent
SYSTEMATIC = 1 / 3


class Figures(dict[str, Any]):
    """Figures by name; one that is not there is NaN, which is neither above nor below a limit."""

    def __missing__(self, name: str) -> float:
        return math.nan


def figures_of(summary: Mapping[str, Any]) -> Figures:
    """The figures of a summary, and those that follow from them."""
    f = Figures({name: value for name, value in summary.items() if value is not None})
    n, stuck = max(f["n_samples"], 1), f["longest_rejection_run"]
    f["effective"] = n * f["ess"]
    drift = f.get("thermalisation", {})
    f["chained"] = n - (drift.get("proposals") or 0)
    f["steps"] = f["chained"] / f.get("replicas", 1)
    f["slowest_tau"], f["slowest_name"] = slowest(f.get("observables", {}))
    heavy = f.get("pareto_k_above", {})
    f["heavy"], f["heaviest"] = ", ".join(heavy), max(heavy.values(), default=math.nan)
    f["stuck"] = stuck > max(FEWEST, min(STUCK * n, STUCK_REPLICA * f["steps"]))
    f["lopsided"] = abs(f["sign_balance"]) > max(LOPSIDED, SUSPICIOUS / math.sqrt(n))
    if isinstance(log_z := f["log_z"], dict):  # of sample.py
        f["off"], f["log_z_error"] = map(real, (log_z.get("systematic"), log_z["error"]))
    if (inverse := f.get("inverse")) is not None:  # not finite is not a number in a file
        f["apart"] = real(inverse["log_q_error"])
    identity = f.get("schwinger_dyson", {})
    value, error = identity.get("value"), identity.get("error")
    f["identity_pull"] = abs(value - 1) / error if value and error else math.nan
    f["drift"], f["drifting"] = drift.get("pull") or math.nan, drift.get("observable")
    f["unthermalised"] = drift.get("proposals") == 0 and f.get("replicas", 1) > 1
    if burn_in := drift.get("burn_in"):
        f["burn_in_option"], f["slowest"] = burn_in["option"], burn_in["observable"]
        f["burn_in"], f["tau_int"] = burn_in["steps"], burn_in["tau_int"]
        f["burn_in_least"] = BURN_IN * burn_in["tau_int_at_least"]
        f["burn_in_wanted"] = rounded_up(BURN_IN * burn_in["tau_int"])
    f["bare"] = ", ".join(name for name, e in f.get("observables", {}).items() if bare(e))
    return f


def real(value: float | None) -> float:
    """NaN for what is not finite, and so None in a file."""
    return math.nan if value is None else value


def rounded_up(value: float) -> int:
    """To two digits."""
    unit = 10 ** max(0, math.floor(math.log10(value)) - 1)
    return math.ceil(value / unit) * unit


def slowest(observables: Mapping[str, Any]) -> tuple[float, str]:
    """The largest tau_int of all observables, of vectors each element, and whose it is."""
    times = [
        (time, name)
        for name, entry in observables.items()
        for e in (entry if isinstance(entry, list) else [entry])
        if not math.isnan(time := real(e.get("tau_int")))
    ]
    return max(times, default=(math.nan, ""))


def missing(f: Figures, name: str) -> bool:
    """Whether there is such a figure, and no error."""
    return not math.isnan(f[name]) and math.isnan(f[f"{name}_err"])


def bare(entry: Any) -> bool:
    """Whether an estimate, of a vector all of it, has no error."""
    errors = [e["error"] for e in (entry if isinstance(entry, list) else [entry])]
    return all(error is None or math.isnan(error) for error in errors)


class Rule(NamedTuple):
    """``text`` is formatted with the figures, whose names ``applies`` may use, too."""

    code: str
    applies: Callable[[Figures], bool]
    text: str


RULES = (
    Rule(
        "low_ess",
        lambda f: f["ess"] < LOW_ESS,
        "ESS {ess:.2g} is below 0.1: the flow has not learnt this theory; train longer, with "
        "another phase or a smaller optimizer.lr",
    ),
    Rule(
        "heavy_tail",
        lambda f: f["pareto_k"] > HEAVY,
        "Pareto k = {pareto_k:.2f} of the weights is above 0.7: a few of them carry ESS and log Z, "
        "and no error of chain or weights can be trusted, that of log Z, which cannot exceed 1, "
        "least of all; train longer, or sampler=annealed",
    ),
    Rule(
        "heavy_tail",
        lambda f: f["heavy"] != "" and not f["pareto_k"] > HEAVY,
        "the weights have no variance, and with {heavy} a Pareto k of up to {heaviest:.2f}, above "
        "0.7: the largest values are too rare among the proposals, and errors of the chain are too "
        "small; train longer, or sampler=annealed",
    ),
    Rule(
        "forward_heavy_tail",
        lambda f: missing(f, "forward_ess") or missing(f, "forward_log_z"),
        "no error of forward ESS or log Z: the ensemble is too short or stuck, or a few of its "
        "configurations, which the flow hardly reaches, carry the average; the forward ESS may be "
        "far too high",
    ),
    Rule(
        "systematic",
        lambda f: f["off"] > SYSTEMATIC * f["log_z_error"],
        "log Z is off by up to {off:.1g}, from rounding and the steps of the flow, with a "
        "statistical error of {log_z_error:.1g}: precision=64 or a smaller sampler.tolerance, in a "
        "fresh run, cures it",
    ),
    Rule(
        "no_density",
        lambda f: "apart" in f and not f["apart"] <= MOST_OFF,
        "forward and inverse of the flow differ by {apart:.2g} in log q: sample.py refuses it, for "
        "log q is not the density of its samples; train again with a smaller optimizer.lr, or try "
        "precision=64 with sample.py",
    ),
    Rule(
        "log_z_fell",
        lambda f: f["log_z_fall"] > max(LOG_Z_FALL, LOG_Z_SIGMAS * f["log_z_fall_err"]),
        "log Z fell by {log_z_fall:.2f}, with an error of {log_z_fall_err:.2f}, below what this "
        "training had reached: the flow has lost a mode, or its log q is not the density of its "
        "samples; try another phase or a smaller optimizer.lr",
    ),
    Rule(
        "ess_collapsed",
        lambda f: f["ess_left"] < COLLAPSED and f["best_ess"] > LOW_ESS,  # or there was none
        "the ESS collapsed from {best_ess:.2g} to {ess_left:.0%} of it: try another phase or a "
        "smaller optimizer.lr",
    ),
    Rule(
        "few_effective_samples",
        lambda f: f["effective"] < FEWEST,
        f"errors from {{effective:.3g}} effective samples mean little, {FEWEST} are the least",
    ),
    Rule(
        "few_populations",
        lambda f: f["populations"] < FEWEST_POPULATIONS,
        f"errors from {{populations}} population(s) mean little, {FEWEST_POPULATIONS} are the "
        "least: raise n_samples",
    ),
    Rule(
        "one_sided",
        lambda f: f["lopsided"] and f["kind"] == "chain",
        "<sign M> = {sign_balance:.2f}, and the action is even: the chains sit in one of two "
        "modes; sampler.sign_flip=true is the exact cure",
    ),
    Rule(
        "lost_mode",
        lambda f: f["log_z_short"] > max(LOG_Z_SHORT, LOG_Z_SIGMAS * f["log_z_short_err"]),
        "log Z is short by {log_z_short:.2f}, which the mirror image of the flow adds, and the "
        "action is even: the flow has lost a mode (log 2 = 0.693 is one of two); a training with "
        "phase=ordered is the exact cure",
    ),
    Rule(
        "one_sided",  # of what has no such comparison
        lambda f: f["lopsided"] and f["kind"] != "chain" and "log_z_short" not in f,
        "<sign M> = {sign_balance:.2f}, and the action is even: the flow sits in one of two modes, "
        "log Z is short by up to log 2 = 0.693; a flow trained with phase=ordered is the exact "
        "cure",
    ),
    Rule(
        "deep_wells",
        lambda f: f["barrier"] > FROZEN,
        "the barrier between the two wells of a site, {barrier:.3g} in S (m2^2 / (4 lam) in "
        "phi^4), is high: neither trajectories nor trainings cross it, and neither ESS nor "
        "acceptance shows signs of sites that were never seen; sampler=cluster and, in phi^4, "
        "sampler=hmc draw them anew: compare with one of them",
    ),
    Rule(
        "long_rejection_run",
        lambda f: f["stuck"],
        "one configuration was held for {longest_rejection_run} steps, in chains of {steps:.0f} "
        "steps and {n_samples} in all: the flow draws its like far too rarely, and averages along "
        "the chains are not settled",
    ),
    Rule(
        "short_chain",
        lambda f: min(f["chained"] / LONG, f["steps"] / LONG_REPLICA) < f["slowest_tau"],
        "{chained:.0f} steps, in chains of {steps:.0f}, are few for tau_int = {slowest_tau:.3g}, "
        f"of {{slowest_name}}: errors may be too small; {LONG} tau_int in all, {LONG_REPLICA} in a "
        "chain are the least",
    ),
    Rule(
        "not_thermalised",
        lambda f: f["drift"] > DRIFTING,
        "the first tenth of the chains and their second half differ by {drift:.1f} errors in "
        "{drifting}: the chains had not thermalised, or are too short",
    ),
    Rule(
        "not_thermalised",
        lambda f: f["unthermalised"],
        "{n_samples} proposals of ESS {ess:.2g} are too few to thermalise {replicas} chains, which "
        "start where the flow happened to be: take fewer sampler.replicas or more n_samples",
    ),
    Rule(
        "short_burn_in",
        lambda f: f["burn_in"] < f["burn_in_least"],
        f"{{burn_in_option}}={{burn_in}} is less than {BURN_IN} tau_int of {{slowest}}, which is "
        "{tau_int:.3g}: the chains may not have forgotten where they started; "
        "{burn_in_option}={burn_in_wanted} in a fresh run is enough",
    ),
    Rule(
        "schwinger_dyson",
        lambda f: f["identity_pull"] > SUSPICIOUS,
        "<phi dS/dphi> is not 1 within {identity_pull:.1f} errors: this ensemble is not one of "
        "exp(-S), or its errors are too small",
    ),
    Rule(
        "no_error",
        lambda f: f["bare"] != "",
        "no error could be given for {bare}: too few or stuck, or weights of too heavy a tail",
    ),
)


def warnings(summary: Mapping[str, Any]) -> list[dict[str, str]]:
    """What cannot be trusted of a summary of train.py or sample.py, or of any part of one.

    Each is a ``code``, which programs can rely on, and a ``text`` of one line with what to do.
    ``sign_balance`` is held against zero: leave it out unless the action is even.
    """
    figures = figures_of(summary)
    return [
        {"code": rule.code, "text": rule.text.format_map(figures)}
        for rule in RULES
        if rule.applies(figures)
    ]
