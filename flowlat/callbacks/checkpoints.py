"""Checkpoints: the best by ESS, the best by acceptance, the last; written atomically."""

import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint


def checkpoints(folder: Path) -> list[ModelCheckpoint]:
    """``best_ess.ckpt``, ``best_acceptance.ckpt`` and ``last.ckpt`` in ``folder``."""
    shared: dict[str, Any] = {
        "dirpath": folder,
        "save_on_train_epoch_end": True,
        "enable_version_counter": False,
    }
    best = [
        ModelCheckpoint(monitor=name, mode="max", filename=f"best_{name}", **shared)
        for name in ("ess", "acceptance")
    ]
    return [*best, ModelCheckpoint(filename="last", **shared)]


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target and renames: a run killed at any moment leaves whole files."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
        try:
            with partial.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
