"""Jobs of SLURM: requeued when their time is up, waited for at the end of a sweep."""

import os
import re
import subprocess
from pathlib import Path


def requeue() -> str:
    """Have SLURM start this job again; what came of it, in words. Empty if this is no SLURM job."""
    array, task = (os.environ.get(f"SLURM_ARRAY_{name}_ID", "") for name in ("JOB", "TASK"))
    job = f"{array}_{task}" if array else os.environ.get("SLURM_JOB_ID", "")
    if not re.fullmatch(r"\d+(_\d+)?", job):
        return ""
    try:
        done = subprocess.run(
            ["scontrol", "requeue", job], capture_output=True, text=True, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"SLURM job {job} not requeued ({error})"
    if done.returncode:
        return f"SLURM job {job} not requeued ({' '.join(done.stderr.split())})"
    return f"SLURM job {job} requeued"


def wait_for_slurm(folder: Path) -> None:
    """Wait for the jobs of an array, as submitit does until it comes to one that was killed."""
    from submitit import SlurmJob

    for path in sorted(folder.glob(".submitit/*/*_submitted.pkl")):
        SlurmJob(path.parent, path.name.removesuffix("_submitted.pkl")).wait()
