"""The progress bar: epoch, loss, ESS and acceptance."""

import logging
import math
import time
from contextlib import ExitStack
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from tqdm import tqdm

from flowlat.runs.console import lines_above

log = logging.getLogger(__name__)

SHOWN = ("loss", "ess", "acceptance", "forward_ess")

# where the output is no terminal, a line this often in place of the bar
SECONDS_BETWEEN_LINES = 15.0


class Progress(ProgressBar):
    """One bar for the whole training; plain lines where the output is not a terminal."""

    def __init__(self) -> None:
        super().__init__()
        self._disabled: bool | None = None  # to tqdm: where there is no terminal
        self._bar = tqdm(disable=True)
        self._lines = ExitStack()
        self._last_line = -math.inf

    def disable(self) -> None:
        self._disabled = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        bar = {"total": int(trainer.estimated_stepping_batches), "initial": trainer.global_step}
        self._bar = tqdm(**bar, unit="step", smoothing=0.05, disable=self._disabled)
        self._lines.enter_context(lines_above(self._bar))
        self._show(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._bar.update(trainer.global_step - self._bar.n)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # the metrics of an epoch are complete when the next one starts
        self._show(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._show(trainer, last=True)
        self._close()

    def on_exception(self, *_: Any) -> None:
        self._close()

    def _close(self) -> None:
        self._bar.close()
        self._lines.close()

    def _show(self, trainer: Trainer, last: bool = False) -> None:
        metrics, done, total = trainer.callback_metrics, trainer.current_epoch, trainer.max_epochs
        values = {name: f"{metrics[name].item():.3g}" for name in SHOWN if name in metrics}
        self._bar.set_description(f"epoch {min(done + 1, total or 0)}/{total}", refresh=False)
        self._bar.set_postfix(values, refresh=last)
        now = time.monotonic()
        due = last or now - self._last_line > SECONDS_BETWEEN_LINES
        if self._bar.disable and not self._disabled and values and due:
            self._last_line = now
            figures = "  ".join(f"{name} {value}" for name, value in values.items())
            log.info("epoch %d/%s  %s", done, total, figures)
