"""What is known of jobs that have left no record: did one never start, or end while it did?

A job takes its folder with its first line (``folder/lock.py``), and writes its record when its
imports and checks are done. Before that line there is, of one that submitit starts, only what was
written to submitit's logs, which are there as soon as the scheduler has started it.
"""

import re
from collections.abc import Iterable
from pathlib import Path

NEVER = "missing: it never started"
#: in what submitit pickles of a job: the name that Hydra's launcher gives it, with its number
NAME = rb"job_id_for_(\d+)"


def became_of(sweep: Path, numbers: Iterable[int]) -> dict[int, str]:
    """Number -> what became of a job without a record, in words, with the last error in its log.

    Args:
        sweep: folder of the multirun.
        numbers: of the jobs.
    """
    wanted = list(numbers)
    logs = submitit_logs(sweep) if wanted else {}
    return {number: _words(sweep / str(number), logs.get(number, [])) for number in wanted}


def submitit_logs(sweep: Path) -> dict[int, list[Path]]:
    """Number of a job -> the logs of its last start, of all its tasks; empty if there was none."""
    pickles = sorted(sweep.glob(".submitit/*/*_submitted.pkl"), key=lambda p: p.stat().st_mtime)
    found = {}
    for path in pickles:
        # read, and not loaded, which would run what it says
        if named := re.search(NAME, path.read_bytes()):
            pattern = f"{path.name.removesuffix('_submitted.pkl')}_*_log.*"
            found[int(named[1])] = sorted(path.parent.glob(pattern))
    return found


def _words(folder: Path, logs: list[Path]) -> str:
    if not (logs or folder.is_dir()):
        return NEVER
    texts = (path.read_text(errors="replace") for path in logs if path.suffix == ".err")
    lines = [line.strip() for text in texts for line in text.splitlines() if line.strip()]
    # srun only counts what the job itself has said before
    errors = [line for line in lines if "error" in line.lower()] or lines
    own = [line for line in errors if not line.startswith("srun:")] or errors
    last = f" ({own[-1][:200]})" if own else ""
    return f"crashed, or starting: not past its imports and checks{last}"
