"""Which folder a command gets: its own, whatever others do in the same second."""

import os
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from flowlat.runs.folder import lock
from flowlat.runs.folder.check import RunFolderCheck
from flowlat.runs.folder.lock import release_all


def composed(key: str, folder: Path, typed: bool):
    """Of Hydra's own config what is read and changed."""
    given = [f"hydra.{key}.dir={folder}"] if typed else []
    return OmegaConf.create({"hydra": {key: {"dir": str(folder)}, "overrides": {"hydra": given}}})


@pytest.fixture(autouse=True)
def nothing_held():
    yield
    release_all()


@pytest.mark.parametrize("key", ["run", "sweep"])
def test_a_default_folder_of_the_same_second_gets_a_number(key, tmp_path, monkeypatch):
    check, folders = RunFolderCheck(), []
    start = check.on_run_start if key == "run" else check.on_multirun_start
    for _ in range(3):
        start(config := composed(key, tmp_path / "12-00-00", typed=False))
        folders.append(Path(config.hydra[key].dir).name)
        monkeypatch.setattr(lock, "_held", {})  # of another process
    assert folders == ["12-00-00", "12-00-00_2", "12-00-00_3"]
    # what the jobs of a sweep are composed of
    assert config.hydra.overrides.hydra == [f"hydra.{key}.dir={tmp_path}/12-00-00_3"]


def test_a_default_folder_in_which_a_run_has_ended_gets_one_too(tmp_path):
    (tmp_path / "12-00-00").mkdir()
    (tmp_path / "12-00-00" / "summary.json").touch()
    RunFolderCheck().on_run_start(config := composed("run", tmp_path / "12-00-00", typed=False))
    assert Path(config.hydra.run.dir).name == "12-00-00_2"


def test_one_that_was_typed_is_refused(tmp_path, monkeypatch, capsys):
    RunFolderCheck().on_run_start(composed("run", tmp_path, typed=True))
    monkeypatch.setattr(lock, "_held", {})
    with pytest.raises(SystemExit) as stop:
        RunFolderCheck().on_run_start(composed("run", tmp_path, typed=True))
    assert stop.value.code == 2
    assert capsys.readouterr().err == (
        f"error: hydra.run.dir={tmp_path}: process {os.getpid()} of this machine is at work in it\n"
    )


def test_a_folder_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").touch()
    check = RunFolderCheck()
    for key, start in (("run", check.on_run_start), ("sweep", check.on_multirun_start)):
        folder = tmp_path / "file" / key
        with pytest.raises(SystemExit) as stop:
            start(composed(key, folder, typed=True))
        assert stop.value.code == 2
        assert capsys.readouterr().err == f"error: hydra.{key}.dir={folder}: Not a directory\n"


@pytest.mark.parametrize("key", ["run", "sweep"])
def test_a_folder_named_by_what_is_not_there_is_one_line(key, capsys):
    check = RunFolderCheck()
    start = check.on_run_start if key == "run" else check.on_multirun_start
    with pytest.raises(SystemExit) as stop:
        start(composed(key, Path("out/${b}"), typed=True))
    assert stop.value.code == 2
    assert capsys.readouterr().err == (
        f"error: hydra.{key}.dir=out/${{b}}: Interpolation key 'b' not found\n"
    )
