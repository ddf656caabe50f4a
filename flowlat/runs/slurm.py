"""Jobs of SLURM: requeued when their time is up, waited for at the end of a sweep."""

import logging
import os
import re
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from submitit import SlurmJob

log = logging.getLogger(__name__)

#: seconds between two looks at the queue; after submitit's first ones, which come faster
LOOK = 60
#: what squeue says of a job that it has forgotten, which it does minutes after its end
FORGOTTEN = "Invalid job id specified"
#: states after which nothing comes any more; GONE: it is forgotten
ENDED = {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "GONE", "NODE_FAIL"}
ENDED |= {"OUT_OF_MEMORY", "PREEMPTED", "REVOKED", "TIMEOUT"}


def requeue() -> str:
    """Have SLURM start this job again, if it is only its time that is up; what came of it, in
    words. Empty if this is no SLURM job.

    SLURM would start a job again, too, that it is cancelling. Of one that it ends it shows the
    state COMPLETING, whatever the cause, and a reason for a time limit alone; one that it starts
    again by itself, after a node failure or a preemption, has a restart more than this process
    knows of.
    """
    array, task = (os.environ.get(f"SLURM_ARRAY_{name}_ID", "") for name in ("JOB", "TASK"))
    job = f"{array}_{task}" if array else os.environ.get("SLURM_JOB_ID", "")
    if not re.fullmatch(r"\d+(_\d+)?", job):
        return ""
    try:
        told = _ask("scontrol", "--oneliner", "show", "job", job)
        words = dict(word.partition("=")[::2] for word in told.split())
        restarts = int(os.environ.get("SLURM_RESTART_COUNT") or 0)
        if int(words.get("Restarts", 0)) > restarts:
            return f"SLURM starts job {job} again by itself"
        if words.get("JobState") != "RUNNING" and words.get("Reason") != "TimeLimit":
            return f"SLURM job {job} is cancelled, and not requeued"
        if words.get("Requeue") == "0":
            return (
                f"SLURM job {job} not requeued: submit it with --requeue, a sweep with "
                "+hydra.launcher.additional_parameters.requeue=true"
            )
        _ask("scontrol", "requeue", job)
    except (OSError, RuntimeError, ValueError, subprocess.TimeoutExpired) as error:
        return f"SLURM job {job} not requeued ({error})"
    return f"SLURM job {job} requeued"


def watch_the_queue() -> None:
    """Have submitit ask the queue for its jobs: ``sacct`` has no answer without accounting, and a
    job that was killed would be waited for without end."""
    from submitit import SlurmJob
    from submitit.slurm.slurm import SlurmInfoWatcher

    class Queue(SlurmInfoWatcher):
        """The states of jobs."""

        def is_done(self, job_id: str, mode: str = "standard") -> bool:
            return self.get_state(job_id, mode) in ENDED

        def update(self) -> None:
            self._num_calls += 1
            jobs = self._registered - self._finished
            try:
                self._info_dict |= states(jobs)
            except (OSError, RuntimeError, subprocess.TimeoutExpired) as error:
                if self._num_calls == 1:  # it will be asked again
                    log.warning("squeue: %s", error)
            self._last_status_check = time.time()
            self._finished |= {job for job in jobs if self.is_done(job, "cache")}

    SlurmJob.watcher = Queue(delay_s=LOOK)


def states(jobs: Iterable[str]) -> dict[str, dict[str, str]]:
    """Job -> {"State": "RUNNING"}, as submitit keeps it.

    Raises:
        RuntimeError: the queue cannot be asked.
    """
    wanted = sorted({job.partition("_")[0] for job in jobs})
    if not wanted:
        return {}
    try:
        # -r: a line for each task of an array
        told = _ask("squeue", "-h", "-r", "-t", "all", "-o", "%i %T", "-j", ",".join(wanted))
    except RuntimeError as error:
        if FORGOTTEN not in str(error):
            raise
        told = ""
    known = dict(line.split() for line in told.splitlines())
    return {job: {"State": known.get(job, "GONE")} for job in jobs}


def jobs_of(folder: Path) -> "list[SlurmJob[Any]]":
    """The jobs of the sweep in a folder, as submitit left them."""
    from submitit import SlurmJob

    paths = sorted(folder.glob(".submitit/*/*_submitted.pkl"))
    return [SlurmJob(path.parent, path.name.removesuffix("_submitted.pkl")) for path in paths]


def wait_for_slurm(folder: Path) -> None:
    """Wait for the jobs of an array, as submitit does until it comes to one that was killed."""
    for job in jobs_of(folder):
        job.wait()


def jobs_go_on(folder: Path) -> str:
    """Of a sweep whose command ends before its jobs: that they do not, in words; empty if none."""
    ids = [job.job_id for job in jobs_of(folder)]
    try:
        left = sum(found["State"] not in ENDED for found in states(ids).values())
    except (OSError, RuntimeError, subprocess.TimeoutExpired):
        left = len(ids)
    arrays = " ".join(sorted({job.partition("_")[0] for job in ids}))
    return f"{left} jobs of SLURM go on; scancel {arrays} ends them" if left else ""


def _ask(*command: str) -> str:
    """What a command of SLURM prints; RuntimeError with what it complains of."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise RuntimeError(" ".join(done.stderr.split()))
    return done.stdout
