"""Where a result comes from: versions, git revision, time."""

import platform
import subprocess
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("flowlat", "torch", "lightning", "hydra-core", "numpy")


def provenance() -> dict[str, str]:
    """Versions of Python and the main packages, the git revision ('-dirty' if changed), the date.

    The revision is empty where the code is not in a git checkout.
    """
    return {
        **{name: _version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "git_revision": _git_revision(),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _git_revision() -> str:
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    folder = Path(__file__).resolve().parent
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
