"""A SLURM of one node on loopback, started by hand as root: munged, slurmctld, slurmd.

Everything that it keeps is in one folder, its ports are free ones, and its processes end with it.
Debian: ``apt-get install --no-install-recommends slurm-wlm munge``.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel")
#: CPUs that the node says it has, whatever the machine has
CPUS = 8
#: seconds to wait for the cluster
PATIENCE = 60.0

CONF = """\
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld}
SlurmdPort={slurmd}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
KillWait={kill_wait}
ReturnToService=2
MailProg=/bin/true
{accounting}
JobCompType=jobcomp/none
SchedulerParameters=sched_interval=1,sched_min_interval=0,batch_sched_delay=0
{more}
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """What this machine lacks for a cluster, in words; empty if nothing."""
    return absent(PROGRAMS) or ("" if os.geteuid() == 0 else "not root")


def absent(programs: Iterable[str]) -> str:
    """Those that are not installed, in words; empty if all are."""
    names = ", ".join(name for name in programs if _find(name) is None)
    return f"no {names}" if names else ""


class Cluster:
    """Within ``with``: SLURM, for processes with ``environ``.

    Args:
        folder: empty, for all that it keeps.
        more: further lines of slurm.conf.
        kill_wait: seconds between SIGTERM and SIGKILL.
    """

    #: lines of slurm.conf
    accounting = """\
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none"""

    def __init__(self, folder: Path, more: str = "", kill_wait: int = 10):
        self.folder, self.more, self.kill_wait = folder, more, kill_wait
        self.ports = dict(zip(("ctld", "slurmd", "dbd"), _free_ports(3), strict=True))
        self.environ = {"SLURM_CONF": str(folder / "slurm.conf")}
        self._mark = f"SLURM_CONF={folder}/slurm.conf".encode()
        self._stack = ExitStack()

    def __enter__(self) -> "Cluster":
        with self._stack:
            self._start()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _end_jobs(self) -> None:
        """Those that are left would outlive the daemons."""
        self.run("scancel", "--user=root", check=False)
        self.run("scancel", "--signal=KILL", "--full", "--user=root", check=False)
        with suppress(TimeoutError):
            wait_for(lambda: not self._processes(), "jobs", self.kill_wait + 10)
        for pid in self._processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _processes(self, start: bytes = b"") -> list[int]:
        """What jobs are made of: their environment names this cluster.

        Args:
            start: of their command lines.
        """
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            pid = int(path.parent.name)
            with suppress(OSError):
                environ, line = (
                    path.with_name(name).read_bytes() for name in ("environ", "cmdline")
                )
                of_a_job = b"SLURM_JOB_ID=" in environ or line.startswith(b"slurmstepd")
                if self._mark in environ and of_a_job and line.startswith(start):
                    found.append(pid)
        return found

    def run(self, *command: str, check: bool = True, **variables: str) -> str:
        """What a command of the cluster prints."""
        environ = os.environ | self.environ | variables
        done = subprocess.run(command, capture_output=True, text=True, env=environ, timeout=60)
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
        return done.stdout

    def submit(self, folder: Path, lines: str, *options: str) -> str:
        """The number of a batch job with these lines; its folder, where its ``job.log`` is."""
        script = folder / "job.sh"
        script.write_text(f"#!/bin/bash\n{lines}\n")
        log = ("--output=job.log", "--open-mode=append", f"--chdir={folder}")
        return self.run("sbatch", "--parsable", *log, *options, str(script)).strip()

    def signal(self, number: str, name: str, *options: str) -> None:
        """What SLURM sends at the time that ``--signal=NAME@SECONDS`` names."""
        self.run("scancel", f"--signal={name}", *options, number)

    def start_again(self, number: str) -> None:
        """Let a job that was requeued start now, and not in two minutes."""
        self.wait(number, "PENDING")
        # slurmd starts none of which something is left, nor one whose credential is of the second
        # in which that of the last start was revoked
        left = f"slurmstepd: [{self.job(number)['JobId']}.".encode()
        wait_for(lambda: not self._processes(left), f"the end of job {number}")
        time.sleep(2)
        self.run("scontrol", "update", f"JobId={number}", "StartTime=now")
        wait_for(lambda: self.job(number)["JobState"] != "PENDING", f"job {number} again")

    def job(self, number: str) -> dict[str, str]:
        """What scontrol says of a job: "JobState", "Restarts", ..."""
        words = self.run("scontrol", "--oneliner", "show", "job", number).split()
        return dict(word.partition("=")[::2] for word in words)

    def wait(self, number: str, *states: str, seconds: float = PATIENCE) -> dict[str, str]:
        """What scontrol says of a job as soon as it is in one of the states."""
        wait_for(lambda: self.job(number)["JobState"] in states, f"job {number}", seconds)
        return self.job(number)

    def _start(self) -> None:
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        key, host = self.folder / "munge.key", socket.gethostname().split(".")[0]
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        (self.folder / "slurm.conf").write_text(
            CONF.format(
                host=host,
                folder=self.folder,
                kill_wait=self.kill_wait,
                cpus=CPUS,
                more=self.more,
                accounting=self.accounting.format(folder=self.folder, **self.ports),
                **self.ports,
            )
        )
        files = {"key-file": key, "socket": self.folder / "munge.socket"}
        files |= {f"{name}-file": self.folder / f"munge.{name}" for name in ("pid", "log", "seed")}
        munge = [f"--{name}={path}" for name, path in files.items()]
        # --force: the folder of a test is closed to others
        self._daemon("munged", "--foreground", "--force", *munge)
        wait_for(files["socket"].exists, "munged")
        self._start_accounting()
        self._daemon("slurmctld", "-D", "-c", "-f", self.environ["SLURM_CONF"])
        self._daemon("slurmd", "-D", "-N", host, "-f", self.environ["SLURM_CONF"])
        self._stack.callback(self._end_jobs)
        wait_for(lambda: "idle" in self.run("sinfo", "-h", "-o", "%T", check=False), "slurmd")

    def _start_accounting(self) -> None:
        """Before slurmctld, which would look for it."""

    def _daemon(self, name: str, *options: str) -> None:
        log = (self.folder / f"{name}.out").open("w")
        self._stack.callback(log.close)
        process = subprocess.Popen(
            [_find(name) or name, *options],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            env=os.environ | self.environ,
            start_new_session=True,
        )
        self._stack.callback(_end, process)


def wait_for(condition: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
    """Wait until something is the case."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.1)


def _end(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _find(name: str) -> str | None:
    """A program, also where only root looks for it."""
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def _free_ports(n: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports
