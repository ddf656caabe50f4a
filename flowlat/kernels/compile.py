"""Compiles the C++ kernels once and keeps the library in a cache of the user's own."""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import stat
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path

log = logging.getLogger("flowlat")

FOLDER = Path(__file__).with_name("cpp")
SOURCES, HEADERS = sorted(FOLDER.glob("*.cpp")), sorted(FOLDER.glob("*.h"))
#: looked for in this order where $CXX is not set
COMPILERS = ("c++", "g++", "clang++")
FLAGS = ("-O3", "-std=c++17", "-pthread", "-fPIC", "-fno-math-errno", "-ffp-contract=fast")
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
    wanted = os.environ.get("CXX")
    compilers = filter(None, map(shutil.which, [wanted] if wanted else COMPILERS))
    if (compiler := next(compilers, None)) is None:
        raise RuntimeError(f"no C++ compiler found ({wanted or ', '.join(COMPILERS)})")
    command = [compiler, *FLAGS, NATIVE]
    sources = [source.read_text() for source in SOURCES + HEADERS]
    parts = [*sources, *FLAGS, NATIVE, compiler, run([compiler, "--version"]), processor()]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    path = cache_dir() / f"kernels-{key}.so"
    with suppress(OSError):  # not there yet, truncated, or of another system
        return ctypes.CDLL(str(path))
    log.info("compiling the kernels, once for this machine")
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        build(command, Path(folder, path.name)).replace(path)
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise RuntimeError(f"the compiled kernel does not load: {error}") from error


def build(command: list[str], path: Path) -> Path:
    """Compile the sources at once, each in a process of its own, and link them to ``path``."""
    objects = [path.with_name(f"{source.stem}.o") for source in SOURCES]
    with ThreadPoolExecutor() as pool:
        calls = (
            [*command, "-c", str(source), "-o", str(made)]
            for source, made in zip(SOURCES, objects, strict=True)
        )
        list(pool.map(run, calls))
    run([*command, "-shared", *map(str, objects), "-o", str(path)])
    return path


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


def processor() -> str:
    """The processor and its instruction sets, which -march=native compiles for."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine() + platform.processor()
    kinds = ("model name", "flags", "Features", "CPU part", "CPU implementer")
    return "\n".join(sorted({line for line in lines if line.startswith(kinds)}))


def run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeError(f"the C++ compiler does not run: {error}") from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()
        raise RuntimeError(f"{command[0]} failed: {said[0]}")
    return done.stdout
