import pytest
from omegaconf import OmegaConf

from flowlat.runs.folder.check import RunFolderCheck
from flowlat.runs.folder.record import remove_if_unused


def test_only_an_unused_run_folder_is_removed(tmp_path):
    for name, extra in (("unused", "train.log"), ("used", "metrics.csv")):
        (tmp_path / name / ".hydra").mkdir(parents=True)
        (tmp_path / name / extra).touch()
        remove_if_unused(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["used"]


def test_a_run_folder_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").touch()
    check = RunFolderCheck()
    for key, start in (("run", check.on_run_start), ("sweep", check.on_multirun_start)):
        folder = f"{tmp_path}/file/{key}"
        config = OmegaConf.create({"hydra": {key: {"dir": folder}}})
        with pytest.raises(SystemExit) as stop:
            start(config)
        assert stop.value.code == 2
        assert capsys.readouterr().err == f"error: hydra.{key}.dir={folder}: Not a directory\n"
