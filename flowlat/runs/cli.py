"""What the commands that Hydra composes share: one-line errors, and the run folder."""

import logging
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import NoReturn, TypeVar

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from flowlat.runs.folder.lock import hold, release
from flowlat.runs.folder.record import (
    ERROR_FILE,
    Record,
    record_of,
    remove_if_unused,
    results,
    stamp,
)
from flowlat.runs.launcher import rank
from flowlat.runs.signals import Obeyed, ignore_signals, said
from flowlat.utils.errors import USER_ERRORS, Interrupted
from flowlat.utils.formatting import shorten

Result = TypeVar("Result")

log = logging.getLogger(__name__)

#: within the folder of a multirun, while it runs: why a job was refused its folder, by number
REFUSED = ".refused"


def one_line_errors(task: Callable[[DictConfig], Result]) -> Callable[[DictConfig], Result | None]:
    """Ends the program with one line and exit code 2 on an error that the user can mend.

    A run folder in which nothing happened yet is removed. A job of a multirun that fails, for
    whatever reason, returns nothing and says why in its folder; the other jobs go on. A signal ends
    a multirun, too, with the shell's own exit code for it.
    """

    @wraps(task)
    def wrapped(cfg: DictConfig) -> Result | None:
        folder, multirun = run_dir(), HydraConfig.get().mode == RunMode.MULTIRUN
        if rank() == 0:  # at once: what is needed to run may take seconds to import
            print(f"Run folder: {shorten(str(folder))}", flush=True)
        logging.raiseExceptions = False  # of a log file on a full disk
        before = stamp(folder)
        error: Exception
        # a job of a multirun may be a process of its own, which has not had them so far
        with Obeyed() as signals:
            try:
                if rank() == 0:
                    hold(folder, "hydra.run.dir")
                return task(cfg)
            except (Exception, KeyboardInterrupt) as caught:
                if isinstance(caught, USER_ERRORS):
                    error = caught
                elif interrupted := signals.error(caught):
                    error = interrupted
                elif not multirun or not isinstance(caught, Exception):
                    raise
                else:
                    error = caught
            finally:
                if multirun:
                    release(folder)
        if isinstance(error, Interrupted):
            ignore_signals()
            error = Interrupted(said(error, cfg.resume is True, how_to_go_on(cfg)), error.number)
        if multirun:
            record_failure(error, record_of(cfg), begun=stamp(folder) != before)
        elif rank() == 0:
            remove_if_unused(folder)
        if isinstance(error, Interrupted):
            exit_with(128 + error.number, "" if multirun else str(error))
        if not multirun:
            exit_with(2, f"error: {error}")
        return None  # a failed trial to a sweeper, which NaN is not to optuna's

    return wrapped


def how_to_go_on(cfg: DictConfig) -> str:
    """In words; empty while there is nothing to go on with."""
    record = record_of(cfg)
    if not results(record.folder):
        return ""
    options = "" if cfg.resume is True else f" with {record.option} resume=true"
    return f"the same command{options} goes on"


def record_failure(error: Exception, record: Record, begun: bool) -> None:
    """Say why this job of a multirun failed, with the traceback if the user cannot mend it.

    In its folder; but where there are results of another run, in that of the multirun.
    """
    if rank() > 0:
        return
    known = isinstance(error, USER_ERRORS)
    line = " ".join(str(error if known else f"{type(error).__name__}: {error}").split())
    if begun:
        log.error("error: %s", line)
    else:  # and nothing in its log
        print(f"error: {line}", file=sys.stderr)
    more = [] if known else traceback.format_exception(error)
    hydra = HydraConfig.get()
    with suppress(OSError):  # of a full disk
        path = record.folder / ERROR_FILE
        if not begun and results(record.folder):
            path = Path(hydra.sweep.dir, REFUSED, str(hydra.job.num))
            path.parent.mkdir(exist_ok=True)
        elif not begun:
            record.begin()
        path.write_text("\n".join([line, *more]))


def exit_with(code: int, line: str) -> NoReturn:
    """End the program with one line, of several ranks that find the same."""
    if line and rank() == 0:
        print(line, file=sys.stderr)
    sys.exit(code)


def run_dir() -> Path:
    """The folder of this run, ``hydra.run.dir``."""
    return Path(HydraConfig.get().runtime.output_dir)
