"""The jobs of a multirun by what they have in common."""

from collections.abc import Sequence

from flowlat.runs.folders import Trained
from flowlat.runs.jobs import Job, varying
from flowlat.utils.errors import ConfigError

#: theory -> label -> the runs that differ in nothing but their seed
Groups = dict[str, dict[str, list[Trained]]]


def grouped(jobs: Sequence[Job]) -> Groups:
    """The jobs with an epoch, by theory and by those overrides, other than the seed, that vary."""
    # what defines the theory is in its name
    keys = {k for k in varying(jobs) if k.split(".")[0] not in ("seed", "lattice", "action")}
    groups: Groups = {}
    for job in jobs:
        if job.run is not None and any(row["acceptance"] for row in job.run.rows):
            runs = groups.setdefault(theory(job.run), {}).setdefault(job.label(keys), [])
            runs.append(job.run)
    return dict(sorted(groups.items()))


def theory(run: Trained) -> str:
    """Lattice and action: "3-d 8x8x8, m2=-4.0 lam=5.113"; ConfigError without a config."""
    if not {"lattice", "action"} <= run.config.keys():
        raise ConfigError(f"RUN={run.path}: .hydra/config.yaml has no lattice and action")
    shape = run.config["lattice"]["shape"]
    action = " ".join(f"{k}={v}" for k, v in run.config["action"].items() if k != "_target_")
    return f"{len(shape)}-d {'x'.join(map(str, shape))}, {action}"
