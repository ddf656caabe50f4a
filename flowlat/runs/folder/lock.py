"""One writer a folder: a lock file that says who it is, on any file system.

``.lock`` is made whole by an exclusive creation, which NFS has too, holds host, process and its
start, and is touched every few seconds while that process lives (filelock's ``SoftFileLease``). One
whose process is known to be dead is taken over at once; one of another host, whose processes cannot
be seen from here, when it was not touched for ``LEASE`` seconds.
"""

import logging
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from flowlat.utils.errors import ConfigError

if TYPE_CHECKING:
    from filelock import SoftFileLease

log = logging.getLogger(__name__)

#: the name of the lock file of a run folder
LOCK = ".lock"
#: seconds without a sign of life after which a process of another host counts as dead
LEASE = 30.0

#: what this process holds, by path
_held: dict[Path, "SoftFileLease"] = {}


def hold(folder: Path, key: str, name: str = LOCK) -> None:
    """Take a folder for this process until :func:`release`, or its end; once more does no harm.

    Args:
        key: the option that named the folder, for the message.
        name: of the lock file, for what needs one of its own.

    Raises:
        ConfigError: another process, which lives, has it; it is named.
    """
    # here, not above: a command that is only mistyped needs none
    from filelock import SoftFileLease, Timeout

    path = folder.absolute() / name
    if path in _held:
        return
    lease = SoftFileLease(path, lease_duration=LEASE, on_compromise=_lost, thread_local=False)
    try:
        lease.acquire(timeout=0)
    except Timeout as error:
        owner, here = lease.owner, _this_host(path)
        if owner is None or owner.hostname == here:
            who = f"process {owner.pid} of this machine" if owner else "another process"
            raise ConfigError(f"{key}={folder}: {who} is at work in it") from error
        who = f"process {owner.pid} of {owner.hostname}"
        log.info("%s=%s: waiting up to %.0f s to see whether %s lives", key, folder, LEASE, who)
        try:
            lease.acquire(timeout=1.2 * LEASE, poll_interval=0.5)
        except Timeout:
            raise ConfigError(f"{key}={folder}: {who} is at work in it") from error
    _held[path] = lease


def at_work(folder: Path) -> str:
    """The process that has a folder, in words, for one that only reads; empty if there is none.

    One that was killed counts for ``LEASE`` seconds more: nothing is written to find out.
    """
    from filelock import SoftFileLease

    path = folder.absolute() / LOCK
    try:
        alive = time.time() - path.stat().st_mtime < LEASE
    except OSError:
        return ""
    owner = SoftFileLease(path, lease_duration=LEASE).owner
    return f"process {owner.pid} of {owner.hostname}" if alive and owner else ""


def release(folder: Path, name: str = LOCK) -> None:
    """Give a folder back, if this process has it."""
    if lease := _held.pop(folder.absolute() / name, None):
        with suppress(OSError):
            lease.release()


def release_all() -> None:
    """Give everything back that this process has."""
    for path in tuple(_held):
        release(path.parent, path.name)


def _this_host(beside: Path) -> str:
    """What the lock files of this host, and of its space of process numbers, say of it."""
    from filelock import SoftFileLease

    with SoftFileLease(beside.with_name(f"{beside.name}.{os.getpid()}")) as probe:
        return probe.owner.hostname if probe.owner else ""


def _lost(compromise: object) -> None:
    """Ends a process whose folder another one has taken while it was stopped, before it writes."""
    reason, path = (getattr(compromise, name) for name in ("reason", "lock_file"))
    if reason == "owner-changed":
        print(f"error: {path}: another process has taken this folder", file=sys.stderr, flush=True)
        os._exit(1)
    log.warning("%s: %s; another process may take this folder", path, reason)
