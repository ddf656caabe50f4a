"""What a flow is worth, measured after every epoch."""

import math
from typing import Annotated, Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from pydantic import Field
from torch import Tensor
from torchmetrics.utilities.distributed import gather_all_tensors

from flowlat.analysis.importance import forward_quality
from flowlat.ensemble.reference import read_reference
from flowlat.flows.proposals import proposals
from flowlat.training.loggers import Wandb
from flowlat.training.metrics import quality
from flowlat.utils.errors import DivergedError
from flowlat.utils.limits import NUMBERS, Count
from flowlat.utils.rng import Stream, generator


class Evaluation(Callback):
    """ESS, acceptance of a Metropolis-Hastings chain and log Z on fresh samples of every rank.

    Logs ``ess``, ``acceptance``, ``log_z``, ``log_z_err``; with an ensemble also ``forward_ess``
    and ``forward_ess_err``, see :func:`flowlat.analysis.importance.forward_ess`.

    Args:
        n_samples: fresh configurations an evaluation, over all ranks.
        batch_size: of the proposals.
        every_n_epochs: how often; the last epoch is always evaluated.
        ensemble: a run of sample.py of the same theory; ``n_samples`` of its configurations, or all
            if there are fewer, are used every time.

    Raises:
        EnsembleError: an ensemble that cannot be read.
    """

    def __init__(
        self,
        seed: int,
        n_samples: Annotated[int, Field(ge=1, le=NUMBERS)] = 8192,
        batch_size: Annotated[int, Field(ge=1)] = 1024,
        every_n_epochs: Count = 1,
        ensemble: str | None = None,
    ):
        self.seed = seed
        self.n_samples = n_samples
        self.batch_size = batch_size
        self.every_n_epochs = every_n_epochs
        self.reference = read_reference(ensemble, n_samples) if ensemble else None

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        epoch = trainer.current_epoch
        if (epoch + 1) % self.every_n_epochs and epoch + 1 != trainer.max_epochs:
            return
        module: Any = pl_module
        flow, action, size, seed = module.best_flow, module.action, self.batch_size, self.seed
        share = trainer.global_rank, trainer.world_size
        stream = Stream.EVALUATION
        batches = proposals(flow, action, self.n_samples, size, seed, stream, epoch, *share)
        parts = [torch.empty(0, dtype=torch.float64, device=module.device)]  # there may be no batch
        for batch in batches:
            parts.append(batch.log_weight)
        log_w = gather(torch.cat(parts))
        try:
            measured = quality(log_w, generator(seed, Stream.ACCEPT, epoch))._asdict()
            if not math.isfinite(measured["ess"]):
                raise ValueError("no log weight is finite")
            if (reference := self.reference) is not None:
                own = gather(reference.log_weights(flow, action, size, seed, *share))
                measured |= forward_quality(own, reference.replicas)
        except ValueError as error:
            raise DivergedError(f"{error}, after epoch {epoch}: the training diverged") from error
        pl_module.log_dict(measured, rank_zero_only=False)
        for logger in trainer.loggers:
            if isinstance(logger, Wandb) and trainer.is_global_zero:  # which has the first batches
                logger.log_evaluation(log_w, batch.phi[0], trainer.global_step)


def gather(log_w: Tensor) -> Tensor:
    """The log weights of all ranks, those of rank 0 first: figures of them are no averages."""
    return torch.cat(gather_all_tensors(log_w)) if torch.distributed.is_initialized() else log_w
