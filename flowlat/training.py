"""The LightningModule: objective, optimizer, averaged weights, logging. No physics."""

import time
from collections.abc import Callable
from typing import Any, cast

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from flowlat.actions import Action
from flowlat.errors import DivergedError
from flowlat.flow import Flow
from flowlat.objectives import Objective


class LitFlow(LightningModule):
    """Trains a flow towards exp(-S).

    Args:
        optimizer: parameters -> optimizer.
        scheduler: (optimizer, total_steps=, steps_per_epoch=) -> schedule, advanced every step.
        ema_decay: of the exponential moving average of the weights, which is then what is
            evaluated and loaded; None is no averaging.
        record: plain data that goes into every checkpoint: the config and its provenance.
    """

    def __init__(
        self,
        flow: Flow,
        action: Action,
        objective: Objective,
        optimizer: Callable[..., Optimizer],
        scheduler: Callable[..., LRScheduler],
        ema_decay: float | None = None,
        record: dict[str, Any] | None = None,
    ):
        super().__init__()
        self.flow = flow
        self.action = action
        self.objective = objective
        self._optimizer = optimizer
        self._scheduler = scheduler
        self._record = record or {}
        self.averaged = (
            AveragedModel(flow, multi_avg_fn=get_ema_multi_avg_fn(ema_decay)) if ema_decay else None
        )
        self._losses: list[Tensor] = []
        self._seconds_before = 0.0
        self._started = time.monotonic()

    @property
    def best_flow(self) -> Flow:
        """The flow to evaluate and to keep: the averaged weights where there are any."""
        return self.flow if self.averaged is None else cast(Flow, self.averaged.module)

    @property
    def seconds(self) -> float:
        """Training time so far, earlier legs of a resumed run included."""
        return self._seconds_before + time.monotonic() - self._started

    def training_step(self, noise: Tensor, batch_idx: int) -> Tensor:
        loss, log_w = self.objective(self.flow, self.action, noise)
        kl = -log_w.mean()
        if not (torch.isfinite(loss) and torch.isfinite(kl)):
            raise DivergedError(
                f"loss={kl.item():g} in epoch {self.current_epoch}, step {self.global_step}: "
                "the training diverged"
            )
        self._losses.append(kl)
        return loss

    def on_train_start(self) -> None:
        self._started = time.monotonic()

    def on_train_epoch_start(self) -> None:
        self.flow.train()
        self._losses.clear()

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self.averaged is not None:
            self.averaged.update_parameters(self.flow)

    def on_train_epoch_end(self) -> None:
        self.log("loss", torch.stack(self._losses).mean(), sync_dist=True)
        # "step" is what loggers take as the abscissa
        self.log("epoch", float(self.current_epoch))
        self.log("step", float(self.global_step))
        self.log("lr", self.trainer.optimizers[0].param_groups[0]["lr"])
        self.log("seconds", self.seconds)

    def configure_optimizers(self) -> Any:
        optimizer = self._optimizer(self.flow.parameters())
        total = int(self.trainer.estimated_stepping_batches)
        per_epoch = max(1, total // max(1, self.trainer.max_epochs or 1))
        scheduler = self._scheduler(optimizer, total_steps=total, steps_per_epoch=per_epoch)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["flowlat"] = {**self._record, "seconds": self.seconds}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._seconds_before = checkpoint["flowlat"]["seconds"]
