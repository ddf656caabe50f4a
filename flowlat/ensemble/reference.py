"""The configurations of an ensemble for a flow to learn from, or to be judged by."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from flowlat.actions import Action
from flowlat.config.compare import differences
from flowlat.ensemble.reader import open_ensemble
from flowlat.flows.flow import Flow
from flowlat.samplers.mean_field import random_signs
from flowlat.utils.errors import EnsembleError
from flowlat.utils.rng import Stream, generator


@dataclass
class Reference:
    """Configurations distributed like exp(-S)/Z, ``phi (n, *shape)``, step by step of their chains.

    Row i belongs to replica i mod ``replicas``.
    """

    phi: Tensor
    replicas: int

    @torch.no_grad()
    def log_weights(
        self,
        flow: Flow,
        action: Action,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> Tensor:
        """log w = -S - log q of this rank's share of the rows, in their order, in float64.

        For an even action each row has a random sign: exact, and it shows both modes to the flow
        even where the chain has seen one only.
        """
        flow.eval()
        weight = next(flow.parameters())
        phi = self.phi
        if action.even:
            phi = phi * random_signs(phi, generator(seed, Stream.CONFIGURATIONS))
        log_w = [phi.new_zeros(0, dtype=torch.float64, device=weight.device)]
        for batch in phi.tensor_split(world_size)[rank].split(batch_size):
            batch = batch.to(weight.device)
            log_w.append(-action(batch.double()) - flow.log_prob(batch.to(weight)).double())
        return torch.cat(log_w)


def read_reference(path: str | Path, most: int | None = None) -> Reference:
    """The chain of an ensemble; evenly spaced steps of it where there are more than ``most`` rows.

    Raises:
        EnsembleError: it cannot be read, is no chain, or was saved without configurations.
    """
    with open_ensemble(path) as ensemble:
        ensemble.chain_index()  # refuses a weighted ensemble
        phi, replicas = torch.from_numpy(ensemble.configurations()), ensemble.replicas
    steps = len(phi) // replicas
    if steps == 0:
        raise EnsembleError(f"{path}: {len(phi)} configurations of {replicas} chains are too few")
    spacing = -(-steps * replicas // most) if most else 1
    rows = phi[: steps * replicas].unflatten(0, (steps, replicas))[::spacing]
    return Reference(rows.flatten(0, 1), replicas)


def require_theory(path: str | Path, config: dict[str, Any]) -> None:
    """Raise EnsembleError unless an ensemble is of the lattice and action of ``config``."""
    with open_ensemble(path) as ensemble:
        theories = theory_of(ensemble.config), theory_of(config)
    for key, (a, b) in differences(*theories).items():
        raise EnsembleError(f"{path}: of another theory, {key}={a} and not {b}")


def theory_of(config: dict[str, Any]) -> dict[str, Any]:
    """The groups of lattice and action; the free action is phi^4 with lam = 0."""
    action = config["action"]
    if action["_target_"].endswith(".Free"):
        action = action | {"_target_": action["_target_"].replace("Free", "Phi4"), "lam": 0.0}
    return {"lattice": {"shape": config["lattice"]["shape"]}, "action": action}
