"""Checkpoints: the best by ESS, the best by acceptance, those to go on from; written atomically."""

import io
import math
import time
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from flowlat.runs.metrics import write_metrics
from flowlat.runs.signals import Signals
from flowlat.utils.errors import Interrupted
from flowlat.utils.files import replacing


class Best(Checkpoint):
    """``best_NAME.ckpt``: the epoch with the greatest value of a metric."""

    def __init__(self, folder: Path, name: str):
        self.name = name
        self.path = folder / f"best_{name}.ckpt"
        self.score = -math.inf

    @property
    def state_key(self) -> str:
        return f"best_{self.name}"

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        value = trainer.callback_metrics.get(self.name)
        if value is not None and value.item() > self.score:  # NaN is not
            self.score = value.item()
            trainer.save_checkpoint(self.path, weights_only=False)

    def state_dict(self) -> dict[str, float]:
        return {"score": self.score}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        self.score = state_dict["score"]


class Last(Checkpoint):
    """``last.ckpt``: where a run goes on to the last bit, within an epoch too. And metrics.csv.

    Written at the end of every epoch, within one as soon as ``minutes`` have passed since, and on a
    signal, which then ends the training. ``epoch.ckpt`` is the end of the last epoch: for a
    ``last.ckpt`` that is damaged, and for a divergence, whose outcome must not depend on the time.

    Raises:
        Interrupted: a signal came, and the checkpoint is written.
    """

    def __init__(self, folder: Path, signals: Signals, minutes: float):
        self.folder, self.signals, self.minutes = folder, signals, minutes

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._saved = time.monotonic()
        if trainer.is_global_zero:
            for partial in self.folder.glob("checkpoints/.*.partial"):  # of a run that was killed
                partial.unlink()
        # in place of Lightning's, which would save in the middle of a step; it puts the former back
        self.signals.install()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # a state saved in the last batch would be taken for the end of the epoch, which is to come
        if trainer.is_last_batch or (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        due = time.monotonic() - self._saved >= 60 * self.minutes or self.signals.received
        if trainer.strategy.reduce_boolean_decision(bool(due), all=False):
            self._save(trainer, "last")
            self._end_if_told(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # first the row, then the state that has it behind: Lightning's loggers get theirs after it
        write_metrics(self.folder / "metrics.csv", trainer.logged_metrics)
        self._save(trainer, "epoch")
        self._save(trainer, "last")

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._end_if_told(trainer)  # not before the loggers have the epoch that has just ended
        trainer.logged_metrics.clear()  # it would show what is not measured every time once more

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._end_if_told(trainer)

    def _save(self, trainer: Trainer, name: str) -> None:
        trainer.save_checkpoint(self.folder / "checkpoints" / f"{name}.ckpt", weights_only=False)
        self._saved = time.monotonic()

    def _end_if_told(self, trainer: Trainer) -> None:
        """End the training on all ranks if one of them got a signal."""
        received = self.signals.received
        if trainer.strategy.reduce_boolean_decision(received is not None, all=False):
            name = received.name if received else "a signal to another rank"
            where = f"step {trainer.global_step} of {int(trainer.estimated_stepping_batches)}"
            raise Interrupted(f"ended by {name} after {where}", received or 0)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target and renames: a run killed at any moment leaves whole files."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        target = Path(path)
        buffer = io.BytesIO()  # torch.save hides what is wrong with a file
        torch.save(checkpoint, buffer)
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as partial:
            partial.write_bytes(buffer.getbuffer())
