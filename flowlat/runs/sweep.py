"""The end of a multirun: what every job reached, and which of them failed."""

import os
import shutil
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn

from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from flowlat.config.override_errors import COMPOSITION_ERRORS, in_one_line
from flowlat.runs.cli import REFUSED, exit_with
from flowlat.runs.folder.lock import release_all
from flowlat.runs.parser import late_help
from flowlat.runs.signals import ignore_signals, interrupted
from flowlat.runs.slurm import jobs_go_on, wait_for_slurm, watch_the_queue
from flowlat.runs.sweeps.search import require_sound_search
from flowlat.utils.errors import ConfigError
from flowlat.utils.formatting import number, shorten, table

#: set, Hydra raises what launcher and sweeper raise; else it prints that and ends the program
RAISE = "HYDRA_FULL_ERROR"


class SweepSummary(Callback):
    """Prints a table of the jobs, names those that failed, and makes the exit code 1 if one did."""

    #: of the multirun that has begun in this process
    config: DictConfig | None = None

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        folder = Path(config.hydra.sweep.dir)
        try:
            require_sound_search(config.hydra)
            if (folder / "multirun.yaml").exists():
                # here, not above: it reads ensembles too
                from flowlat.runs.jobs import require_same_sweep

                hydra: Any = OmegaConf.to_container(config.hydra, resolve=False)
                require_same_sweep(folder, hydra, bool(config.resume))
        except ConfigError as error:
            exit_with(2, f"error: {error}")
        shutil.rmtree(folder / REFUSED, ignore_errors=True)
        # not every sweeper leaves it, and the report knows a multirun by it
        OmegaConf.save(config, folder / "multirun.yaml")
        SweepSummary.config = config
        if on_slurm(config):
            watch_the_queue()

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        if not summarise(config):
            sys.exit(1)


def with_sweep_summary(main: Callable[[], None]) -> Callable[[], None]:
    """One line for what Hydra cannot compose; and the summary, too, of a multirun that a signal or
    launcher or sweeper broke off, of which Hydra tells no callback.

    The latter do where a worker of joblib or a job of SLURM is killed, and where no trial succeeds;
    a line says so.
    """

    @wraps(main)
    def wrapped() -> None:
        SweepSummary.config, wanted = None, RAISE in os.environ
        os.environ[RAISE], HydraConfig.instance().cfg = "1", None
        try:
            try:
                with late_help():
                    main()
            except Exception as error:
                if wanted:
                    raise
                end_broken(error)
        except SystemExit as stop:
            if SweepSummary.config and isinstance(stop.code, int) and stop.code > 128:  # a signal
                summarise(SweepSummary.config)
            raise
        except KeyboardInterrupt as stop:
            if SweepSummary.config is None:
                raise
            end_interrupted(stop, SweepSummary.config)
        finally:
            release_all()
            if not wanted:
                os.environ.pop(RAISE, None)

    return wrapped


def end_broken(error: Exception) -> NoReturn:
    """End a program with one line for what Hydra, or launcher or sweeper, raised; or raise that."""
    config, composed = SweepSummary.config, HydraConfig.initialized()
    # a sweeper's own ValueError is none of composition
    kinds = COMPOSITION_ERRORS if config is None else COMPOSITION_ERRORS[:2]
    if not composed and isinstance(error, kinds):
        exit_with(2, f"error: {in_one_line(error, sys.argv[1:])}")
    if config is None:
        raise error
    reason = str(error).strip() or type(error).__name__
    if isinstance(error, CompactHydraException):  # which are written for the user
        reason = in_one_line(error, sys.argv[1:])
    else:
        first = " ".join(reason.splitlines()[:2]).strip()
        reason = f"{first} ({RAISE}=1 shows where)"
    print(f"error: the sweep broke off: {reason}", file=sys.stderr)
    if on_slurm(config):
        wait_for_slurm(Path(config.hydra.sweep.dir))
    summarise(config)
    sys.exit(1)


def end_interrupted(stop: KeyboardInterrupt, config: DictConfig) -> NoReturn:
    """End a multirun that a signal met outside of its jobs: while it waits for those elsewhere."""
    ignore_signals()
    error = interrupted(stop)
    jobs = jobs_go_on(Path(config.hydra.sweep.dir)) if on_slurm(config) else ""
    print("; ".join(filter(None, [str(error), jobs])), file=sys.stderr)
    summarise(config)
    sys.exit(128 + error.number)


def on_slurm(config: DictConfig) -> bool:
    """Whether the jobs of a multirun are jobs of SLURM."""
    return bool(config.hydra.launcher._target_.endswith(".SlurmLauncher"))


def summarise(config: DictConfig) -> bool:
    """Print the table, and the jobs that failed; whether there is none, and one that began."""
    # here, not above: it reads ensembles too, and a command has no jobs before its end
    from flowlat.runs.jobs import read_jobs, varying

    folder = Path(config.hydra.sweep.dir)
    try:
        jobs = read_jobs(folder)
    except ConfigError:  # not one job has begun
        return False
    for path in folder.glob(f"{REFUSED}/*"):
        i = next(i for i, job in enumerate(jobs) if job.number == int(path.name))
        jobs[i] = jobs[i]._replace(refused=path.read_text().splitlines()[0])
    shutil.rmtree(folder / REFUSED, ignore_errors=True)
    keys, failed = varying(jobs), [job for job in jobs if job.status]
    rows: list[tuple[str, ...]] = [("job", *keys, "ESS", "acceptance", "seconds")]
    columns = {"ess": ".4f", "acceptance": ".4f", "seconds": ".0f"}
    for job in jobs:
        summary = (job.run and not job.status and job.run.summary) or {}
        results = [number(summary.get(name), style) or "-" for name, style in columns.items()]
        rows.append((str(job.number), *(job.overrides.get(key, "") for key in keys), *results))
    print(f"\nSweep of {len(jobs)} jobs, {len(jobs) - len(failed)} finished:\n{table(rows)}")
    if failed:
        print(f"{len(failed)} of {len(jobs)} jobs did not finish:", file=sys.stderr)
    for job in failed:
        where = shorten(str(job.run.path)) if job.run else f"job {job.number}"
        print(f"  {where}: {job.changes(keys)}: {job.status}", file=sys.stderr)
    return not failed
