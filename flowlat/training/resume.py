"""Where a training goes on, and whether it may."""

import json
import logging
from pathlib import Path
from typing import Any, NamedTuple

from flowlat.config.build import FLOW_GROUPS
from flowlat.config.checkpoint import read_checkpoint
from flowlat.utils.errors import CheckpointError, ConfigError

log = logging.getLogger(__name__)

#: what a training goes on with, and may not change between the legs of a run
GROUPS = (*FLOW_GROUPS, "ema_decay", "objective", "optimizer", "scheduler", "data", "seed")
STEPS = ("limit_train_batches", "accumulate_grad_batches", "precision", "gradient_clip_val")
#: options of how a flow is computed, which may
IMPLEMENTATION = ("kernel", "recompute")


class Start(NamedTuple):
    """A checkpoint to start from, None for the beginning, and the rollbacks that it has behind."""

    path: Path | None = None
    rollbacks: int = 0


def find_start(config: dict[str, Any], folder: Path) -> Start:
    """Where the training in ``folder`` goes on, if that is wanted: its last whole checkpoint.

    Raises:
        ConfigError: there is a training already, and this is not to go on with it; or it has more
            epochs than are wanted.
        CheckpointError: it was a training of something else.
    """
    paths = [folder / "checkpoints" / f"{name}.ckpt" for name in ("last", "epoch")]
    paths = [path for path in paths if path.exists()]
    if not config["resume"]:
        if paths:
            raise ConfigError(
                f"hydra.run.dir={folder}: has a training already; resume=true goes on with it, "
                "another folder starts a new one"
            )
        return Start()
    for path in paths:
        try:
            content = read_checkpoint(path)
        except CheckpointError as error:
            log.warning("%s; going on from what was written before it", error)
            continue
        check_plain(content, path)
        check_resumable(content, config, folder)
        return Start(path, content["flowlat"]["rollbacks"])
    log.info("no checkpoint to go on from in %s: from the beginning", folder / "checkpoints")
    return Start()


def check_plain(content: dict[str, Any], path: Path) -> None:
    """Raise CheckpointError unless what is read of a checkpoint here is what flowlat writes."""
    ours = content["flowlat"]
    try:
        json.dumps(ours["config"])
    except (TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"ckpt_path={path}: flowlat.config.schemas: not plain data"
        ) from error
    counts = {"epoch": content.get("epoch"), "flowlat.rollbacks": ours.get("rollbacks")}
    for name, value in counts.items():
        if type(value) is not int or value < 0:
            raise CheckpointError(f"ckpt_path={path}: {name}={value!r}: not a number of times")


def check_resumable(content: dict[str, Any], config: dict[str, Any], folder: Path) -> None:
    """Raise CheckpointError or ConfigError if a training cannot go on under this config."""
    for key, (before, now) in differences(content["flowlat"]["config"], config).items():
        raise CheckpointError(
            f"{key}={now}: the training in {folder} has {key}={before}; to start another one from "
            "its weights, use init_from="
        )
    wanted, begun = config["trainer"]["max_epochs"], content["epoch"] + 1
    if begun > wanted:
        raise ConfigError(
            f"trainer.max_epochs={wanted}: the training in {folder} is in its epoch {begun} already"
        )


def differences(theirs: dict[str, Any], ours: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The options in which two trainings differ: key -> (their value, our value)."""
    found = {}
    for group in (*GROUPS, "trainer"):
        a, b = theirs.get(group), ours[group]
        if isinstance(a, dict) and isinstance(b, dict):
            for name in sorted(a.keys() | b.keys()):
                free = name not in STEPS if group == "trainer" else name in IMPLEMENTATION
                if not free and a.get(name) != b.get(name):
                    found[f"{group}.{name}"] = a.get(name), b.get(name)
        elif a != b:
            found[group] = a, b
    return found
