"""The command line: where it writes, and what it refuses in one line."""

import os

import pytest

from flowlat.report.__main__ import main
from flowlat.runs.folder import lock
from flowlat.runs.folder.lock import hold, release_all
from tests.support.run_folders import write_training


@pytest.fixture
def refused(capsys):
    """``refused(...)``: the one line on stderr with which a command ends, exit code 2."""

    def start(*arguments):
        assert main([str(a) for a in arguments]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        return err

    return start


def test_one_run_is_reported_in_its_folder(tmp_path, capsys):
    folder = write_training(tmp_path / "a", [0.1])
    assert main([str(folder)]) == 0
    assert (folder / "report.html").exists()
    shown = capsys.readouterr().out
    assert shown.endswith(f"\n\nReport: {folder}/report.html\n")
    assert "run  " in shown  # the head of its table


def test_several_are_reported_in_report(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = [str(write_training(tmp_path / name, [0.1])) for name in "ab"]
    assert main(folders) == 0
    assert (tmp_path / "report" / "report.html").exists()
    assert main([*folders, "--out", "elsewhere"]) == 0
    assert (tmp_path / "elsewhere" / "report.html").exists()
    assert not (tmp_path / "a" / "report.html").exists()


def test_two_reports_in_one_folder(tmp_path, monkeypatch, refused):
    """The second is refused a folder that was named, and gets another than the default."""
    monkeypatch.chdir(tmp_path)
    folders = [write_training(tmp_path / name, [0.1]) for name in "ab"]
    for out in (tmp_path / "a", tmp_path / "report"):
        out.mkdir(exist_ok=True)
        hold(out, "--out", ".report.lock")
        monkeypatch.setattr(lock, "_held", {})  # by another process
    assert f"--out={folders[0]}: process {os.getpid()} of this machine is" in refused(folders[0])
    assert not (folders[0] / "report.html").exists()
    assert main([*map(str, folders)]) == 0
    assert (tmp_path / "report_2" / "report.html").exists()
    assert not (tmp_path / "report_2" / ".report.lock").exists()


def test_a_training_at_work_is_reported(tmp_path, monkeypatch):
    folder = write_training(tmp_path / "a", [0.1])
    hold(folder, "hydra.run.dir")
    assert main([str(folder)]) == 0
    release_all()


@pytest.mark.parametrize("left", ["parts", "ensemble.h5"])
def test_a_sampling_that_is_not_finished(left, tmp_path, refused):
    folder = tmp_path / "a=1"
    (folder / left).mkdir(parents=True)
    assert f"""'hydra.run.dir="{folder}"' resume=true goes on with it""" in refused(folder)
    hold(folder, "hydra.run.dir")
    assert f"not finished, process {os.getpid()} of" in refused(folder)
    release_all()


def test_nothing_to_report(tmp_path, refused):
    assert f"RUN={tmp_path}/x: no such folder" in refused(tmp_path / "x")
    assert "no ensemble.h5, metrics.csv, scan.csv or multirun.yaml" in refused(tmp_path)


def test_a_damaged_ensemble(tmp_path, refused):
    (tmp_path / "ensemble.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    assert "resume=true goes on with it" in refused(tmp_path)
    (tmp_path / "summary.json").write_text("{}")
    assert "ensemble.h5" in refused(tmp_path)


def test_a_damaged_summary(tmp_path, refused):
    folder = write_training(tmp_path / "a", [0.1])
    (folder / "summary.json").write_text('{"ess": 0.')
    assert f"{folder}/summary.json: not readable" in refused(folder)
    (folder / "summary.json").write_text("[]")
    assert f"{folder}/summary.json: not readable" in refused(folder)


def test_a_folder_that_cannot_be_written(tmp_path, refused):
    folder = write_training(tmp_path / "a", [0.1])
    (tmp_path / "file").touch()
    assert "cannot be written" in refused(folder, "--out", tmp_path / "file" / "out")


def test_help_has_examples(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    assert "python -m flowlat.report multirun/DATE/TIME" in capsys.readouterr().out
