"""log Z of a point by a way that no flow is part of."""

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.phases.integration import integrated
from benchmarks.report import made
from flowlat.actions import Free, Phi4
from flowlat.analysis.exact import known
from flowlat.config.build import build_action, instantiate
from flowlat.config.compose import compose, validate
from flowlat.config.schemas import SampleConfig, TrainConfig
from flowlat.sampling.draw import draw

#: configurations of the first estimate: ten populations, the fewest for an error
POPULATION, FIRST = 64, 640
#: times as many as that at most; an error that needs more is integrated from twice the coupling
MOST = 20

Config = dict[str, Any]


def point(overrides: Sequence[str]) -> tuple[str, Config]:
    """The theory of a command, ``8x8 m2=-4 lam=8``, and its config."""
    config = validate(compose(list(overrides)), TrainConfig)
    action, shape = config["action"], config["lattice"]["shape"]
    return f"{'x'.join(map(str, shape))} m2={action['m2']:g} lam={action['lam']:g}", config


def reference(config: Config, goal: float) -> dict[str, Any]:
    """log Z of the theory of a config: ``value``, ``error``, and how they were found.

    In d = 1 from the transfer matrix, at lam = 0 that of the free field. Elsewhere by annealed
    importance sampling from the Gaussians around both minima of the mean field, so that both modes
    count: first ten populations, then as many more as an error of ``goal`` needs, for it falls as
    1 / sqrt(n). Where that is too many, or none would do, near the transition, by the integral of
    <phi^4> from 2 lam, where it is not.
    """
    action = build_action(config)
    if isinstance(action, Phi4) and action.lam == 0:
        action = Free(action.m2)
    values = known(action, instantiate(config, "lattice"))
    if "log_z" in values:
        return {"value": values["log_z"], "error": 0.0, "method": "exact"}
    with tempfile.TemporaryDirectory() as scratch:
        folder = made(Path(scratch) / "annealed")
        drawn = annealed(config, FIRST, folder)
        ratio = drawn["log_z"]["error"] / goal
        if not ratio**2 <= MOST:  # nor of weights whose tail leaves log Z without an error
            return integrated_from_afar(config, goal)
        if ratio > 1:
            drawn = annealed(config, math.ceil(FIRST * ratio**2), folder)
    return {
        "value": drawn["log_z"]["value"],
        "error": drawn["log_z"]["error"],
        "method": "sampler=annealed",
        **{key: drawn[key] for key in ("n_samples", "ess", "sign_balance", "seconds")},
    }


def integrated_from_afar(config: Config, goal: float) -> dict[str, Any]:
    """The reference at twice the coupling, and the integral from there."""
    action, shape = config["action"], config["lattice"]["shape"]
    start = {**config, "action": {**action, "lam": 2 * action["lam"]}}
    far = reference(start, goal / 2)
    line = (shape, action["m2"], start["action"]["lam"], action["lam"])
    change, error = integrated(*line, goal)
    return {
        "value": far["value"] + float(change),
        "error": math.hypot(far["error"], error),
        "method": f"HMC, integrated from lam={start['action']['lam']:g} by {far['method']}",
    }


def annealed(config: Config, n: int, folder: Path) -> dict[str, Any]:
    """The summary of so many configurations, those that are in the folder among them."""
    action, sides = config["action"], ",".join(map(str, config["lattice"]["shape"]))
    theory = [f"lattice.shape=[{sides}]", *(f"action.{key}={action[key]}" for key in ("m2", "lam"))]
    options = ["sampler=annealed", f"sampler.population={POPULATION}", f"n_samples={n}"]
    options += ["save_configs=false", "resume=true", "threads=1"]
    composed = compose([*theory, *options], "sample")
    return draw(validate(composed, SampleConfig), folder)


def pull(log_z: dict[str, float | None], truth: dict[str, Any]) -> float:
    """(log Z - reference) / their combined error, the systematic one of log Z included; infinite
    where log Z has no error."""
    if log_z["value"] is None or log_z["error"] is None:
        return math.inf
    errors = log_z["error"], log_z.get("systematic") or 0.0, truth["error"]
    return (log_z["value"] - truth["value"]) / math.hypot(*errors)
