"""New processes without the seconds of their imports: forked from one that has imported, no more.

Each is a process of its own: a signal, kill -9 or a limit ends it alone. Of what comes before the
imports it has nothing: that is for tests that begin as a user does, such as test_startup.py.
"""

import os
import runpy
import sys
from collections.abc import Callable
from multiprocessing import forkserver, get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import torch.multiprocessing

from tests.support.helpers import ROOT

CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["flowlat.runs.program", "flowlat.training.launch", "flowlat.sampling.draw"]
)


def fork_workers(monkeypatch: Any) -> None:
    """For the time of a test, so are those of a sampling on several devices."""
    # now, not when signals are held back: all that it forks would be deaf to them
    forkserver.ensure_running()
    monkeypatch.setattr("flowlat.sampling.pool.spawning", lambda: CONTEXT)


def fork_ranks(monkeypatch: Any) -> None:
    """For the time of a test, so are the ranks of a training, which ``spawn_ranks`` starts."""
    forkserver.ensure_running()  # as above

    def start(task: Callable[..., Any], arguments: tuple[Any, ...], **options: Any) -> Any:
        passed = (dict(os.environ), task, arguments)
        return torch.multiprocessing.start_processes(
            _rank, passed, start_method="forkserver", **options
        )

    monkeypatch.setattr(torch.multiprocessing, "spawn", start)


def _rank(number: int, environ: dict[str, str], task: Any, arguments: tuple[Any, ...]) -> None:
    _set_environ(environ)
    task(number, *arguments)


def _set_environ(environ: dict[str, str]) -> None:
    """Those of the test, not of the server's start."""
    os.environ.clear()
    os.environ.update(environ)


class Command:
    """``Command(folder, "train.py", "seed=1")`` at work in ``folder``, until it is waited for.

    Args:
        before: is called in the process before the script.
        environ: variables beside those that there are.
    """

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        before: Callable[[], None] | None = None,
        **environ: str,
    ):
        self._temporary = TemporaryDirectory()
        self._written = Path(self._temporary.name)
        passed = (self._written, folder, arguments, before, {**os.environ, **environ})
        self._process = CONTEXT.Process(target=_begin, args=passed)
        self._process.start()

    def running(self) -> bool:
        return self._process.is_alive()

    def send(self, number: int) -> None:
        os.kill(self._process.pid, number)

    def errors(self) -> str:
        """What it has written on stderr until now."""
        path = self._written / "2"
        return path.read_text() if path.exists() else ""

    def wait(self, seconds: float = 300) -> SimpleNamespace:
        """``returncode``, ``stdout`` and ``stderr`` as of ``subprocess.run``; None: still at it."""
        self._process.join(seconds)
        code = self._process.exitcode
        self._process.kill()
        out = (self._written / "1").read_text()
        return SimpleNamespace(returncode=code, stdout=out, stderr=self.errors())


def _begin(
    written: Path,
    folder: Path,
    arguments: tuple[str, ...],
    before: Callable[[], None] | None,
    environ: dict[str, str],
) -> None:
    _set_environ(environ)
    os.chdir(folder)
    for number in (1, 2):
        with (written / str(number)).open("w") as file:
            os.dup2(file.fileno(), number)
    script, *rest = arguments
    sys.argv = [str(ROOT / script), *rest]
    if before:
        before()
    runpy.run_path(sys.argv[0], run_name="__main__")
