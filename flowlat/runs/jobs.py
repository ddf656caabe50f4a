"""The jobs of a multirun: which there should be, and what became of each."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

from hydra.core.override_parser.overrides_parser import OverridesParser

from flowlat.runs.cli import ERROR_FILE
from flowlat.runs.folders import Trained, read_data, read_training
from flowlat.utils.conf import conf_dir
from flowlat.utils.errors import ConfigError


class Job(NamedTuple):
    """A job by its number, with its overrides and its run, None if it never started."""

    number: int
    overrides: dict[str, str]
    run: Trained | None

    @property
    def status(self) -> str:
        """What became of it, empty if it finished."""
        if self.run is None:
            return "missing: it never started"
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
    for job in filter(None, map(read_job, sorted(folder.iterdir()))):
        # the plan knows better: one that went on by itself was told more
        jobs[job.number] = job._replace(overrides=plan.get(job.number, job.overrides))
    if not any(job.run for job in jobs.values()):
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
    hydra = read_data(folder / "multirun.yaml")["hydra"]
    if not hydra["sweeper"]["_target_"].endswith(".BasicSweeper"):
        return []
    params = hydra["sweeper"].get("params") or {}
    # in the order of the sweeper; what is typed is the last word
    given = [*(f"{key}={value}" for key, value in params.items()), *hydra["overrides"]["task"]]
    choices = {
        override.get_key_element(): list(override.sweep_string_iterator())
        if override.is_sweep_override()
        else [override.get_value_element_as_str()]
        for override in OverridesParser.create().parse_overrides(given)
    }
    return [dict(zip(choices, values, strict=True)) for values in product(*choices.values())]
