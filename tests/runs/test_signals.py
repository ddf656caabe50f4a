"""Signals that come before there is anything to lose: one line, and the shell's exit code."""

import signal
import subprocess
import sys
import time

import pytest

from flowlat.runs.program import exit_code
from flowlat.runs.signals import SIGNALS, Signals, obeying
from flowlat.utils.errors import Interrupted
from tests.support.helpers import ROOT


@pytest.fixture(autouse=True)
def handlers():
    before = [signal.getsignal(number) for number in SIGNALS]
    yield
    assert [signal.getsignal(number) for number in SIGNALS] == before


@obeying
def sleeps() -> None:
    signal.raise_signal(signal.SIGUSR1)
    time.sleep(60)


@obeying
def imports() -> None:
    """As an extension does that is imported: the error that ends it becomes another."""
    try:
        signal.raise_signal(signal.SIGTERM)
    except KeyboardInterrupt as error:
        raise ImportError("numpy.core.multiarray failed to import") from error


@obeying
def fails() -> None:
    raise ImportError("of its own")


@pytest.mark.parametrize(
    ("main", "code", "line"),
    [(sleeps, 138, "ended by SIGUSR1\n"), (imports, 143, "ended by SIGTERM\n")],
)
def test_a_program_ends_with_a_line(main, code, line, capsys):
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == code
    assert capsys.readouterr().err == line


def test_of_a_command_without_hydra(capsys):
    """As ``python -m flowlat.validate``, which draws."""

    @exit_code
    def main() -> int:
        raise Interrupted("ended by SIGTERM after block 3 of 9", signal.SIGTERM)

    assert main() == 143
    assert capsys.readouterr().err == "ended by SIGTERM after block 3 of 9\n"


def test_other_errors_pass():
    with pytest.raises(ImportError, match="of its own"):
        fails()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["resume=true"], "ended by SIGUSR1; SLURM job 7 requeued\n"),
        (["resume=false"], "ended by SIGUSR1\n"),
    ],
)
def test_only_a_command_that_goes_on_is_requeued(arguments, said, scontrol, monkeypatch, capsys):
    for name in ("ARRAY_JOB_ID", "ARRAY_TASK_ID", "RESTART_COUNT"):
        monkeypatch.delenv(f"SLURM_{name}", raising=False)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
    with pytest.raises(SystemExit):
        sleeps()
    assert capsys.readouterr().err == said


def test_a_run_has_them_in_between():
    """What is raised outside is noted inside."""
    with Signals() as signals:
        signal.raise_signal(signal.SIGUSR2)
    assert signals.received == signal.SIGUSR2


#: in place of the first of these something that is interrupted while it is imported
INTERRUPTED = """
import runpy, signal, sys
class Finder:
    def find_spec(self, name, *_):
        if name in ("hydra", "numpy", "torch"):
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Finder())
name, *sys.argv[1:] = sys.argv[1:]
run = runpy.run_path if name.endswith(".py") else runpy.run_module
run(name, run_name="__main__")
"""


@pytest.mark.parametrize(
    "command",
    [
        "train.py",
        "sample.py",
        "flowlat.scan",
        "flowlat.report RUN",
        "flowlat.exchange series FILE",
        "flowlat.families",
        "flowlat.forward_ess CKPT ENSEMBLE",
        "flowlat.validate --quick",
    ],
)
def test_they_are_heard_before_anything_heavy_is_imported(command):
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, *command.split()],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (130, "interrupted\n")
