"""The training data: prior noise, drawn on the device, and configurations of an ensemble."""

from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from flowlat.samplers.mean_field import random_signs
from flowlat.utils.errors import ConfigError
from flowlat.utils.rng import Stream, generator


class EndlessDataset(IterableDataset):
    """Zeros: batches are drawn elsewhere, and ``trainer.limit_train_batches`` ends an epoch."""

    def __iter__(self) -> Iterator[int]:
        return repeat(0)


class PriorDataModule(LightningDataModule):
    """Each batch is fresh noise, a function of (seed, number of the batch) alone.

    With ``configurations`` there are as many of them beside the noise, drawn at random by the same
    rule, with a random sign each if the action is even.

    The whole batch is drawn on every rank, which keeps its share, so that n ranks with B/n
    configurations each see what one rank with B sees. Drawn in ``on_after_batch_transfer``: on the
    device and at once, not item by item.

    Args:
        batch_size: configurations a step, over all ranks.
        double_at: fractions of the training at which the batch size doubles.
        configurations: of an ensemble, ``(n, *shape)``.

    Raises:
        ConfigError: batch_size is not a multiple of the number of ranks.
    """

    def __init__(
        self,
        batch_size: int,
        seed: int,
        double_at: Sequence[float] = (),
        configurations: Tensor | None = None,
    ):
        super().__init__()
        self.batch_size = batch_size
        self.seed = seed
        self.double_at = double_at
        self.configurations = configurations
        self.n_drawn = 0
        self.n_samples = 0

    def train_dataloader(self) -> DataLoader:
        # workers would multiply the batches of an IterableDataset
        return DataLoader(EndlessDataset(), batch_size=None, num_workers=0)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> tuple[Tensor, ...]:
        assert self.trainer is not None
        module: Any = self.trainer.lightning_module
        rank, n_ranks = self.trainer.global_rank, self.trainer.world_size
        if self.batch_size % n_ranks:
            raise ConfigError(
                f"data.batch_size={self.batch_size}: not a multiple of {n_ranks} ranks"
            )
        size = self.current_size()
        stream = generator(self.seed, Stream.TRAINING, self.n_drawn, device=module.device)
        drawn = [module.flow.noise(size, stream)]
        if self.configurations is not None:
            drawn.append(self._draw(size, module.action.even).to(drawn[0]))
        self.n_drawn += 1
        self.n_samples += size
        return tuple(part.chunk(n_ranks)[rank] for part in drawn)

    def current_size(self) -> int:
        """Configurations of the next step, over all ranks."""
        assert self.trainer is not None
        total = (self.trainer.max_epochs or 0) * self.trainer.num_training_batches
        return self.batch_size * 2 ** sum(self.n_drawn >= f * total for f in self.double_at)

    def _draw(self, size: int, even: bool) -> Tensor:
        """Rows of the ensemble, with replacement."""
        assert self.configurations is not None
        stream = generator(self.seed, Stream.CONFIGURATIONS, self.n_drawn)
        rows = torch.randint(len(self.configurations), (size,), generator=stream)
        phi = self.configurations[rows]
        return phi * random_signs(phi, stream) if even else phi

    def state_dict(self) -> dict[str, int]:
        return {"n_drawn": self.n_drawn, "n_samples": self.n_samples}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        self.n_drawn, self.n_samples = state_dict["n_drawn"], state_dict["n_samples"]
