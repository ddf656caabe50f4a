"""The jobs of a multirun: which there should be, and what became of each."""

from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.override_parser.overrides_parser import OverridesParser

from flowlat.errors import ConfigError
from flowlat.report.runs import Trained, read_training, read_yaml


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
        if self.run.summary is not None:
            return ""
        if not self.run.rows:
            return "crashed, or running: not one epoch"
        return f"crashed, or running: {int(self.run.rows[-1]['epoch']) + 1} epochs"

    def label(self, keys: set[str]) -> str:
        """Its overrides of ``keys``; a group is named by its option alone."""
        parts = [
            value if "." not in key else f"{key}={value}"
            for key, value in self.overrides.items()
            if key in keys
        ]
        return ", ".join(parts) or "all"


def read_jobs(folder: Path) -> list[Job]:
    """The jobs of a multirun, by number.

    Raises:
        ConfigError: no job in the folder, or one of sample.py.
    """
    jobs = {job.number: job for job in map(read_job, sorted(folder.iterdir())) if job}
    for number, overrides in enumerate(planned(folder)):
        jobs.setdefault(number, Job(number, overrides, None))
    if not any(job.run for job in jobs.values()):
        raise ConfigError(f"RUN={folder}: no job of train.py in it")
    return [jobs[number] for number in sorted(jobs)]


def read_job(folder: Path) -> Job | None:
    """The job in a folder, None if there is none."""
    hydra: Any = read_yaml(folder / ".hydra" / "hydra.yaml")
    if hydra is None:
        return None
    if (folder / "ensemble.h5").exists():
        raise ConfigError(f"RUN={folder.parent}: a multirun of sample.py: name its job folders")
    overrides = read_yaml(folder / ".hydra" / "overrides.yaml") or []
    return Job(int(hydra["hydra"]["job"]["num"]), as_dict(overrides), read_training(folder))


def planned(folder: Path) -> list[dict[str, str]]:
    """The overrides of every job, in order; none where a sweeper chooses them as it goes."""
    hydra = read_yaml(folder / "multirun.yaml")["hydra"]
    if not hydra["sweeper"]["_target_"].endswith(".BasicSweeper"):
        return []
    params = hydra["sweeper"].get("params") or {}
    given = [*hydra["overrides"]["task"], *(f"{key}={value}" for key, value in params.items())]
    parsed = OverridesParser.create().parse_overrides(given)
    choices = [
        list(override.sweep_string_iterator())
        if override.is_sweep_override()
        else [override.get_value_element_as_str()]
        for override in parsed
    ]
    keys = [override.get_key_element() for override in parsed]
    return [dict(zip(keys, values, strict=True)) for values in product(*choices)]


def as_dict(overrides: list[str]) -> dict[str, str]:
    """["a=1", "+b=2"] -> {"a": "1", "+b": "2"}."""
    return dict(override.split("=", 1) for override in overrides)
