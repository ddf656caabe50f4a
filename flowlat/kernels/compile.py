"""Compiles the C++ kernels once and keeps the library in a cache of the user's own."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import stat
import subprocess
import tempfile
from functools import cache
from pathlib import Path

SOURCES = sorted(Path(__file__).with_name("cpp").glob("*.cpp"))
FLAGS = ("-O3", "-std=c++17", "-shared", "-fPIC", "-fno-math-errno", "-ffp-contract=fast")
NATIVE = "-mcpu=native" if platform.machine() in ("arm64", "aarch64") else "-march=native"


@cache
def library() -> ctypes.CDLL:
    """The compiled kernels, built on first use.

    The cache, ``$XDG_CACHE_HOME/flowlat/kernels`` (default ``~/.cache``), is keyed by the sources,
    the flags, the compiler and the processor. A new file is written beside and renamed, so that
    processes that start at once do not disturb each other; one that does not load is built anew.

    Raises:
        RuntimeError: no compiler, a compilation that fails, or a cache that others may write to.
    """
    compiler = find_compiler()
    path = cache_dir() / f"kernels-{cache_key(compiler)}.so"
    if path.exists():
        try:
            return ctypes.CDLL(str(path))
        except OSError:  # truncated, or of another system
            path.unlink(missing_ok=True)
    build(compiler, path)
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise RuntimeError(f"the compiled kernel does not load: {error}") from error


def find_compiler() -> str:
    """$CXX, or the first of c++, g++, clang++ on the path."""
    wanted = os.environ.get("CXX")
    for name in (wanted,) if wanted else ("c++", "g++", "clang++"):
        if path := shutil.which(name):
            return path
    raise RuntimeError(f"no C++ compiler found ({wanted or 'c++, g++ or clang++'})")


def cache_dir() -> Path:
    """The user's cache, made with mode 0700; RuntimeError if it is not the user's alone."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = root / "flowlat" / "kernels"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        status = folder.stat()
    except OSError as error:
        raise RuntimeError(f"no cache for compiled kernels: {error}") from error
    if hasattr(os, "getuid") and status.st_uid != os.getuid():
        raise RuntimeError(f"{folder} belongs to another user: not loading code from it")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise RuntimeError(f"{folder} can be written by others: not loading code from it")
    return folder


def cache_key(compiler: str) -> str:
    """A hash of everything that the library depends on."""
    version = run([compiler, "--version"])
    sources = "\0".join(source.read_text() for source in SOURCES)
    parts = (sources, " ".join((*FLAGS, NATIVE)), compiler, version, processor())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def processor() -> str:
    """The processor and its instruction sets, which -march=native compiles for."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine() + platform.processor()
    kinds = ("model name", "flags", "Features", "CPU part", "CPU implementer")
    return "\n".join(sorted({line for line in lines if line.startswith(kinds)}))


def build(compiler: str, path: Path) -> None:
    """Compile to ``path``, which appears whole or not at all."""
    handle, partial = tempfile.mkstemp(dir=path.parent, suffix=".partial")
    os.close(handle)
    try:
        run([compiler, *FLAGS, NATIVE, "-pthread", *map(str, SOURCES), "-o", partial])
        os.replace(partial, path)
    finally:
        Path(partial).unlink(missing_ok=True)


def run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeError(f"the C++ compiler does not run: {error}") from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()
        raise RuntimeError(f"{command[0]} failed: {said[0]}")
    return done.stdout
