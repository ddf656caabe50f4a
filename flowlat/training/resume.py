"""Where a training goes on, and whether it may."""

import json
import logging
from pathlib import Path
from typing import Any

from flowlat.config.build import FLOW_GROUPS
from flowlat.config.checkpoint import read_checkpoint
from flowlat.config.compare import differences
from flowlat.training.state import check_state
from flowlat.utils.errors import CheckpointError, ConfigError

log = logging.getLogger(__name__)

#: what a training goes on with, and may not change between the legs of a run
GROUPS = (*FLOW_GROUPS, "ema_decay", "objective", "optimizer", "scheduler", "data", "seed")
#: of the trainer
STEPS = ("limit_train_batches", "accumulate_grad_batches", "precision", "gradient_clip_val")
#: options of how a flow is computed, which may
IMPLEMENTATION = ("arch.kernel", "arch.recompute")


def find_start(config: dict[str, Any], folder: Path) -> tuple[Path | None, int]:
    """Where the training in ``folder`` goes on, if that is wanted: its last whole checkpoint.

    And how often it was taken back until then. None is the beginning.

    Raises:
        ConfigError: there is a training already, and this is not to go on with it; or it has more
            epochs than are wanted.
        CheckpointError: it was a training of something else, or its state is damaged.
    """
    paths = [folder / "checkpoints" / f"{name}.ckpt" for name in ("last", "epoch")]
    paths = [path for path in paths if path.exists()]
    if paths and not config["resume"]:
        raise ConfigError(
            f"hydra.run.dir={folder}: has a training already; resume=true goes on with it, "
            "another folder starts a new one"
        )
    for path in paths:
        try:
            content = read_checkpoint(path)
        except CheckpointError as error:
            log.warning("%s; going on from what was written before it", error)
            continue
        check_resumable(content, config, folder)
        try:
            check_state(content, config["trainer"]["limit_train_batches"])
        except CheckpointError as error:
            raise CheckpointError(f"ckpt_path={path}: {error}") from error
        return path, content["flowlat"]["rollbacks"]
    if config["resume"]:
        log.info("no checkpoint to go on from in %s: from the beginning", folder / "checkpoints")
    return None, 0


def check_resumable(content: dict[str, Any], config: dict[str, Any], folder: Path) -> None:
    """Raise CheckpointError or ConfigError if a training cannot go on under this config."""
    before = content["flowlat"]["config"]
    try:
        json.dumps(before)
    except (TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{folder}: flowlat.config: not plain data") from error
    for key, (a, b) in differences(before, config).items():
        fixed = key.partition(".")[0] in GROUPS and key not in IMPLEMENTATION
        if (key, a) == ("data.double_at", []):  # an option of 0.1, which was off
            continue
        if fixed or key.removeprefix("trainer.") in STEPS:
            raise CheckpointError(
                f"{key}={b}: the training in {folder} has {key}={a}; to start another one from its "
                "weights, use init_from="
            )
    wanted, begun = config["trainer"]["max_epochs"], content.get("epoch")
    if isinstance(begun, int) and begun >= wanted:
        raise ConfigError(
            f"trainer.max_epochs={wanted}: the training in {folder} is in its epoch {begun + 1} "
            "already"
        )
