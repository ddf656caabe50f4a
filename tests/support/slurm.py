"""A SLURM of scripts: what submitit calls, on this machine and without a queue.

``python slurm.py STATE COMMAND ...`` is the sbatch, srun, sacct or scontrol of a cluster that
keeps its books in the folder STATE: of every job ``ID.state``, a pid a line in ``ID.pids`` for the
tasks of its step, and ``ID.requeue`` while it is to be started again.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TextIO

COMMANDS = ("sbatch", "srun", "sacct", "scontrol")
#: the number of the first job
FIRST = 1000


def install(folder: Path) -> Path:
    """Make the commands in ``folder / "bin"``, to be put first in PATH; where the books are."""
    (folder / "bin").mkdir()
    (folder / "state").mkdir()
    for name in COMMANDS:
        script = folder / "bin" / name
        command = f'"{sys.executable}" "{__file__}" "{folder / "state"}" {name}'
        script.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        script.chmod(0o755)
    return folder / "state"


def options(lines: list[str]) -> dict[str, str]:
    """["--nodes=1", "--exclusive"] -> {"nodes": "1", "exclusive": ""}."""
    pairs = (line.removeprefix("--").partition("=") for line in lines)
    return {name: value.strip("'") for name, _, value in pairs}


def log(pattern: str, environ: Mapping[str, str]) -> TextIO:
    """A log with %j, %A, %a and %t in its path filled in, to be gone on with."""
    names = {"j": "JOB_ID", "A": "ARRAY_JOB_ID", "a": "ARRAY_TASK_ID", "t": "PROCID"}
    path = Path(re.sub("%([jAat])", lambda found: environ[f"SLURM_{names[found[1]]}"], pattern))
    # submitit makes the folder when it has the number of the job; no queue is as fast as this one
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("a")


def sbatch(state: Path, script: str) -> None:
    """Start every task of an array, with what SLURM tells it."""
    lines = Path(script).read_text().splitlines()
    given = options([line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH")])
    nodes, per_node = int(given.get("nodes", 1)), int(given.get("ntasks-per-node", 1))
    base = FIRST + len(list(state.glob("*.state")))
    array = range(int(given["array"].split("%")[0].split("-")[1]) + 1) if "array" in given else None
    for task in array or [None]:
        known = {
            "JOB_ID": base if task is None else base + 1 + task,
            "JOB_NAME": given["job-name"],
            "JOB_NODELIST": "127.0.0.1",
            "NODELIST": "127.0.0.1",
            "JOB_NUM_NODES": nodes,
            "NNODES": nodes,
            "NTASKS": nodes * per_node,
            "NTASKS_PER_NODE": per_node,
            **dict.fromkeys(["PROCID", "LOCALID", "NODEID"], 0),
        }
        if task is not None:
            known |= {"ARRAY_JOB_ID": base, "ARRAY_TASK_ID": task}
        job = str(base) if task is None else f"{base}_{task}"
        (state / f"{job}.state").write_text("PENDING")
        environ = os.environ | {f"SLURM_{name}": str(value) for name, value in known.items()}
        subprocess.Popen(
            [sys.executable, __file__, str(state), "job", job, script],
            env=environ,
            stdout=log(given["output"], environ),
            stderr=log(given["error"], environ),
            start_new_session=True,
        )
    print(f"Submitted batch job {base}")


def job(state: Path, job: str, script: str) -> None:
    """Run the script of a job, again as often as it is requeued."""
    book, again = state / f"{job}.state", state / f"{job}.requeue"
    while True:
        book.write_text("RUNNING")
        code = subprocess.run(["bash", script]).returncode
        if not again.exists():
            break
        again.unlink()
    book.write_text("COMPLETED" if code == 0 else "FAILED")


def this_job(environ: Mapping[str, str]) -> str:
    array, task = (environ.get(f"SLURM_ARRAY_{name}_ID") for name in ("JOB", "TASK"))
    return f"{array}_{task}" if array else environ["SLURM_JOB_ID"]


def srun(state: Path, *arguments: str) -> None:
    """Start the tasks of a step; signals are passed on to them."""
    given, command = {}, list(arguments)
    while command[0].startswith("--"):
        name, _, value = command.pop(0).removeprefix("--").partition("=")
        given[name] = value or (command.pop(0) if name in ("output", "error") else "")
    tasks = []
    for rank in range(int(os.environ["SLURM_NTASKS"])):
        # all on this machine, whatever node they think they are on
        node, local = divmod(rank, int(os.environ["SLURM_NTASKS_PER_NODE"]))
        known = {"PROCID": rank, "LOCALID": local, "NODEID": node}
        environ = os.environ | {f"SLURM_{name}": str(value) for name, value in known.items()}
        out, err = (log(given[name], environ) for name in ("output", "error"))
        tasks.append(subprocess.Popen(command, env=environ, stdout=out, stderr=err))
    pids = "".join(f"{task.pid}\n" for task in tasks)
    (state / f"{this_job(os.environ)}.pids").write_text(pids)
    sys.exit(max(abs(task.wait()) for task in tasks))


def send(state: Path, job: str, number: signal.Signals) -> None:
    """A signal to the tasks of a job: not to the script that called srun."""
    for pid in (state / f"{job}.pids").read_text().split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), number)


def scontrol(state: Path, what: str, job: str) -> None:
    """requeue: ends the tasks, which may take it or not, and starts the script again."""
    assert what == "requeue"
    (state / f"{job}.requeue").touch()
    send(state, job, signal.SIGTERM)


def sacct(state: Path, *_: str) -> None:
    print("JobID|State|NodeList")
    for path in sorted(state.glob("*.state")):
        print(f"{path.stem}|{path.read_text()}|127.0.0.1")
        print(f"{path.stem}.batch|{path.read_text()}|127.0.0.1")


if __name__ == "__main__":
    run = {f.__name__: f for f in (sbatch, job, srun, scontrol, sacct)}
    run[sys.argv[2]](Path(sys.argv[1]), *sys.argv[3:])
