"""What train.py and sample.py share: one-line errors and the run folder."""

import logging
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig

from flowlat.runs.processes import external_launcher, rank
from flowlat.utils.errors import USER_ERRORS, Interrupted

Result = TypeVar("Result")

log = logging.getLogger(__name__)

#: why a job of a multirun failed: a line, and perhaps a traceback
ERROR_FILE = "error.txt"


def one_line_errors(task: Callable[[DictConfig], Result]) -> Callable[[DictConfig], Result | None]:
    """Ends the program with one line and exit code 2 on an error that the user can mend.

    A run folder in which nothing happened yet is removed. A job of a multirun that fails, for
    whatever reason, returns nothing and says why in its folder; the other jobs go on. A signal ends
    a multirun, too, with the shell's own exit code for it.
    """

    @wraps(task)
    def wrapped(cfg: DictConfig) -> Result | None:
        (run_dir() / ERROR_FILE).unlink(missing_ok=True)
        logging.raiseExceptions = False  # of a log file on a full disk
        try:
            return task(cfg)
        except (Interrupted, KeyboardInterrupt) as error:
            stop = Interrupted("interrupted", signal.SIGINT)
            if isinstance(error, Interrupted):
                stop = error
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                note(stop)
            elif rank() == 0:
                print(stop, file=sys.stderr)
                remove_if_unused(run_dir())
            sys.exit(128 + stop.number)
        except Exception as error:
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                note(error)
                return None  # a failed trial to a sweeper, which NaN is not to optuna's
            if not isinstance(error, USER_ERRORS):
                raise
            if rank() == 0:
                remove_if_unused(run_dir())
            refuse(error)

    return wrapped


def note(error: Exception) -> None:
    """Note why this job of a multirun failed, with the traceback if the user cannot mend it."""
    if rank() == 0:
        known = isinstance(error, USER_ERRORS)
        line = " ".join(str(error if known else f"{type(error).__name__}: {error}").split())
        log.error("error: %s", line)
        more = [] if known else traceback.format_exception(error)
        with suppress(OSError):  # of a full disk
            (run_dir() / ERROR_FILE).write_text("\n".join([line, *more]))


def refuse(error: object) -> NoReturn:
    """End the program with exit code 2 and, of several ranks that find the same, one line."""
    if rank() == 0:
        print(f"error: {error}", file=sys.stderr)
    sys.exit(2)


class RunFolder(Callback):
    """Ends the program with one line where the run folder cannot be written, before Hydra tries.

    So too where processes that torchrun or srun started would not agree on it: its default has the
    time in it.
    """

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        if external_launcher() and not any(
            override.startswith("hydra.run.dir=") for override in config.hydra.overrides.hydra
        ):
            refuse("hydra.run.dir: torchrun and srun need it, as one folder for all processes")
        self.probe("hydra.run.dir", config.hydra.run.dir)

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        if external_launcher():
            refuse(
                "-m within torchrun or srun: start the sweep without, trainer=ddp starts its own"
            )
        self.probe("hydra.sweep.dir", config.hydra.sweep.dir)

    def probe(self, key: str, folder: str) -> None:
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(bytes(2**16))  # a full disk still has room for a name
        except OSError as error:
            refuse(f"{key}={folder}: {error.strerror}")


def run_dir() -> Path:
    """The folder of this run, ``hydra.run.dir``."""
    return Path(HydraConfig.get().runtime.output_dir)


def remove_if_unused(folder: Path) -> None:
    """Remove a run folder that holds nothing but Hydra's own files."""
    own = {".hydra", "train.log", "sample.log"}
    if all(entry.name in own for entry in folder.iterdir()):
        logging.shutdown()
        shutil.rmtree(folder)
