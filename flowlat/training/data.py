"""The training data: prior noise, drawn on the device, and configurations of an ensemble."""

from collections.abc import Iterable
from itertools import repeat
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from flowlat.flows.family import Family
from flowlat.samplers.mean_field import random_signs
from flowlat.utils.errors import ConfigError
from flowlat.utils.rng import Stream, generator


class PriorDataModule(LightningDataModule):
    """Each batch is fresh noise, a function of (seed, number of the batch) alone.

    With ``configurations`` there are as many of them beside the noise, drawn at random by the same
    rule, with replacement, and with a random sign each if the action is even.

    For a family of flows each batch is noise of one lattice of its domain, and the couplings
    (m2, lam) of one point, drawn by the same rule and the same on all ranks.

    The whole batch is drawn on every rank, which keeps its share, so that n ranks with B/n
    configurations each see what one rank with B sees. Drawn in ``on_after_batch_transfer``: on the
    device and at once, not item by item.

    Args:
        batch_size: configurations a step, over all ranks.
        configurations: of an ensemble, ``(n, *shape)``.

    Raises:
        ConfigError: batch_size is not a multiple of the number of ranks.
    """

    def __init__(self, batch_size: int, seed: int, configurations: Tensor | None = None):
        super().__init__()
        self.batch_size, self.seed, self.configurations = batch_size, seed, configurations
        self.n_drawn = 0  # batches

    @property
    def n_samples(self) -> int:
        """Configurations that were trained on so far, over all ranks."""
        return self.n_drawn * self.batch_size

    def train_dataloader(self) -> Iterable[int]:
        return repeat(0)  # in place of batches; ``trainer.limit_train_batches`` ends an epoch

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> tuple[Tensor, ...]:
        trainer: Any = self.trainer
        module, n_ranks = trainer.lightning_module, trainer.world_size
        if self.batch_size % n_ranks:
            raise ConfigError(
                f"data.batch_size={self.batch_size}: not a multiple of {n_ranks} ranks"
            )
        stream = generator(self.seed, Stream.TRAINING, self.n_drawn, device=module.device)
        flow, couplings = module.flow, []
        if isinstance(flow, Family):
            point = flow.domain.draw(generator(self.seed, Stream.COUPLINGS, self.n_drawn))
            flow = flow.working(point.shape)
            couplings = [torch.tensor(point[:2], dtype=torch.float64)]
        drawn = [flow.noise(self.batch_size, stream)]
        if self.configurations is not None:
            stream = generator(self.seed, Stream.CONFIGURATIONS, self.n_drawn)
            rows = torch.randint(len(self.configurations), (self.batch_size,), generator=stream)
            phi = self.configurations[rows]
            signs = random_signs(phi, stream) if module.action.even else 1
            drawn.append((phi * signs).to(drawn[0]))
        self.n_drawn += 1
        return (*(part.chunk(n_ranks)[trainer.global_rank] for part in drawn), *couplings)

    def state_dict(self) -> dict[str, int]:
        return {"n_drawn": self.n_drawn}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        self.n_drawn = state_dict["n_drawn"]
