"""A file has its changes all at once or not at all."""

import os
import resource
from pathlib import Path

import h5py
import numpy as np
import pytest

from flowlat.ensemble.file import changes
from flowlat.ensemble.file.changes import changing, settle
from flowlat.ensemble.file.hdf5 import create_dataset, creating, set_attribute
from tests.support.killed import killed_at

BEFORE, AFTER = {"x": 1000, "y": 0, "n": 1}, {"x": 5000, "y": 300, "n": 2}


@pytest.fixture
def path(tmp_path):
    """A file of a dataset that fills a chunk and a part of another."""
    path = tmp_path / "a.h5"
    with creating(path) as file:
        create_dataset(file, "x", (1000,), np.dtype("f8"), 5000)[:] = np.arange(1000)
        set_attribute(file, "n", 1)
    return path


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr("flowlat.ensemble.file.hdf5.CHUNK", 3000)


def change(path: Path) -> None:
    """Append to a dataset, write over some of it, make another, change an attribute."""
    with changing(path) as file:
        file["x"].resize(5000, axis=0)
        file["x"][1000:] = np.arange(1000, 5000)
        file["x"][7] = -7
        if "y" not in file:
            create_dataset(file, "y", (300,), np.dtype("f8"))
        file["y"][:] = 1.0
        set_attribute(file, "n", 2)


def found(path: Path) -> dict[str, int]:
    """How far the changes have come, if all data are as they should be."""
    with h5py.File(path) as file:
        x = file["x"][...]
        expected = np.arange(len(x))
        expected[7] = -7 if len(x) > 1000 else 7
        assert np.array_equal(x, expected)
        return {"x": len(x), "y": len(file["y"]) if "y" in file else 0, "n": file.attrs["n"]}


def test_what_was_there_stays_until_the_end(path):
    before = path.read_bytes()
    with changing(path) as file:
        file["x"].resize(5000, axis=0)
        file["x"][:] = np.arange(5000) + 1
        file.flush()  # and the dataset is closed: it is read from the file again
        assert np.array_equal(file["x"][...], np.arange(5000) + 1)
        assert path.read_bytes()[: len(before)] == before
    with h5py.File(path) as file:
        assert np.array_equal(file["x"][...], np.arange(5000) + 1)
    assert os.listdir(path.parent) == ["a.h5"]


def test_a_block_that_fails_changes_nothing(path):
    before = path.read_bytes()

    def fails():
        with changing(path) as file:
            file["x"].resize(5000, axis=0)
            file["x"][:] = 1.0
            raise KeyError("nothing")

    with pytest.raises(KeyError):
        fails()
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["a.h5"]


def test_a_full_disk_changes_nothing(path):
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            change(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    change(path)
    assert found(path) == AFTER


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_anywhere(path):
    """In each write, before and after each rename, sync and removal, between all changes."""
    whole, outcomes = path.read_bytes(), []
    while killed_at(len(outcomes) + 1, True, change, path):
        settle(path)
        outcomes.append(found(path))
        change(path)
        assert found(path) == AFTER
        assert os.listdir(path.parent) == ["a.h5"]
        path.write_bytes(whole)
    changed = outcomes.index(AFTER)
    assert changed > 10
    assert outcomes == [BEFORE] * changed + [AFTER] * (len(outcomes) - changed)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_while_they_are_made(path):
    waiting = waiting_changes(path)
    before, content, steps = path.read_bytes(), waiting.read_bytes(), 0
    while killed_at(steps + 1, True, settle, path):
        steps += 1
        settle(path)
        assert found(path)["n"] == 2
        path.write_bytes(before)
        waiting.write_bytes(content)
    assert steps >= 4  # changes, the sync, the removal


def waiting_changes(path: Path) -> Path:
    """The changes of a process that ended before it made them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(changes, "settle", lambda path: None)
        with changing(path) as file:
            set_attribute(file, "n", 2)
    return path.with_name("a.h5.changes")


def test_damaged_changes_are_not_made(path):
    waiting = waiting_changes(path)
    before, content = path.read_bytes(), bytearray(waiting.read_bytes())
    content[len(content) // 2] ^= 1
    waiting.write_bytes(content)
    with pytest.raises(ValueError, match="damaged"):
        settle(path)
    assert path.read_bytes() == before
    assert not waiting.exists()


def test_changes_to_another_file_are_not_made(path):
    waiting_changes(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="another file"):
        settle(path)
    assert path.stat().st_size == 100
