"""The training data: prior noise, drawn on the device."""

from collections.abc import Iterator
from itertools import repeat
from typing import Any

from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from flowlat.errors import ConfigError
from flowlat.rng import Stream, generator


class Ticks(IterableDataset):
    """An endless row of zeros: an epoch ends after ``trainer.limit_train_batches`` of them."""

    def __iter__(self) -> Iterator[int]:
        return repeat(0)


class PriorDataModule(LightningDataModule):
    """Each batch is fresh noise, a function of (seed, number of the batch) alone.

    The noise of the whole batch is drawn on every rank, which keeps its share, so that n ranks
    with B/n configurations each see what one rank with B sees. Drawn in
    ``on_after_batch_transfer``: on the device and at once, not item by item.

    Args:
        batch_size: configurations a step, over all ranks.

    Raises:
        ConfigError: batch_size is not a multiple of the number of ranks.
    """

    def __init__(self, batch_size: int, seed: int):
        super().__init__()
        self.batch_size = batch_size
        self.seed = seed
        self.n_drawn = 0

    def train_dataloader(self) -> DataLoader:
        # workers would multiply the batches of an IterableDataset
        return DataLoader(Ticks(), batch_size=None, num_workers=0)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Tensor:
        assert self.trainer is not None
        module: Any = self.trainer.lightning_module
        rank, n_ranks = self.trainer.global_rank, self.trainer.world_size
        if self.batch_size % n_ranks:
            raise ConfigError(
                f"data.batch_size={self.batch_size}: not a multiple of {n_ranks} ranks"
            )
        stream = generator(self.seed, Stream.TRAINING, self.n_drawn, device=module.device)
        self.n_drawn += 1
        return module.flow.noise(self.batch_size, stream).chunk(n_ranks)[rank]

    def state_dict(self) -> dict[str, int]:
        return {"n_drawn": self.n_drawn}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        self.n_drawn = state_dict["n_drawn"]
