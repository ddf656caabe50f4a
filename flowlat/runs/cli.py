"""What the commands share: one-line errors, and for train.py and sample.py the run folder."""

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
from typing import Any, NoReturn, ParamSpec, TypeVar

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig

from flowlat.runs.launcher import external_launcher, rank
from flowlat.utils.errors import USER_ERRORS, Interrupted
from flowlat.utils.formatting import shorten

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

log = logging.getLogger(__name__)

#: why a job of a multirun failed: a line, and perhaps a traceback
ERROR_FILE = "error.txt"


def exit_code(main: Callable[Arguments, int]) -> Callable[Arguments, int]:
    """Of ``python -m``: 2, with one line, on an error that the user can mend, 130 on Ctrl-C."""

    @wraps(main)
    def wrapped(*args: Arguments.args, **kwargs: Arguments.kwargs) -> int:
        try:
            return main(*args, **kwargs)
        except (*USER_ERRORS, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            return 128 + signal.SIGINT

    return wrapped


def one_line_errors(task: Callable[[DictConfig], Result]) -> Callable[[DictConfig], Result | None]:
    """Ends the program with one line and exit code 2 on an error that the user can mend.

    A run folder in which nothing happened yet is removed. A job of a multirun that fails, for
    whatever reason, returns nothing and says why in its folder; the other jobs go on. A signal ends
    a multirun, too, with the shell's own exit code for it.
    """

    @wraps(task)
    def wrapped(cfg: DictConfig) -> Result | None:
        (run_dir() / ERROR_FILE).unlink(missing_ok=True)
        if rank() == 0:  # at once: what is needed to run may take seconds to import
            print(f"Run folder: {shorten(str(run_dir()))}", flush=True)
        logging.raiseExceptions = False  # of a log file on a full disk
        multirun = HydraConfig.get().mode == RunMode.MULTIRUN
        error: Exception
        try:
            return task(cfg)
        except KeyboardInterrupt:
            error = Interrupted("interrupted", signal.SIGINT)
        except Exception as caught:
            if not multirun and not isinstance(caught, USER_ERRORS):
                raise
            error = caught
        if multirun:
            record_failure(error)
        elif rank() == 0:
            remove_if_unused(run_dir())
        if isinstance(error, Interrupted):
            exit_with(128 + error.number, "" if multirun else str(error))
        if not multirun:
            exit_with(2, f"error: {error}")
        return None  # a failed trial to a sweeper, which NaN is not to optuna's

    return wrapped


def record_failure(error: Exception) -> None:
    """Say why this job of a multirun failed, with the traceback if the user cannot mend it."""
    if rank() == 0:
        known = isinstance(error, USER_ERRORS)
        line = " ".join(str(error if known else f"{type(error).__name__}: {error}").split())
        log.error("error: %s", line)
        more = [] if known else traceback.format_exception(error)
        with suppress(OSError):  # of a full disk
            (run_dir() / ERROR_FILE).write_text("\n".join([line, *more]))


def exit_with(code: int, line: str) -> NoReturn:
    """End the program with one line, of several ranks that find the same."""
    if line and rank() == 0:
        print(line, file=sys.stderr)
    sys.exit(code)


class RunFolderCheck(Callback):
    """Ends the program with one line where the run folder cannot be written, before Hydra tries.

    So too where processes that torchrun or srun started would not agree on it: its default has the
    time in it.
    """

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        if external_launcher() and not any(
            override.startswith("hydra.run.dir=") for override in config.hydra.overrides.hydra
        ):
            exit_with(2, "error: hydra.run.dir: torchrun and srun need it, one for all processes")
        require_writable("hydra.run.dir", config.hydra.run.dir)

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        if external_launcher():
            exit_with(2, "error: -m within torchrun or srun: trainer=ddp starts its own processes")
        require_writable("hydra.sweep.dir", config.hydra.sweep.dir)


def require_writable(key: str, folder: str) -> None:
    """Make the folder; end the program unless it can be written."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(2**16))  # a full disk still has room for a name
    except OSError as error:
        exit_with(2, f"error: {key}={folder}: {error.strerror}")


def run_dir() -> Path:
    """The folder of this run, ``hydra.run.dir``."""
    return Path(HydraConfig.get().runtime.output_dir)


def remove_if_unused(folder: Path) -> None:
    """Remove a run folder that holds nothing but Hydra's own files."""
    own = {".hydra", "train.log", "sample.log"}
    if all(entry.name in own for entry in folder.iterdir()):
        logging.shutdown()
        shutil.rmtree(folder)
