"""CPU seconds of the commands before they do anything: help, a mistyped option, the first line.

    python -m benchmarks.startup
    python -m benchmarks.startup --against CHECKOUT    another checkout in turn with this one

User and system time of the whole process; for the first line, of what it had taken by then (Linux).
The least that a run can do stands below them: a training of one step, eight configurations by HMC.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import save

HERE = Path(__file__).resolve().parents[1]
STEP = ["trainer.max_epochs=1", "trainer.limit_train_batches=1", "evaluation.n_samples=64"]
CHAINS = ["sampler=hmc", "sampler.replicas=8", "sampler.thermalization=1", "n_samples=8"]
#: name -> the arguments, and whether only the first line is waited for
COMMANDS: dict[str, tuple[list[str], bool]] = {
    "train.py --help": (["train.py", "--help"], False),
    "sample.py --help": (["sample.py", "--help"], False),
    "train.py, a mistyped key": (["train.py", "sede=1"], False),
    "train.py, a mistyped value": (["train.py", "seed=one"], False),
    "train.py, first line": (["train.py"], True),
    "sample.py, first line": (["sample.py", "sampler=hmc"], True),
    "train.py, one step": (["train.py", "threads=1", *STEP], False),
    "sample.py, eight configurations": (["sample.py", "threads=1", *CHAINS], False),
}


def seconds(checkout: Path, arguments: Sequence[str], first_line: bool) -> float:
    """CPU seconds of one command, in a folder of its own."""
    script, *options = arguments
    command = [sys.executable, str(checkout / script), *options]
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=folder, env=environment
        ) as process,
    ):
        assert process.stdout is not None
        if first_line:
            process.stdout.readline()
            taken = until_now(process.pid)
            process.kill()
            return taken
        process.stdout.read()
        _, _, used = os.wait4(process.pid, 0)
        process.returncode = 0  # or Popen would wait for it again
        return used.ru_utime + used.ru_stime


def until_now(pid: int) -> float:
    """User and system seconds of a process that runs, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, help="another checkout, measured in turn")
    parser.add_argument("--commands", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args(arguments)
    checkouts = {"here": HERE} | ({"against": options.against} if options.against else {})
    rows = []
    for name in options.commands:
        taken: dict[str, list[float]] = {which: [] for which in checkouts}
        for _ in range(options.rounds):
            for which, checkout in checkouts.items():
                taken[which].append(seconds(checkout, *COMMANDS[name]))
        rows.append({"command": name, "cpu_seconds": taken})
        print(rows[-1], flush=True)
    print(f"written to {save('startup', rows, markdown(rows), options.output)}")


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """A line a command: the median, and the range of all rounds."""
    columns = list(rows[0]["cpu_seconds"])
    lines = [
        "| | " + " | ".join(f"CPU seconds, {which}" for which in columns) + " |",
        "| --- |" + " --: |" * len(columns),
    ]
    for row in rows:
        cells = [
            f"{statistics.median(taken):.2f} ({min(taken):.2f} ... {max(taken):.2f})"
            for taken in row["cpu_seconds"].values()
        ]
        lines.append(f"| {row['command']} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
