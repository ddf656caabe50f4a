"""Which phase a theory is in: whether its field has two modes, found before the training."""

import copy
import logging
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch

from flowlat.actions import Action
from flowlat.bijections.continuous import solvers_of
from flowlat.config.build import build_action, build_flow, instantiate
from flowlat.config.checkpoint import read_checkpoint
from flowlat.families import read_start
from flowlat.lattice import Lattice
from flowlat.runs.launcher import rank
from flowlat.samplers import HMC
from flowlat.training.build import build_module, check_ensembles
from flowlat.utils.errors import CheckpointError, ConfigError
from flowlat.utils.rng import Stream, generator
from flowlat.utils.threads import set_threads

log = logging.getLogger(__name__)

#: U4 beyond which one mode and its mirror image train better than an equivariant flow. Two normal
#: peaks of width sigma at +-M have it at sigma = 0.13 M: nothing lies between them. Below, there is
#: something, which a flow of one mode draws far too rarely: see docs/howto/train.md
ORDERED = 0.645
#: skewness of |M| below which there still is: too little for U4, a tail of |M| towards 0
TAIL = -0.65
#: trajectories of every chain, and of them once more those for its thermalisation
TRAJECTORIES, THERMALIZATION = 200, 150
#: chains times sites at most; fewer than 16 chains never
SITES = 2**17
#: what a phase decides, beside ``symmetrize``
OPTIONS = (("prior", "shift"), ("arch", "equivariant"))


class Order(NamedTuple):
    """U4 = 1 - <M^4> / (3 <M^2>^2), and <|M|> and the skewness of |M|, M the mean of phi."""

    binder: float
    magnetization: float
    skewness: float


@torch.no_grad()
def measure_order(lattice: Lattice, action: Action, seed: int) -> Order:
    """A short run of HMC, 16 to 64 chains at once on the CPU; the same numbers every time.

    U4 is 2/3 for two sharp modes and 0 for a Gaussian around 0 (Binder, Z. Phys. B 43 (1981) 119).

    Raises:
        ValueError: HMC cannot sample this action.
    """
    replicas = min(64, max(16, SITES // lattice.volume))
    hmc = HMC(lattice, action, replicas=replicas, thermalization=THERMALIZATION)
    stream = generator(seed, Stream.PHASE)
    state, means = hmc.start(stream), []
    for _ in range(TRAJECTORIES):
        state, _ = hmc.advance(state, stream)
        means.append(state.phi.flatten(1).mean(1))
    m = torch.cat(means).abs()
    binder = 1 - m.pow(4).mean() / (3 * m.square().mean() ** 2)
    skewness = (m - m.mean()).pow(3).mean() / m.std() ** 3
    return Order(binder.item(), m.mean().item(), skewness.item())


def resolve_phase(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The config with what its phase decides: symmetrize, prior.shift, arch.equivariant.

    An ordered phase is learnt as one mode, whose mean starts at <|M|>, and the density symmetrised;
    in a symmetric phase all is left as it is. ``phase=auto`` takes the phase of the training that
    this one goes on from, or of the weights that it starts from, and else measures. An action that
    is not even, and ``symmetrize=true`` as it is typed, leave nothing to find.

    Raises:
        ConfigError: ``phase=ordered`` for an action that is not even, or for weights of a
            symmetric phase. Where it would measure also all that the training would refuse.
        CheckpointError: ``init_from`` cannot be read.
    """
    phase, action = config["phase"], build_action(config)
    if phase == "ordered" and not action.even:
        raise ConfigError("phase=ordered: the action is not even in phi, it has no two modes")
    if phase == "symmetric":
        return config
    if weights := _weights(config, folder):
        return _with_phase_of(config, *weights)
    if phase == "auto" and (config["symmetrize"] or not action.even):
        return {**config, "phase": "ordered" if config["symmetrize"] else "symmetric"}
    if phase == "ordered" and config["prior"].get("shift", 0) is not None:
        return _ordered(config, 0.0)  # nothing to measure
    check_ensembles(config)  # what would be refused after a minute of HMC is so before
    build_module(config, {})
    lattice, started = instantiate(config, "lattice"), time.monotonic()
    set_threads(config["threads"], lattice.shape, 64)
    try:
        order = measure_order(lattice, action, config["seed"])
    except ValueError as error:
        if phase == "ordered":
            raise ConfigError(f"phase=ordered: no <|M|> to start from: {error}") from error
        log.warning("phase=auto: HMC fails, trained as symmetric: %s", error)
        return {**config, "phase": "symmetric"}
    if ordered := phase == "ordered" or _has_two_modes(order, config):
        config = _ordered(config, order.magnetization)
    else:
        config = {**config, "phase": "symmetric"}
    (log.info if rank() == 0 else log.debug)(
        "phase=%s%s: U4 = %.3f, <|M|> = %.3f, its skewness %.2f, by HMC in %.1f s; %s",
        config["phase"],
        " found" if phase == "auto" else "",
        *order,
        time.monotonic() - started,
        f"one mode is learnt and mirrored exactly, {_decided(config)} (phase=symmetric does not)"
        if ordered
        else "phase=ordered would learn one mode",
    )
    return config


def _decided(config: dict[str, Any]) -> str:
    """What an ordered phase has decided, as one would type it."""
    options = [(group, name) for group, name in OPTIONS if name in config[group]]
    typed = [f"{group}.{name}={config[group][name]}".lower() for group, name in options]
    return " ".join(["symmetrize=true", *typed])


def _has_two_modes(order: Order, config: dict[str, Any]) -> bool:
    """Whether one mode and its mirror image train better.

    An ODE draws the tails of two modes, too; couplings cannot tear one mode into two.
    """
    return order.binder > ORDERED and (order.skewness > TAIL or not solvers_of(build_flow(config)))


def _ordered(config: dict[str, Any], magnetization: float) -> dict[str, Any]:
    """What an ordered phase decides, of the options that architecture and prior have."""
    config = {**copy.deepcopy(config), "phase": "ordered", "symmetrize": True}
    if config["prior"].get("shift", 0) is None:
        config["prior"]["shift"] = max(0.01, round(magnetization, 2))
    if "equivariant" in config["arch"]:
        config["arch"]["equivariant"] = False
    return config


def _weights(config: dict[str, Any], folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """The checkpoint to go on with, or to start from, and its config; None: there is none.

    Of those to go on with one that cannot be read is refused where it is needed.
    """
    for name in ("last", "epoch") if config["resume"] is True else ():
        with suppress(CheckpointError):
            path = folder / "checkpoints" / f"{name}.ckpt"
            return path, read_checkpoint(path)["flowlat"]["config"]
    if config["init_from"] is None:
        return None
    path, content = read_start(config)
    return path, content["flowlat"]["config"]


def _with_phase_of(config: dict[str, Any], path: Path, before: dict[str, Any]) -> dict[str, Any]:
    """The config with the phase of the weights in a checkpoint."""
    phase = "ordered" if before["symmetrize"] else "symmetric"
    if config["phase"] == "ordered" and phase == "symmetric":
        raise ConfigError(f"phase=ordered: the weights of {path} are those of a symmetric phase")
    if config["symmetrize"] > before["symmetrize"]:
        return config  # refused where the weights are loaded
    config = {**copy.deepcopy(config), "phase": phase, "symmetrize": before["symmetrize"]}
    for group, name in OPTIONS:
        if name in config[group] and name in before[group]:
            config[group][name] = before[group][name]
    return config
