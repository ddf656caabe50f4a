"""From a checked config to the objects it describes."""

from functools import partial
from typing import Any

import hydra
import torch
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from flowlat.actions import Action
from flowlat.bijections import Bijection
from flowlat.config.compose import validate
from flowlat.config.schemas import TrainConfig
from flowlat.flows.domain import Domain
from flowlat.flows.family import Family
from flowlat.flows.flow import Flow, PushforwardFlow, SymmetrizedFlow
from flowlat.lattice import Lattice
from flowlat.priors import Prior
from flowlat.utils.errors import ConfigError
from flowlat.utils.rng import Stream, generator

#: the groups that define a flow, and so all that a checkpoint has to hold
FLOW_GROUPS = ("lattice", "action", "prior", "arch", "symmetrize")
#: what those groups have to build, and the packages of which a file may name what builds it
CONTRACTS = {
    "lattice": (Lattice, "flowlat.lattice"),
    "action": (Action, "flowlat.actions"),
    "prior": (Prior, "flowlat.priors"),
    "arch": (Bijection, "flowlat.archs"),
    "family": (Domain, "flowlat.flows"),
}


def build_flow(cfg: DictConfig | dict[str, Any], seed: int | None = None) -> Flow:
    """A flow with fresh weights, a function of the config and ``seed`` (default: the config's).

    >>> flow = build_flow(compose(["lattice=4d", "arch=combconv_k1", "prior=normal"]))

    Raises:
        ConfigError: an option that cannot be used, with its key and value.
        ValueError: a seed that is negative, or not below 2^64.
    """
    config = plain(cfg)
    seed = config.get("seed", 0) if seed is None else seed
    with torch.random.fork_rng(devices=[]):
        # what the layers of PyTorch draw from, of which manual_seed would take 32 bits
        torch.set_rng_state(generator(seed, Stream.WEIGHTS).get_state())
        lattice = instantiate(config, "lattice")
        prior = instantiate(config, "prior", lattice=lattice)
        bijection = instantiate(config, "arch", lattice=lattice)
    flow: Flow = PushforwardFlow(prior, bijection)
    if config.get("symmetrize"):
        if not build_action(config).even:
            raise ConfigError("symmetrize=True: the action is not even in phi")
        flow = SymmetrizedFlow(flow)
    return flow


def build_family(cfg: DictConfig | dict[str, Any], seed: int | None = None) -> Family:
    """The flow of a config as a function of the couplings, with fresh weights.

    >>> family = build_family(compose(["family=phi4_2d"]))
    >>> flow = family.at(m2=-4.0, lam=5.3, lattice=Lattice([12, 12]))

    Raises:
        ConfigError: an option that cannot be used, or an architecture that makes no family; a
            lattice of another dimension.
    """
    config = plain(cfg)
    domain: Domain = instantiate(config, "family")
    domain.require_dimension(config["lattice"]["shape"])
    return Family(domain, partial(_build_on, config, seed))


def _build_on(config: dict[str, Any], seed: int | None, lattice: Lattice) -> Flow:
    """The flow of a config, on another lattice."""
    node = {**config["lattice"], "shape": list(lattice.shape)}
    return build_flow({**config, "lattice": node}, seed)


def action_at(config: dict[str, Any], m2: float, lam: float) -> Action:
    """The action of a config, with other couplings."""
    return build_action({**config, "action": {**config["action"], "m2": m2, "lam": lam}})


def build_action(cfg: DictConfig | dict[str, Any]) -> Action:
    """The action of a config."""
    return instantiate(plain(cfg), "action")


def instantiate(config: dict[str, Any], group: str, **given: Any) -> Any:
    """The object of one group; any failure becomes a ConfigError that names the group."""
    try:
        made = hydra.utils.instantiate(config[group], **given)
    except (InstantiationException, OmegaConfBaseException) as error:
        cause = error.__cause__ or error
        raise ConfigError(f"{group}: {cause}") from error
    if group in CONTRACTS and not isinstance(made, CONTRACTS[group][0]):
        raise ConfigError(f"{group}._target_={config[group]['_target_']}: makes no {group}")
    return made


def instantiate_all(config: dict[str, Any], group: str) -> dict[str, Any]:
    """The objects of a group that holds several by name."""
    nodes = config[group] or {}
    return {name: instantiate(nodes, name) for name in nodes}


def plain(cfg: DictConfig | dict[str, Any]) -> dict[str, Any]:
    """Plain data: a composed config is checked, plain data is taken as checked."""
    if isinstance(cfg, DictConfig):
        return validate(OmegaConf.create(cfg), TrainConfig)
    return cfg
