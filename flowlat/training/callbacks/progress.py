"""The progress bar: epoch, loss, ESS and acceptance."""

import logging
import math
import sys
import time
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from tqdm import tqdm

log = logging.getLogger(__name__)

SHOWN = ("loss", "ess", "acceptance", "forward_ess")

# where the output is no terminal, a line this often in place of the bar
SECONDS_BETWEEN_LINES = 15.0


class Progress(ProgressBar):
    """One bar for the whole training; plain lines where the output is not a terminal."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: tqdm | None = None
        self._enabled = True
        self._last_line = -math.inf

    def disable(self) -> None:
        self._enabled = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._enabled and sys.stderr.isatty():
            total = int(trainer.estimated_stepping_batches)
            self._bar = tqdm(total=total, initial=trainer.global_step, unit="step", smoothing=0.05)
            self._bar.set_description(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._bar is not None:
            self._bar.update(trainer.global_step - self._bar.n)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # the metrics of an epoch are complete when the next one starts
        self._show(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._show(trainer, last=True)
        self._close()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _show(self, trainer: Trainer, last: bool = False) -> None:
        metrics, done, total = trainer.callback_metrics, trainer.current_epoch, trainer.max_epochs
        values = {name: f"{metrics[name].item():.3g}" for name in SHOWN if name in metrics}
        now = time.monotonic()
        if self._bar is not None:
            self._bar.set_description(f"epoch {min(done + 1, total or 0)}/{total}", refresh=False)
            self._bar.set_postfix(values, refresh=last)
        elif self._enabled and values and (last or now - self._last_line > SECONDS_BETWEEN_LINES):
            self._last_line = now
            figures = "  ".join(f"{name} {value}" for name, value in values.items())
            log.info("epoch %d/%s  %s", done, total, figures)
