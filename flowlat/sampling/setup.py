"""What a sampling run samples, and with what: from its config, or from a checkpoint."""

import inspect
from dataclasses import dataclass
from typing import Any

import torch

from flowlat.actions import Action
from flowlat.config.build import FLOW_GROUPS, build_action, instantiate
from flowlat.config.checkpoint import flow_of, read_checkpoint, sha256
from flowlat.config.sizes import check_sizes
from flowlat.config.validation import locate
from flowlat.flows.flow import Flow
from flowlat.lattice import Lattice
from flowlat.samplers.base import Sampler
from flowlat.utils.errors import ConfigError


@dataclass
class Theory:
    """Lattice and action, with the flow where there is one.

    ``config`` is the sampling config with the groups that the checkpoint brings.
    """

    lattice: Lattice
    action: Action
    flow: Flow | None
    config: dict[str, Any]
    checkpoint_sha256: str | None


def build_theory(config: dict[str, Any], device: torch.device) -> Theory:
    """The theory of a sampling config.

    The checkpoint of ``ckpt_path`` brings lattice and action, and a flow for a sampler that has a
    use for it.

    Raises:
        ConfigError: an option that cannot be used.
        CheckpointError: see ``read_checkpoint``.
    """
    path = config["ckpt_path"]
    if path is None:
        lattice = instantiate(config, "lattice")
        return Theory(lattice, build_action(config), None, config, None)
    content = read_checkpoint(path)
    trained_on = content["flowlat"]["config"]
    config = {**config, "lattice": trained_on["lattice"], "action": trained_on["action"]}
    check_sizes(config)
    flow = None
    if "flow" in parameters(config["sampler"]):
        flow = flow_of(content, path).to(device)
        if config["precision"]:
            flow.to(torch.float64 if config["precision"] == 64 else torch.float32)
        config["flow"] = {group: trained_on[group] for group in FLOW_GROUPS}
    return Theory(instantiate(config, "lattice"), build_action(config), flow, config, sha256(path))


def build_sampler(theory: Theory) -> Sampler:
    """The sampler of its config, with those of lattice, action, flow and batch_size that it takes.

    Raises:
        ConfigError: an option that cannot be used.
    """
    node = theory.config["sampler"]
    offered = {
        "lattice": theory.lattice,
        "action": theory.action,
        "flow": theory.flow,
        "batch_size": theory.config["batch_size"],
    }
    taken = {name: offered[name] for name in offered.keys() & parameters(node)}
    for name in taken.keys() & node.keys():
        raise ConfigError(f"sampler.{name}={node[name]}: comes from the run, not from the sampler")
    sampler = instantiate(theory.config, "sampler", **taken)
    if not isinstance(sampler, Sampler):
        raise ConfigError(f"sampler._target_={node['_target_']}: not a sampler")
    return sampler


def pick_devices(name: str, n: int) -> list[torch.device]:
    """n devices of a kind: n GPUs, or the CPU for n processes; "auto" is a GPU if there is one.

    Raises:
        ConfigError: they are not there, or the name is that of a certain one of several.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        if n > 1 and device.index is not None:
            raise ConfigError(f"device={name} with devices={n}: name the kind only")
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device={name}: {str(error).splitlines()[0]}") from error
    if n == 1 or device.type == "cpu":
        return [device] * n
    if n > (there := torch.cuda.device_count()):
        raise ConfigError(f"devices={n}: this machine has {there} GPUs")
    return [torch.device(device.type, i) for i in range(n)]


def parameters(node: dict[str, Any]) -> set[str]:
    """The names of the parameters of a ``_target_``."""
    return set(inspect.signature(locate(node["_target_"])).parameters)
