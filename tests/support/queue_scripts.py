"""A scontrol and a squeue of scripts, for what is done with their answers where there is no SLURM.

What a real one answers is asked of one, in tests/runs/test_slurm.py.
"""

from pathlib import Path

#: of a job that runs, and may be requeued
RUNNING = "JobId=7 JobState=RUNNING Reason=None Requeue=1 Restarts=0"


class Scripts:
    """In a folder to be put first in PATH; the answers may be changed at any time."""

    def __init__(self, folder: Path):
        self.folder, self.requeued = folder, folder / "requeued"
        self.job(RUNNING)

    def job(self, words: str) -> None:
        """What scontrol shows of a job; it writes down which ones it is to requeue."""
        self._script(
            "scontrol", f'[ $1 = requeue ] && echo $2 >> {self.requeued} || echo "{words}"'
        )

    def queue(self, lines: str) -> None:
        """What squeue lists, ``NUMBER STATE`` a line."""
        self._script("squeue", f'echo "{lines}"')

    def refuses(self, name: str, words: str) -> None:
        """Have a command fail, and say so."""
        self._script(name, f'echo "{words}" >&2; exit 1')

    def told(self) -> list[str]:
        """The jobs that were requeued."""
        return self.requeued.read_text().split() if self.requeued.exists() else []

    def _script(self, name: str, body: str) -> None:
        # what runs is written once: a file that has just been written may be busy
        path, words = self.folder / name, self.folder / f"{name}.sh"
        words.write_text(f"{body}\n")
        if not path.exists():
            path.write_text(f"#!/bin/sh\n. {words}\n")
            path.chmod(0o755)
