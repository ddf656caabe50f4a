"""What a flow is worth, measured after every epoch."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from flowlat.errors import DivergedError
from flowlat.evaluation import proposals
from flowlat.metrics import LogWeights, quality
from flowlat.rng import Stream, generator


class Evaluation(Callback):
    """ESS, acceptance of a Metropolis-Hastings chain and log Z on fresh samples of every rank.

    Logs ``ess``, ``acceptance``, ``log_z``, ``log_z_err``.

    Args:
        n_samples: fresh configurations an evaluation, over all ranks.
        batch_size: of the proposals.
        every_n_epochs: how often; the last epoch is always evaluated.
    """

    def __init__(
        self, seed: int, n_samples: int = 8192, batch_size: int = 1024, every_n_epochs: int = 1
    ):
        for name, value in (
            ("n_samples", n_samples),
            ("batch_size", batch_size),
            ("every_n_epochs", every_n_epochs),
        ):
            if value < 1:
                raise ValueError(f"{name}={value}: must be at least 1")
        self.seed = seed
        self.n_samples = n_samples
        self.batch_size = batch_size
        self.every_n_epochs = every_n_epochs

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        epoch = trainer.current_epoch
        if (epoch + 1) % self.every_n_epochs and epoch + 1 != trainer.max_epochs:
            return
        module: Any = pl_module
        gathered = LogWeights().to(module.device)
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
            measured = quality(log_w, generator(self.seed, Stream.ACCEPT, epoch))
        except ValueError as error:
            raise DivergedError(f"{error}, after epoch {epoch}: the training diverged") from error
        pl_module.log_dict(measured._asdict(), rank_zero_only=False)
