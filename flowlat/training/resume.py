"""Where a training goes on, and whether it may."""

import json
import logging
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from flowlat.config.build import FLOW_GROUPS
from flowlat.config.checkpoint import read_checkpoint
from flowlat.config.compare import differences, flatten
from flowlat.runs.folder.record import require_free, results
from flowlat.runs.metrics import read_metrics, require_whole
from flowlat.training.state import check_state
from flowlat.utils.errors import CheckpointError, ConfigError

log = logging.getLogger(__name__)

#: what a training goes on with, and may not change between the legs of a run
STEP = ("ema_decay", "objective", "optimizer", "scheduler", "data")
GROUPS = (*FLOW_GROUPS, "family", *STEP, "seed")
#: of the trainer
STEPS = ("limit_train_batches", "accumulate_grad_batches", "precision", "gradient_clip_val")
#: options of how a flow is computed, which may
IMPLEMENTATION = ("arch.kernel", "arch.recompute")


class Start(NamedTuple):
    """Where a training begins or goes on.

    path: the checkpoint to go on from; None is the beginning.
    rollbacks: how often it was taken back until then.
    legs: the epochs at which its legs begin.
    arithmetic: by what it was computed until then, see :func:`flowlat.kernels.arithmetic`.
    """

    path: Path | None = None
    rollbacks: int = 0
    legs: Sequence[int] = (0,)
    arithmetic: Mapping[str, Any] = {}


def find_start(config: dict[str, Any], folder: Path) -> Start:
    """Where the training in ``folder`` goes on, if that is wanted: its last whole checkpoint.

    ``resume=restart`` is the beginning whatever there is.

    Raises:
        ConfigError: there is a training already, and this is not to go on with it; or another
            number of epochs is wanted, and it may not have that: see :func:`legs_of`; or its
            metrics.csv is damaged.
        CheckpointError: it was a training of something else, or its state is damaged, or there is
            something but nothing to go on from.
    """
    require_free(folder, "training", resume=bool(config["resume"]))
    if config["resume"] is not True:
        return Start()
    require_whole(folder / "metrics.csv")  # now, not when the first epoch is over
    paths = [folder / "checkpoints" / f"{name}.ckpt" for name in ("last", "epoch")]
    paths, damage = [path for path in paths if path.exists()], ""
    for path in paths:
        try:
            content = read_checkpoint(path)
        except CheckpointError as error:
            damage = damage or str(error)
            continue
        if damage:
            log.warning("%s; going on from what was written before it", damage)
        check_resumable(content, config, folder)
        try:
            check_state(content, config["trainer"]["limit_train_batches"])
        except CheckpointError as error:
            raise CheckpointError(f"ckpt_path={path}: {error}") from error
        notes, legs = content["flowlat"], legs_of(content, config, folder)
        before = notes.get("arithmetic")
        return Start(path, notes["rollbacks"], legs, before if isinstance(before, dict) else {})
    if paths:
        raise CheckpointError(
            f"{damage}: nothing to go on from in hydra.run.dir={folder}; resume=restart trains "
            "anew, and removes what is there"
        )
    require_first_epoch(config, folder)
    log.info("no checkpoint to go on from in %s: from the beginning", folder / "checkpoints")
    return Start()


def require_first_epoch(config: dict[str, Any], folder: Path) -> None:
    """Refuse to begin where there are results, but nothing to go on from.

    But for those of the first epoch of this training, which was cut off between the best of it and
    its end: it leaves the same once more.

    Raises:
        CheckpointError: see above.
    """
    for path in chain(*results(folder).values()):
        if path.suffix == ".ckpt":
            content = read_checkpoint(path)
            check_resumable(content, config, folder)
            same = content.get("epoch") == 0
        else:
            same = path.name == "metrics.csv" and len(read_metrics(path)) <= 1
        if not same:
            raise CheckpointError(
                f"hydra.run.dir={folder}: has {path.relative_to(folder)}, but no last.ckpt to go "
                "on from; resume=restart trains anew, and removes what is there"
            )


def check_resumable(content: dict[str, Any], config: dict[str, Any], folder: Path) -> None:
    """Raise CheckpointError if a training cannot go on under this config."""
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


def legs_of(content: dict[str, Any], config: dict[str, Any], folder: Path) -> list[int]:
    """The epochs at which the legs of a training begin, that of the steps to come as the last.

    A leg has one schedule, from its beginning to ``trainer.max_epochs``. A training that has ended
    and is to have more epochs begins another one, with the weights, the averages and the state of
    the optimizer that it has. One that has not ended keeps its schedule and so its end.

    Raises:
        ConfigError: more or fewer epochs than a training was to have that has not ended; or fewer
            than one has had that has.
    """
    flat = flatten(content["flowlat"])
    before, wanted = flat.get("config.trainer.max_epochs"), config["trainer"]["max_epochs"]
    legs: list[int] = content["flowlat"].get("legs", [0])  # until 0.2 there was no other
    done = content["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
    if wanted == before:
        return legs
    if done != before:
        raise ConfigError(
            f"trainer.max_epochs={wanted}: the training in {folder} is in its epoch {done + 1} of "
            f"{before}, over which its schedule goes; trainer.max_epochs={before} goes on with it"
        )
    if wanted < before:
        raise ConfigError(
            f"trainer.max_epochs={wanted}: the training in {folder} has had {before} epochs already"
        )
    return [*legs, before]
