"""The compiled kernel's cache, and what happens without a compiler."""

import _ctypes
import shutil
from pathlib import Path

import pytest

from flowlat.kernels import compile as build
from tests.support.forked import Command

PROGRAM = """
import logging, torch
logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
from flowlat.kernels import StencilSpec, stencil_stack
spec = StencilSpec((4, 4), 1, 3, ("tanh",))
w, b = torch.ones(2, 1, 1, 3), torch.zeros(2, 1)
for _ in range(2):
    y = stencil_stack(torch.ones(2, 1, 4, 4), [w], [b], spec)
print(y.sum().item())
"""

COMPILES = "compiling the kernels, once for this machine"

needs_compiler = pytest.mark.skipif(
    next(filter(None, map(shutil.which, build.COMPILERS)), None) is None,
    reason="no C++ compiler on this machine",
)


def start(cache, **environment):
    (cache / "program.py").write_text(PROGRAM)
    return Command(cache, str(cache / "program.py"), XDG_CACHE_HOME=str(cache), **environment)


def compiler_at(path, script):
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def quick(tmp_path):
    """A compiler that takes a second, of which no processor is busy: it has the library already."""
    made = build.library()._name
    script = f'[ "$1" = --version ] && exit; sleep 0.5; for last; do :; done; cp {made} "$last"'
    return compiler_at(tmp_path / "c++", script)


@needs_compiler
def test_two_processes_at_once_and_a_damaged_file(quick, tmp_path):
    for process in [start(tmp_path, CXX=str(quick)), start(tmp_path, CXX=str(quick))]:
        done = process.wait()
        assert done.returncode == 0, done.stderr
        assert done.stderr.count(COMPILES) <= 1
        assert done.stderr.count("stencil kernel for cpu, float32: cpu") == 1
    folder = tmp_path / "flowlat" / "kernels"
    (library,) = folder.iterdir()  # no partial file is left
    assert folder.stat().st_mode & 0o777 == 0o700
    library.write_bytes(b"truncated")
    again = start(tmp_path, CXX=str(quick)).wait()
    assert again.returncode == 0, again.stderr
    assert again.stdout == done.stdout
    assert library.stat().st_size > 1000


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A library of one function, which compiles in no time, in a cache of its own."""
    source = tmp_path / "small.cpp"
    source.write_text('extern "C" int flowlat_answer() { return 42; }\n')
    monkeypatch.setattr(build, "SOURCES", [source])
    monkeypatch.setattr(build, "HEADERS", [])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def load():
        return build.library.__wrapped__().flowlat_answer()

    assert load() == 42
    (path,) = build.cache_dir().iterdir()
    return load, path


DAMAGE = {
    "no library": lambda whole: b"truncated",
    "cut short": lambda whole: whole[: len(whole) // 2],  # of which the loader dies, by SIGBUS
    "another library": lambda whole: Path(_ctypes.__file__).read_bytes(),
}


@needs_compiler
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_built_anew(damage, small, caplog):
    load, path = small
    whole = path.read_bytes()
    path.unlink()  # it is open, and stays as it is
    path.write_bytes(DAMAGE[damage](whole))
    with caplog.at_level("INFO"):
        assert load() == 42
    assert COMPILES in caplog.text
    assert path.read_bytes() == whole
    assert list(path.parent.iterdir()) == [path]


@needs_compiler
@pytest.mark.parametrize("there", ["none in PATH", "one that fails", "no such $CXX"])
def test_what_was_compiled_before_runs_without_a_compiler(
    there, small, tmp_path, monkeypatch, caplog
):
    load, _ = small
    compiler_at(tmp_path / "bad-c++", "[ $1 = --version ] || exit 1")
    monkeypatch.setenv("PATH", str(tmp_path) if there == "one that fails" else "")
    wanted = {"none in PATH": "", "one that fails": "bad-c++", "no such $CXX": "no-such-compiler"}
    monkeypatch.setenv("CXX", wanted[there])
    assert load() == 42
    monkeypatch.setenv("CXX", "none")  # no compiled kernels wanted
    with pytest.raises(RuntimeError, match="CXX=none"):
        load()


@needs_compiler
def test_another_compiler_makes_its_own(small, tmp_path, monkeypatch):
    load, path = small
    found = next(filter(None, map(shutil.which, build.COMPILERS)))
    other = compiler_at(tmp_path / "other-c++", f'exec {found} "$@" -O0')
    monkeypatch.setenv("CXX", str(other))
    assert load() == load() == 42
    assert len(list(path.parent.iterdir())) == 2


@needs_compiler
def test_the_bytes_are_on_the_disk_before_the_name(small, monkeypatch):
    """A power cut between the two leaves no name of a file in part."""
    load, path = small
    path.unlink()
    events = []

    def synced(path_synced):
        events.append((path_synced.is_file(), path.exists()))

    monkeypatch.setattr(build, "to_disk", synced)
    assert load() == 42
    assert events == [(True, False), (False, True)]  # the file, its name, the folder


@needs_compiler
def test_a_cache_without_room_is_one_line(small, monkeypatch):
    load, path = small
    path.unlink()

    def full(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(build, "to_disk", full)
    with pytest.raises(RuntimeError, match=r"cannot be kept.*No space left"):
        load()
    assert not list(path.parent.iterdir())


def test_without_a_compiler_plain_pytorch_runs_and_one_line_says_so(tmp_path):
    done = start(tmp_path, CXX="no-such-compiler").wait()
    assert float(done.stdout) != 0
    assert done.stderr.count("WARNING no fused CPU kernel") == 1
    assert "no-such-compiler" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_cache_that_others_can_write_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    build.cache_dir().chmod(0o777)
    with pytest.raises(RuntimeError, match="can be written by others"):
        build.cache_dir()


def test_a_failing_compilation_is_one_line(tmp_path):
    compiler = tmp_path / "c++"
    compiler.write_text("#!/bin/sh\necho 'line one' >&2\necho 'line two' >&2\nexit 1\n")
    compiler.chmod(0o755)
    with pytest.raises(RuntimeError, match=r"line one$"):
        build.run([str(compiler)])
