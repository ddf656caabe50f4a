"""What a sampling run samples, and with what: from its config, or from a checkpoint."""

from collections.abc import Callable
from functools import partial
from inspect import Parameter
from typing import Any, NamedTuple

import torch
from torch import Tensor

from flowlat.actions import Action
from flowlat.config.build import CONTRACTS, FLOW_GROUPS, build_action, instantiate
from flowlat.config.checkpoint import checkpoint_file, flow_of, is_family, read_checkpoint
from flowlat.config.sizes import check_sizes
from flowlat.config.trust import check_node
from flowlat.config.validation import locate, signature
from flowlat.ensemble.file.layout import fields_column
from flowlat.families import flow_at, shipped_family
from flowlat.lattice import Lattice
from flowlat.observables import Observable
from flowlat.samplers.base import Block, Sampler
from flowlat.sampling.measure import build_observables, measure
from flowlat.utils.errors import ConfigError
from flowlat.utils.files import sha256


class Setup(NamedTuple):
    """What is drawn, and what is measured on it.

    ``config`` is the sampling config with the groups that the checkpoint brings; ``measure`` gives
    the columns of a block.
    """

    config: dict[str, Any]
    checkpoint_sha256: str | None
    lattice: Lattice
    action: Action
    sampler: Sampler
    observables: dict[str, Observable]
    measure: Callable[[Block], dict[str, Tensor]]


def build_setup(config: dict[str, Any], device: torch.device) -> Setup:
    """The parts of a sampling run.

    The checkpoint of ``ckpt_path`` brings lattice and action, and a flow for a sampler that has a
    use for it; that of a family brings the flow for the lattice and the action of the config, and
    without ``ckpt_path`` a sampler that needs a flow has that of a family in the package. A sampler
    gets those of lattice, action, flow, batch_size and n_samples that it takes.

    Raises:
        ConfigError: an option that cannot be used.
        CheckpointError: see ``read_checkpoint``.
    """
    node, path = config["sampler"], config["ckpt_path"]
    parameters, flow = signature(locate(node["_target_"])), None
    if path is None and "flow" in parameters and parameters["flow"].default is Parameter.empty:
        try:
            path = shipped_family(config)
        except ConfigError as error:
            raise ConfigError(
                f"{error}: train a flow and give its folder as ckpt_path, or draw without one, by "
                "sampler=hmc or sampler=annealed"
            ) from error
    if path is not None:
        content = read_checkpoint(path)
        trained_on, family = content["flowlat"]["config"], is_family(content)
        if not family:
            config = {**config, "lattice": trained_on["lattice"], "action": trained_on["action"]}
            check_sizes(config)
        if "flow" in parameters:
            if family:
                flow = flow_at(content, path, config, config["family"]["extrapolate"])
            else:
                flow = flow_of(content, path)
            flow.to(device)
            if config["precision"]:
                flow.to(torch.float64 if config["precision"] == 64 else torch.float32)
            groups = (*FLOW_GROUPS, "family") if family else FLOW_GROUPS
            theory = {name: config[name] for name in ("lattice", "action")}
            config = {**config, "flow": {name: trained_on[name] for name in groups} | theory}
    # now, not when the ensemble, which names it, is read again
    contract, package = CONTRACTS["action"]
    check_node(config["action"], package, contract, "action")
    lattice, action = instantiate(config, "lattice"), build_action(config)
    offered = {"lattice": lattice, "action": action, "flow": flow}
    offered |= {name: config[name] for name in ("batch_size", "n_samples")}
    taken = {name: value for name, value in offered.items() if name in parameters}
    for name in taken.keys() & node.keys():
        raise ConfigError(f"sampler.{name}={node[name]}: comes from the run, not from the sampler")
    sampler = instantiate(config, "sampler", **taken)
    if not isinstance(sampler, Sampler):
        raise ConfigError(f"sampler._target_={node['_target_']}: not a sampler")
    observables = build_observables(config)
    fields = fields_column(sampler.kind) if config["save_configs"] else None
    measured = partial(measure, observables, action, fields)
    checksum = None if path is None else sha256(checkpoint_file(path))
    return Setup(config, checksum, lattice, action, sampler, observables, measured)


def pick_devices(name: str, n: int) -> list[torch.device]:
    """n devices of a kind: n GPUs, or the CPU for n processes; "auto" is a GPU if there is one.

    Raises:
        ConfigError: they are not there, or the name is that of a certain one of several.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        devices = [torch.device(name)] * n
        if n > 1 and devices[0].index is not None:
            raise RuntimeError("name the kind only")
        if n > 1 and name != "cpu":
            devices = [torch.device(name, i) for i in range(n)]
        for device in devices:
            torch.empty(0, dtype=torch.float64, device=device)  # which Apple's GPU has not
    except (RuntimeError, AssertionError, TypeError) as error:
        line = str(error).splitlines()[0]
        raise ConfigError(f"device={name} devices={n}: {line}") from error
    return devices
