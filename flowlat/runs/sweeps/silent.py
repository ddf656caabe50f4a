"""What is known of jobs that have left no record: did one never start, or end while it did?

A job takes its folder with its first line (``folder/lock.py``), and writes its record when its
imports and checks are done. Before that line there is, of one that submitit starts, only what was
written to submitit's logs, which are there as soon as the scheduler has started it.
"""

import re
from collections.abc import Collection, Iterable
from pathlib import Path

NEVER = "missing: it never started"
#: in what submitit pickles of a job: the name that Hydra's launcher gives it, with its number
NAME = rb"job_id_for_(\d+)"


def became_of(sweep: Path, numbers: Iterable[int], begun: Collection[int]) -> dict[int, str]:
    """Number -> what became of a job without a record, in words, with the last error in its log.

    Args:
        sweep: folder of the multirun.
        numbers: of the jobs.
        begun: those that have a folder, which is called by their number.
    """
    wanted = list(numbers)
    logs = submitit_logs(sweep) if wanted else {}
    return {
        number: _words(logs.get(number, [])) if number in {*logs, *begun} else NEVER
        for number in wanted
    }


def submitit_logs(sweep: Path) -> dict[int, list[Path]]:
    """Number of a job -> the logs of its last start, of all its tasks; none of a job without."""
    pickles = sorted(sweep.glob(".submitit/*/*_submitted.pkl"), key=lambda p: p.stat().st_mtime)
    found = {}
    for path in pickles:
        # read, and not loaded, which would run what it says
        if named := re.search(NAME, path.read_bytes()):
            pattern = f"{path.name.removesuffix('_submitted.pkl')}_*_log.*"
            found[int(named[1])] = sorted(path.parent.glob(pattern))
    return {number: logs for number, logs in found.items() if logs}


def _words(logs: list[Path]) -> str:
    texts = (path.read_text(errors="replace") for path in logs if path.suffix == ".err")
    lines = [line.strip() for text in texts for line in text.splitlines() if line.strip()]
    # srun only counts what the job itself has said before
    errors = [line for line in lines if "error" in line.lower()] or lines
    own = [line for line in errors if not line.startswith("srun:")] or errors
    last = f" ({own[-1][:200]})" if own else ""
    return f"crashed, or starting: not past its imports and checks{last}"
