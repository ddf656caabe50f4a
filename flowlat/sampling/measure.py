"""Measurements on the configurations of a sampling run."""

from typing import Any

import torch
from torch import Tensor

from flowlat.actions import Action
from flowlat.config.build import instantiate_all
from flowlat.observables import Configurations, Observable
from flowlat.samplers.base import Block
from flowlat.utils.errors import ConfigError

#: no summary goes without the signs of M and the Schwinger-Dyson check
INDISPENSABLE = {
    "magnetization": {"_target_": "flowlat.observables.Magnetization"},
    "schwinger_dyson": {"_target_": "flowlat.observables.SchwingerDyson"},
}


def with_indispensable(nodes: dict[str, Any]) -> dict[str, Any]:
    """The observables of a config, and those that every summary needs."""
    return nodes | {name: node for name, node in INDISPENSABLE.items() if name not in nodes}


def build_observables(config: dict[str, Any]) -> dict[str, Observable]:
    """The observables of a config by name; ConfigError for what is none."""
    found = instantiate_all(config, "observables")
    for name, observable in found.items():
        if not isinstance(observable, Observable):
            target = config["observables"][name]["_target_"]
            raise ConfigError(f"observables.{name}._target_={target}: not an observable")
    return found


def measure(
    observables: dict[str, Observable], action: Action, save_configs: bool, block: Block
) -> dict[str, Tensor]:
    """The columns of a block, as the ensemble file has them; measured in float64.

    Raises:
        ValueError: a number that is not finite, or an observable of the wrong shape.
    """
    n = len(block.phi)
    configurations = Configurations(block.phi.double(), action)
    rows = {"action": block.action}
    if block.log_weight is not None:
        rows["log_weight"] = block.log_weight
    for name, observable in observables.items():
        values = observable.measure(configurations).double()
        if values.dim() not in (1, 2) or len(values) != n:
            shape = list(values.shape)
            raise ValueError(f"observables.{name}: measures {shape} on {n} configurations")
        rows[f"measured/{name}"] = values
    for name, values in rows.items():
        if not torch.isfinite(values).all():
            raise ValueError(f"{name}: NaN or infinity")
    if save_configs:
        rows["phi"] = block.phi
    if block.accepted is not None:
        rows["accepted"] = block.accepted
    return rows
