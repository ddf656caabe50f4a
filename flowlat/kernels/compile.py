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

from flowlat.utils.files import to_disk

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

    The cache is ``$XDG_CACHE_HOME/flowlat/kernels`` (default ``~/.cache``). A file is named by what
    it was made for (sources, flags, processor), by its compiler and by its own checksum: one that
    was cut short or replaced is removed and built anew, before the loader has seen it. A new file
    is written beside, brought to the disk and renamed, so that neither a power cut nor processes
    that start at once leave a file in part.

    Without a compiler, as on many compute nodes, or with one that fails, what another compiler made
    for the same processor will do. ``CXX=none`` wants no compiled kernels at all.

    Raises:
        RuntimeError: none kept and no compiler, a compilation that fails, or a cache that others
            may write to.
    """
    if (wanted := os.environ.get("CXX")) == "none":
        raise RuntimeError("no compiled kernels (CXX=none)")
    sources = [source.read_text() for source in SOURCES + HEADERS]
    kind = f"kernels-{digest(*sources, *FLAGS, NATIVE, processor())}"
    folder = cache_dir()
    try:
        compiler, name = which_compiler(wanted)
        return kept(folder, f"{kind}-{name}-*.so") or compiled(compiler, folder, f"{kind}-{name}")
    except RuntimeError:
        if made_elsewhere := kept(folder, f"{kind}-*.so"):
            return made_elsewhere
        raise


def which_compiler(wanted: str | None) -> tuple[str, str]:
    """Its path, and a short name of it and its version; RuntimeError if there is none."""
    compilers = filter(None, map(shutil.which, [wanted] if wanted else COMPILERS))
    if (compiler := next(compilers, None)) is None:
        raise RuntimeError(f"no C++ compiler found ({wanted or ', '.join(COMPILERS)})")
    return compiler, digest(compiler, run([compiler, "--version"]))


def kept(folder: Path, pattern: str) -> ctypes.CDLL | None:
    """A library of the cache that is whole and loads; what is not whole is removed."""
    for path in sorted(folder.glob(pattern)):
        with suppress(OSError):  # of another system; or removed by a process that starts with us
            if path.stem.endswith(f"-{digest(path.read_bytes())}"):
                return ctypes.CDLL(str(path))
            # not loaded to find out: of a file that is cut short the loader dies of a bus error
            path.unlink()
    return None


def compiled(compiler: str, folder: Path, stem: str) -> ctypes.CDLL:
    """A new library, kept as STEM-CHECKSUM.so."""
    log.info("compiling the kernels, once for this machine")
    try:
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            built = build([compiler, *FLAGS, NATIVE], Path(scratch, "kernels.so"))
            path = folder / f"{stem}-{digest(built.read_bytes())}.so"
            to_disk(built)
            built.replace(path)
            to_disk(folder)
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise RuntimeError(f"the compiled kernels cannot be kept or loaded: {error}") from error


def digest(*parts: str | bytes) -> str:
    """The first 64 bits of the SHA-256 of some parts."""
    raw = [part.encode() if isinstance(part, str) else part for part in parts]
    return hashlib.sha256(b"\0".join(raw)).hexdigest()[:16]


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
