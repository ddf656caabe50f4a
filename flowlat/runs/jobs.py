"""The jobs of a multirun: which there should be, and what became of each."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.override_parser.overrides_parser import OverridesParser

from flowlat.runs.folder.record import ERROR_FILE
from flowlat.runs.folders import Trained, read_data, read_training
from flowlat.runs.sweeps.search import given
from flowlat.runs.sweeps.silent import NEVER, became_of
from flowlat.utils.conf import conf_dir
from flowlat.utils.errors import ConfigError


class Job(NamedTuple):
    """A job by its number, with its overrides and its run, None if it has left no record.

    ``refused``: why it was not run where another run has left its results.
    ``silent``: what became of one without a record.
    """

    number: int
    overrides: dict[str, str]
    run: Trained | None
    refused: str = ""
    silent: str = NEVER

    @property
    def status(self) -> str:
        """What became of it, empty if it finished."""
        if self.refused:
            return f"failed: {self.refused}"
        if self.run is None:
            return self.silent
        error = self.run.path / ERROR_FILE
        if error.exists():
            return f"failed: {error.read_text().splitlines()[0]}"
        if self.run.summary is not None:
            return ""
        epochs = int(self.run.rows[-1]["epoch"]) + 1 if self.run.rows else 0
        return f"crashed, or running: {epochs} epochs"

    def changes(self, keys: Sequence[str]) -> str:
        """Its overrides of ``keys`` as they are typed."""
        return " ".join(f"{key}={self.overrides[key]}" for key in keys if key in self.overrides)

    def label(self, keys: set[str]) -> str:
        """Its overrides of ``keys``; a group is named by its option alone."""
        parts = [
            value if (conf_dir() / key).is_dir() else f"{key}={value}"
            for key, value in self.overrides.items()
            if key in keys
        ]
        return ", ".join(parts) or "all"


def read_jobs(folder: Path) -> list[Job]:
    """The jobs of a multirun, by number.

    Raises:
        ConfigError: no job in the folder.
    """
    plan = dict(enumerate(planned(folder)))
    jobs = {number: Job(number, overrides, None) for number, overrides in plan.items()}
    found = {path: read_job(path) for path in sorted(folder.iterdir())}
    for job in filter(None, found.values()):
        # one that went on by itself was told more; what it is called is what it ran with
        told = plan.get(job.number, job.overrides)
        called = {key: job.overrides.get(key, value) for key, value in told.items()}
        jobs[job.number] = job._replace(overrides=called)
    begun = {int(path.name) for path, job in found.items() if not job and path.name.isdigit()}
    if not plan:  # as of a search: those that have their folder are known
        jobs |= {number: Job(number, {}, None) for number in begun - jobs.keys()}
    without = [number for number, job in jobs.items() if job.run is None]
    for number, words in became_of(folder, without, begun).items():
        jobs[number] = jobs[number]._replace(silent=words)
    if all(job.silent == NEVER and not job.run for job in jobs.values()):
        raise ConfigError(f"RUN={folder}: no job in it")
    return [jobs[number] for number in sorted(jobs)]


def read_job(folder: Path) -> Job | None:
    """The job in a folder, None if there is none."""
    hydra = read_data(folder / ".hydra" / "hydra.yaml")
    # a job which went on by itself, with hydra.run.dir, has no number
    names = [str(hydra["hydra"]["job"]["num"]), folder.name] if hydra else []
    number = next(filter(str.isdigit, names), None)
    if number is None:
        return None
    typed = read_data(folder / ".hydra" / "overrides.yaml") or []
    overrides = dict(override.partition("=")[::2] for override in typed)  # "~key" has no value
    return Job(int(number), overrides, read_training(folder))


def varying(jobs: Sequence[Job]) -> list[str]:
    """The overrides in which the jobs differ."""
    keys = dict.fromkeys(key for job in jobs for key in job.overrides)
    return [key for key in keys if len({job.overrides.get(key) for job in jobs}) > 1]


def planned(folder: Path) -> list[dict[str, str]]:
    """The overrides of every job, in order; none where a sweeper chooses them as it goes."""
    return plan_of(read_data(folder / "multirun.yaml")["hydra"])


def plan_of(hydra: dict[str, Any]) -> list[dict[str, str]]:
    """:func:`planned` from Hydra's own options."""
    if not hydra["sweeper"]["_target_"].endswith(".BasicSweeper"):
        return []
    choices = {
        override.get_key_element(): list(override.sweep_string_iterator())
        if override.is_sweep_override()
        else [override.get_value_element_as_str()]
        for override in OverridesParser.create().parse_overrides(given(hydra))
    }
    return [dict(zip(choices, values, strict=True)) for values in product(*choices.values())]


def require_same_sweep(folder: Path, hydra: dict[str, Any], resume: bool) -> None:
    """Refuse a sweep in the folder of another one, whose results would go by its names.

    Args:
        hydra: Hydra's own options of the sweep that is to begin.
        resume: it is to finish the one that is there.

    Raises:
        ConfigError: jobs have begun that it does not have; or that are not to be gone on with.
    """
    if not (folder / "multirun.yaml").exists():
        return
    jobs = {job.number: job for job in filter(None, map(read_job, sorted(folder.iterdir())))}
    if not jobs:
        return
    there, here = planned(folder), plan_of(hydra)
    if not (there and here):
        raise ConfigError(
            f"hydra.sweep.dir={folder}: has {len(jobs)} jobs already, and a search numbers its own "
            "from 0 on; in another folder it goes on with the same storage= and study_name="
        )
    if not resume:
        raise ConfigError(
            f"hydra.sweep.dir={folder}: has a sweep already; resume=true finishes it, another "
            "folder starts a new one"
        )
    keys = {*varying([Job(i, job, None) for i, job in enumerate(there)])}
    keys |= {*varying([Job(i, job, None) for i, job in enumerate(here)])}
    for number in sorted(jobs):
        wanted = here[number] if number < len(here) else None
        was = there[number] if number < len(there) else jobs[number].overrides
        if wanted is not None and any(was.get(key) != wanted.get(key) for key in keys):
            before, now = (Job(number, job, None).changes(sorted(keys)) for job in (was, wanted))
            raise ConfigError(
                f"hydra.sweep.dir={folder}: its job {number} is {before}, not {now}; another "
                "folder starts a new sweep"
            )
