"""The end of a sampling run: its parts become the ensemble, and it may be killed at any moment."""

import os
import shutil
from pathlib import Path

import h5py
import pytest

from flowlat.ensemble import gathering, writer
from flowlat.ensemble.file import hdf5
from flowlat.ensemble.writer import EnsembleWriter
from flowlat.sampling import draw as module
from flowlat.sampling.draw import draw
from tests.sampling.test_draw import KINDS, assert_same
from tests.support.fakes import walk_config
from tests.support.killed import killed_at


@pytest.fixture(autouse=True)
def many_small_steps(monkeypatch):
    """A part a block, of which about three are moved at a time, to chunks of a few rows."""
    monkeypatch.setattr(module, "plot", lambda ensemble, path: path.touch())
    monkeypatch.setattr(module, "provenance", dict)
    monkeypatch.setattr(writer, "PART_SECONDS", 0.0)
    monkeypatch.setattr(gathering, "PART_OF_ALL", 0.4)
    monkeypatch.setattr(gathering, "LEAST", 0)
    monkeypatch.setattr(hdf5, "CHUNK", 1000)


def drawn(folder: Path, **changes) -> Path:
    """The folder, with a run in it that is finished."""
    folder.mkdir(exist_ok=True)
    draw(walk_config(**changes), folder)
    return folder


def unfinished(folder: Path, **changes) -> Path:
    """The folder, with all blocks of a run in it that has not begun to end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EnsembleWriter, "finish", not_yet)
        with pytest.raises(KeyboardInterrupt):
            drawn(folder, **changes)
    return folder


def not_yet(self: EnsembleWriter) -> None:
    self.flush()
    raise KeyboardInterrupt


def of_an_earlier_version(path: Path) -> None:
    """Give an ensemble columns that cannot grow, as they were."""
    with h5py.File(path, "r+") as file:
        columns = [name for name in file if name not in ("state", "measured")]
        for name in columns + [f"measured/{name}" for name in file["measured"]]:
            values = file[name][...]
            del file[name]
            file.create_dataset(name, data=values, chunks=values.shape, fletcher32=True)


def before_the_end(way: str, folder: Path, n: int, **changes) -> Path:
    """A run that has drawn n samples: at once, or from some on that are in ensemble.h5."""
    if way == "at once":
        return unfinished(folder, n_samples=n, **changes)
    drawn(folder, n_samples=n // 6 if way == "from a few on" else n // 3 * 2, **changes)
    if way == "from an earlier version on":
        of_an_earlier_version(folder / "ensemble.h5")
    return unfinished(folder, n_samples=n, resume=True, **changes)


WAYS = ("at once", "from a few on", "from many on", "from an earlier version on")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", WAYS)
def test_the_end_of_a_run(way, kind, tmp_path):
    changes = {"n_samples": 70, "sampler": {"kind": kind}}
    whole = drawn(tmp_path / "whole", **changes)
    folder = before_the_end(way, tmp_path / "a", 70, sampler={"kind": kind})
    assert_same(drawn(folder, resume=True, **changes), whole)
    with h5py.File(folder / "ensemble.h5") as file, h5py.File(whole / "ensemble.h5") as expected:
        assert dict(file.attrs).keys() == dict(expected.attrs).keys()
        assert 2 * file["action"].chunks[0] >= expected["action"].chunks[0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("way", WAYS)
def test_killed_at_each_step_of_the_end(way, tmp_path):
    """Before each rename, removal and sync, from the last block to the summary."""
    changes = {"n_samples": 70, "sampler": {"kind": "proposals"}}
    whole = drawn(tmp_path / "whole", **changes)
    before = before_the_end(way, tmp_path / "before", 70, sampler={"kind": "proposals"})
    changes["resume"], left = True, []
    while True:
        folder = Path(shutil.copytree(before, tmp_path / f"killed{len(left)}"))
        if not killed_at(len(left) + 1, False, drawn, folder, **changes):
            break
        left.append(len(list((folder / "parts").glob("*.h5"))))
        assert_same(drawn(folder, **changes), whole)
    assert len(set(left)) > 3  # the parts go one by one


@pytest.mark.parametrize("way", ["at once", "from many on"])
def test_the_disk_that_the_end_takes(way, tmp_path, monkeypatch):
    """At most a tenth more than was there, or will be, 5 MB, at each rename, removal and sync."""
    monkeypatch.setattr(gathering, "PART_OF_ALL", 0.05)
    monkeypatch.setattr(hdf5, "CHUNK", 2**13)
    changes = {"sampler": {"kind": "proposals", "steps": 500}}
    folder, sizes = before_the_end(way, tmp_path / "a", 30_000, **changes), []

    def counted(function):
        def wrapped(*args, **options):
            sizes.append(size(folder))
            return function(*args, **options)

        return wrapped

    for owner, name in ((Path, "replace"), (Path, "unlink"), (os, "fsync")):
        monkeypatch.setattr(owner, name, counted(getattr(owner, name)))
    drawn(folder, n_samples=30_000, resume=True, **changes)
    assert len(sizes) > 50
    assert max(sizes) < 1.1 * max(sizes[0], size(folder))


def size(folder: Path) -> int:
    """Bytes of all files of a run."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
