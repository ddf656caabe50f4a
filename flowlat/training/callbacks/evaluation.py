"""What a flow is worth, measured after every epoch."""

import math
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from flowlat.analysis.importance import forward_quality
from flowlat.ensemble.reference import Reference, read_reference
from flowlat.flows.proposals import proposals
from flowlat.training.loggers import Wandb
from flowlat.training.metrics import LogWeights, quality
from flowlat.utils.errors import DivergedError
from flowlat.utils.limits import NUMBERS, require_at_most
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
        ValueError: a number below 1, or an ensemble that cannot be read.
    """

    def __init__(
        self,
        seed: int,
        n_samples: int = 8192,
        batch_size: int = 1024,
        every_n_epochs: int = 1,
        ensemble: str | None = None,
    ):
        for name, value in (
            ("n_samples", n_samples),
            ("batch_size", batch_size),
            ("every_n_epochs", every_n_epochs),
        ):
            if value < 1:
                raise ValueError(f"{name}={value}: must be at least 1")
        require_at_most(NUMBERS, "log weights to keep", n_samples, f"n_samples={n_samples}")
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
        gathered = LogWeights().to(module.device)
        gathered.update(torch.empty(0, device=module.device))  # a rank may have no batch
        for batch in proposals(
            module.best_flow,
            module.action,
            self.n_samples,
            self.batch_size,
            self.seed,
            Stream.EVALUATION,
            epoch,
            trainer.global_rank,
            trainer.world_size,
        ):
            gathered.update(batch.log_weight)
        log_w = gathered.compute().reshape(-1)  # torchmetrics squeezes a single one
        try:
            measured = quality(log_w, generator(self.seed, Stream.ACCEPT, epoch))._asdict()
            if not math.isfinite(measured["ess"]):
                raise ValueError("no log weight is finite")
            if self.reference is not None:
                measured |= self._forward(self.reference, trainer, module)
        except ValueError as error:
            raise DivergedError(f"{error}, after epoch {epoch}: the training diverged") from error
        pl_module.log_dict(measured, rank_zero_only=False)
        for logger in trainer.loggers:
            if isinstance(logger, Wandb) and trainer.is_global_zero:  # which has the first batches
                logger.log_evaluation(log_w, batch.phi[0], trainer.global_step)

    def _forward(self, reference: Reference, trainer: Trainer, module: Any) -> dict[str, float]:
        """The forward ESS; each rank evaluates a share of the configurations."""
        gathered = LogWeights().to(module.device)
        gathered.update(
            reference.log_weights(
                module.best_flow,
                module.action,
                self.batch_size,
                self.seed,
                trainer.global_rank,
                trainer.world_size,
            )
        )
        return forward_quality(gathered.compute().reshape(-1), reference.replicas)
