"""The folder of a run or of a sweep, before Hydra writes to it: writable, and taken."""

import tempfile
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from flowlat.runs.cli import exit_with
from flowlat.runs.folder.lock import hold, release
from flowlat.runs.folder.record import results
from flowlat.runs.launcher import external_launcher, rank
from flowlat.utils.errors import ConfigError


class RunFolderCheck(Callback):
    """Takes the folder, or ends the program with one line where it cannot be had.

    A default folder, whose name is the time, gets a number where another command was started in the
    same second. Processes that torchrun or srun started would not agree on it.
    """

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        if "trainer" in config:  # others refuse to be several themselves
            require_one_folder(config)
        take(config, "hydra.run.dir")

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        if external_launcher():
            exit_with(2, "error: -m within torchrun or srun: trainer=ddp starts its own processes")
        take(config, "hydra.sweep.dir")


def require_one_folder(config: DictConfig) -> None:
    """End the program where processes of torchrun or srun would not agree on their folder."""
    try:
        several = external_launcher()
    except ConfigError as error:
        exit_with(2, f"error: {error}")
    if several and not is_typed(config, "hydra.run.dir"):
        exit_with(2, "error: hydra.run.dir: torchrun and srun need it, one for all processes")


def is_typed(config: DictConfig, key: str) -> bool:
    """Whether a folder was given on the command line."""
    return any(
        override.lstrip("+").startswith(f"{key}=") for override in config.hydra.overrides.hydra
    )


def take(config: DictConfig, key: str) -> None:
    """Make the folder that the config names and hold it, or a numbered one beside a default."""
    try:
        name, number = str(OmegaConf.select(config, key)), 1
    except OmegaConfBaseException as error:  # now: Hydra itself takes a hundred lines for it
        written: Any = OmegaConf.to_container(config.hydra, resolve=False)
        text = written[key.split(".")[1]]["dir"]
        exit_with(2, f"error: {key}={text}: {str(error).splitlines()[0]}")
    while True:
        folder = name if number == 1 else f"{name}_{number}"
        require_writable(key, folder)
        if rank() > 0:
            return
        try:
            hold(Path(folder), key)
        except ConfigError as error:
            if is_typed(config, key):
                exit_with(2, f"error: {error}")
        else:
            if is_typed(config, key) or not is_used(Path(folder)):
                break
            release(Path(folder))
        number += 1
    if number > 1:
        with open_dict(config.hydra):
            OmegaConf.update(config, key, folder)
            # the jobs of a sweep are composed anew, of these
            config.hydra.overrides.hydra.append(f"{key}={folder}")


def is_used(folder: Path) -> bool:
    """Whether a run or a sweep has begun in it."""
    return any((folder / name).exists() for name in (".hydra", "multirun.yaml")) or bool(
        results(folder)
    )


def require_writable(key: str, folder: str) -> None:
    """Make the folder; end the program unless it can be written."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(2**16))  # a full disk still has room for a name
    except OSError as error:
        exit_with(2, f"error: {key}={folder}: {error.strerror}")
