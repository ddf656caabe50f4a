"""The end of a multirun: what every job reached, and which of them failed."""

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any

from hydra.errors import CompactHydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from flowlat.runs.console import shorten, table
from flowlat.runs.jobs import Job, read_jobs, varying
from flowlat.runs.slurm import wait_for_slurm
from flowlat.utils.errors import ConfigError
from flowlat.utils.formatting import number

#: set, Hydra raises what launcher and sweeper raise; else it prints that and ends the program
RAISE = "HYDRA_FULL_ERROR"
#: exit codes above it are of a signal
SIGNALLED = 128


class Sweep(Callback):
    """Prints a table of the jobs, names those that failed, and makes the exit code 1 if one did."""

    #: the multirun that has begun in this process
    config: DictConfig | None = None

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        # not every sweeper leaves it, and the report knows a multirun by it
        folder = Path(config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(config, folder / "multirun.yaml")
        Sweep.config, os.environ[RAISE] = config, "1"

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        end(Path(config.hydra.sweep.dir))


def ended(main: Callable[[], None]) -> Callable[[], None]:
    """The end, too, of a multirun that a signal or launcher or sweeper broke off.

    The latter do where a worker of joblib or a job of SLURM is killed, and where no trial succeeds;
    a line says so.
    """

    @wraps(main)
    def wrapped() -> None:
        Sweep.config, wanted = None, RAISE in os.environ
        try:
            main()
        except SystemExit as stop:
            if Sweep.config is not None and isinstance(stop.code, int) and stop.code > SIGNALLED:
                with suppress(ConfigError, SystemExit):
                    end(Path(Sweep.config.hydra.sweep.dir))
            raise
        except Exception as error:
            if wanted or Sweep.config is None:
                raise
            reason = str(error).strip() or type(error).__name__
            if not isinstance(error, CompactHydraException):  # which are written for the user
                first = " ".join(reason.splitlines()[:2]).strip()
                reason = f"{first} ({RAISE}=1 shows where)"
            print(f"error: the sweep broke off: {reason}", file=sys.stderr)
            if Sweep.config.hydra.launcher._target_.endswith(".SlurmLauncher"):
                wait_for_slurm(Path(Sweep.config.hydra.sweep.dir))
            with suppress(ConfigError):  # not one job has begun
                end(Path(Sweep.config.hydra.sweep.dir))
            sys.exit(1)
        finally:
            if not wanted:
                os.environ.pop(RAISE, None)

    return wrapped


def end(folder: Path) -> None:
    """The table, the jobs that failed, and exit code 1 if one did."""
    jobs = read_jobs(folder)
    failed = [job for job in jobs if job.status]
    print(f"\nSweep of {len(jobs)} jobs, {len(jobs) - len(failed)} finished:\n{reached(jobs)}")
    if failed:
        print(f"{len(failed)} of {len(jobs)} jobs did not finish:", file=sys.stderr)
        for job in failed:
            where = shorten(str(job.run.path)) if job.run else f"job {job.number}"
            print(f"  {where}: {job.changes(varying(jobs))}: {job.status}", file=sys.stderr)
        sys.exit(1)


def reached(jobs: Sequence[Job]) -> str:
    """A row a job: the overrides in which the jobs differ, ESS, acceptance and seconds."""
    keys = varying(jobs)
    rows: list[tuple[str, ...]] = [("job", *keys, "ESS", "acceptance", "seconds")]
    for job in jobs:
        found = job.run.summary if job.run and job.run.summary else {}
        figures = [number(found.get(name), ".4f") or "-" for name in ("ess", "acceptance")]
        seconds = number(found.get("seconds"), ".0f") or "-"
        values = [job.overrides.get(key, "") for key in keys]
        rows.append((str(job.number), *values, *figures, seconds))
    return table(rows)
