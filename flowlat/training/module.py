"""The LightningModule: objective, optimizer, averaged weights, logging. No physics."""

import math
import time
from collections.abc import Callable
from typing import Any, cast

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from flowlat.actions import Action
from flowlat.flows.family import Family
from flowlat.flows.flow import Flow
from flowlat.objectives import FamilyObjective, Objective
from flowlat.training.divergence import FAMILY_WINDOW, WINDOW, LossRange
from flowlat.training.state import check_optimizer
from flowlat.utils.errors import DivergedError


class LitFlow(LightningModule):
    """Trains a flow towards exp(-S), or a family of flows.

    Args:
        action: S; of a family (m2, lam) -> S.
        optimizer: parameters -> optimizer.
        scheduler: (optimizer, total_steps=, steps_per_epoch=, first_step=) -> schedule, advanced
            every step.
        ema_decay: of the exponential moving average of the weights, which is then what is
            evaluated and loaded; None is no averaging.
        record: plain data that goes into every checkpoint: the config, its provenance, and the
            epochs at which the legs of the training begin.
        rollbacks: how often the training was taken back, after a divergence, until now.
        lr_factor: of the learning rate, for each of them.
    """

    def __init__(
        self,
        flow: Flow | Family,
        action: Action | Callable[[float, float], Action],
        objective: Objective | FamilyObjective,
        optimizer: Callable[..., Optimizer],
        scheduler: Callable[..., LambdaLR],
        ema_decay: float | None = None,
        record: dict[str, Any] | None = None,
        rollbacks: int = 0,
        lr_factor: float = 1.0,
    ):
        super().__init__()
        self.flow = flow
        self.action = action
        self.objective: Any = objective
        self._optimizer = optimizer
        self._scheduler = scheduler
        self._record = record or {}
        self.averaged: AveragedModel | None = None
        if ema_decay:
            self.averaged = AveragedModel(flow, multi_avg_fn=get_ema_multi_avg_fn(ema_decay))
            self.averaged.requires_grad_(False)  # or several devices would wait for their gradients
        self.rollbacks = rollbacks
        self._lr_factor = lr_factor
        self._rollbacks_before = 0  # those that the optimizer's own state has in it
        self._losses: list[Tensor] = []
        self._range = LossRange(FAMILY_WINDOW if isinstance(flow, Family) else WINDOW)
        self._seconds_before = 0.0
        self._started = time.monotonic()
        self._step_ends: list[float] = []  # of this epoch
        #: of the last step: loss, and the norm of the gradient before it was clipped
        self.last_step: dict[str, float] = {}
        self.has_stepped = False  # since it was restored

    @property
    def best_flow(self) -> Flow | Family:
        """The flow to evaluate and to keep: the averaged weights where there are any."""
        return self.flow if self.averaged is None else cast(Any, self.averaged.module)

    @property
    def seconds(self) -> float:
        """Training time so far, earlier legs of a resumed run included."""
        return self._seconds_before + time.monotonic() - self._started

    def training_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> Tensor:
        loss, log_w = self.objective(self.flow, self.action, *batch)
        self._losses.append(-log_w.mean())  # the KL divergence but for log Z, whatever is minimised
        return loss

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip, and stop before a step that would spoil the weights."""
        by_value = gradient_clip_algorithm == "value"
        limit = math.inf if by_value or not gradient_clip_val else gradient_clip_val
        norm = torch.nn.utils.clip_grad_norm_(self.flow.parameters(), limit)
        # one look at the device for both
        loss, length = torch.stack([self._losses[-1], norm]).tolist()
        known, best = math.isfinite(loss + length), self._range.lowest
        fine = known and not self._range.left_by(loss)
        if not self.trainer.strategy.reduce_boolean_decision(fine):
            was = f", {best:g} before" if known and best < math.inf else ""
            raise DivergedError(
                f"loss={loss:g}{was}, gradient norm={length:g} in epoch "
                f"{self.current_epoch}, step {self.global_step}: the training diverged"
            )
        self.last_step = {"loss": loss, "gradient_norm": length}
        if by_value:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        # here, so that the callbacks at the end of a batch find it done
        if self.averaged is not None:
            self.averaged.update_parameters(self.flow)

    def on_train_start(self) -> None:
        check_optimizer(self.trainer)
        if self.global_step == self._first_step:  # what was restored is the end of another schedule
            self._begin_leg()
        self._started = time.monotonic()
        factor = self._lr_factor ** (self.rollbacks - self._rollbacks_before)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] *= factor
        for config in self.trainer.lr_scheduler_configs:
            config.scheduler.base_lrs = [factor * lr for lr in config.scheduler.base_lrs]

    def on_train_epoch_start(self) -> None:
        self.flow.train()
        self._losses.clear()
        self._step_ends.clear()

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        self._step_ends.append(time.monotonic())
        self.has_stepped = True

    def on_train_epoch_end(self) -> None:
        self.log("loss", torch.stack(self._losses).mean(), sync_dist=True)
        data = cast(Any, self.trainer).datamodule
        figures = {
            "epoch": self.current_epoch,
            "step": self.global_step,  # what loggers take as the abscissa
            "samples": data.n_samples,
            "lr": self.trainer.optimizers[0].param_groups[0]["lr"],
            "seconds": self.seconds,
        }
        # between the ends of steps: without the evaluation that follows the last one
        if (duration := self._step_ends[-1] - self._step_ends[0]) > 0:
            drawn = (len(self._step_ends) - 1) * data.batch_size
            figures["samples_per_second"] = drawn / duration
        self.log_dict({name: float(value) for name, value in figures.items()})

    def configure_optimizers(self) -> Any:
        optimizer = self._optimizer(self.flow.parameters())
        total = int(self.trainer.estimated_stepping_batches)
        per_epoch = max(1, total // max(1, self.trainer.max_epochs or 1))
        self._first_step = self._record.get("legs", [0])[-1] * per_epoch
        steps = {"total_steps": total, "steps_per_epoch": per_epoch}
        scheduler = self._scheduler(optimizer, **steps, first_step=self._first_step)
        return [optimizer], [{"scheduler": scheduler, "interval": "step"}]

    def _begin_leg(self) -> None:
        """Take the rate of a leg's first step."""
        (optimizer,), (config,) = self.trainer.optimizers, self.trainer.lr_scheduler_configs
        schedule = cast(LambdaLR, config.scheduler)
        rates = zip(schedule.base_lrs, schedule.lr_lambdas, strict=True)
        for group, (lr, factor) in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = lr * factor(self._first_step)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if not all(torch.isfinite(w).all() for w in checkpoint["state_dict"].values()):
            raise DivergedError(
                f"weights that are not finite in epoch {self.current_epoch}, "
                f"step {self.global_step}: the training diverged"
            )
        losses = cast(Tensor, self.all_gather(torch.stack(self._losses)))
        checkpoint["flowlat"] = {
            **self._record,
            "seconds": self.seconds,
            # of this epoch so far, (ranks, steps)
            "losses": losses.reshape(-1, len(self._losses)).cpu(),
            "rollbacks": self.rollbacks,
            "loss_range": self._range.state(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        record = checkpoint["flowlat"]
        self._seconds_before, losses = record["seconds"], record["losses"]
        self._rollbacks_before = record["rollbacks"]
        self._range.restore(record.get("loss_range", torch.empty(0)))  # 0.1 has none
        # on another number of ranks: the mean over them, to which their losses add up
        same = len(losses) == self.trainer.world_size
        mine = losses[self.global_rank] if same else losses.mean(0)
        self._losses = list(mine.to(self.device))
