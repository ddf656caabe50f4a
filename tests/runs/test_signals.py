"""Signals that come before there is anything to lose: one line, and the shell's exit code."""

import signal
import subprocess
import sys
import time

import pytest

from flowlat.runs.cli import exit_code
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


@pytest.mark.parametrize("script", ["train.py", "sample.py", "flowlat/scan/__main__.py"])
def test_they_are_heard_before_hydra_is_imported(script):
    """In place of Hydra something that is interrupted while it is imported."""
    program = (
        "import runpy, signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'hydra':\n"
        "            signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    command = [sys.executable, "-c", program, str(ROOT / script)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")
