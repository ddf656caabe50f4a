"""The end of a multirun: what every job reached, and which of them failed."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from flowlat.cli import number, shorten, table
from flowlat.report.jobs import Job, read_jobs, varying


class Sweep(Callback):
    """Prints a table of the jobs, names those that failed, and makes the exit code 1 if one did."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        # not every sweeper leaves it, and the report knows a multirun by it
        folder = Path(config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(config, folder / "multirun.yaml")

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        folder = Path(config.hydra.sweep.dir)
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
