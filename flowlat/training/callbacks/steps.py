"""Loss and gradient norm within an epoch, for a logger that shows them."""

from typing import Any, cast

from lightning.pytorch import Callback, LightningModule, Trainer

from flowlat.training.loggers import Wandb


class Steps(Callback):
    """Every ``trainer.log_every_n_steps`` steps ``loss`` and ``gradient_norm`` to W&B.

    metrics.csv has a row an epoch, whatever the loggers are told.
    """

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        module: Any = pl_module
        every: int = cast(Any, trainer).log_every_n_steps  # an attribute without a type
        if trainer.global_step % every or not trainer.is_global_zero:
            return
        for logger in trainer.loggers:
            if isinstance(logger, Wandb) and module.last_step:
                logger.log_step(module.last_step, trainer.global_step)
