"""Measurements on the configurations of a sampling run."""

from typing import Any

import torch
from torch import Tensor

from flowlat.actions import Action
from flowlat.analysis.estimates import gradient
from flowlat.config.build import instantiate_all
from flowlat.lattice import Lattice
from flowlat.observables import Configurations, Observable, SignAverages
from flowlat.samplers.base import Block
from flowlat.utils.errors import ConfigError

#: no summary goes without the signs of M and the Schwinger-Dyson check
REQUIRED = {
    "magnetization": {"_target_": "flowlat.observables.Magnetization"},
    "schwinger_dyson": {"_target_": "flowlat.observables.SchwingerDyson"},
}


def build_observables(config: dict[str, Any]) -> dict[str, Observable]:
    """The observables of a config by name; ConfigError for what is none."""
    observables = instantiate_all(config, "observables")
    for name, observable in observables.items():
        if not isinstance(observable, Observable):
            target = config["observables"][name]["_target_"]
            raise ConfigError(f"observables.{name}._target_={target}: not an observable")
    return observables


def check_derived(observables: dict[str, Observable], action: Action, lattice: Lattice) -> None:
    """Evaluate what observables derive from averages, with its gradient, before anything is drawn.

    Raises:
        ConfigError: it cannot be evaluated, or autograd cannot differentiate it.
    """
    numbers = torch.randn(4, *lattice.shape, generator=torch.Generator().manual_seed(0))
    configurations = Configurations(1 + numbers.double() / 10, action)
    for name, observable in observables.items():
        plain = type(observable).derive is Observable.derive
        if plain or not observable.exists(lattice.shape):
            continue
        means = observable.measure(configurations).double().mean(0).numpy()
        try:
            gradient(observable, means)
        except Exception as error:  # of the user's own code: of any kind
            line = (str(error).splitlines() or [""])[0]
            raise ConfigError(
                f"observables.{name}: derive cannot be used: {type(error).__name__}: {line}"
            ) from error


def measure(
    observables: dict[str, Observable], action: Action, fields: str | None, block: Block
) -> dict[str, Tensor]:
    """The columns of a block, as the ensemble file has them; measured in float64.

    ``improved/NAME`` beside ``measured/NAME`` is what a quadratic observable measures on averages
    over the signs of clusters, if the block has those.

    Args:
        fields: the name of the column of fields, if they are to be saved.

    Raises:
        ValueError: a number that is not finite, or an observable of the wrong shape.
    """
    columns = {name: values for name, values in block._asdict().items() if values is not None}
    phi, correlators = columns.pop("phi"), columns.pop("correlators", None)
    configurations = Configurations(phi.double(), action)
    averages = None if correlators is None else SignAverages(phi.double(), action, correlators)
    for name, observable in observables.items():
        values = observable.measure(configurations).double()
        if values.dim() not in (1, 2) or len(values) != len(phi):
            shape = list(values.shape)
            raise ValueError(f"observables.{name}: measures {shape} on {len(phi)} configurations")
        columns[f"measured/{name}"] = values
        if averages is not None and observable.quadratic:
            columns[f"improved/{name}"] = observable.measure(averages)
    for name, values in columns.items():
        if not torch.isfinite(values).all():
            raise ValueError(f"{name}: NaN or infinity")
    return columns if fields is None else {**columns, fields: phi}
