"""Following a training that goes on elsewhere."""

import csv
import os
import threading
import time

import pytest

from flowlat.report.__main__ import main
from flowlat.report.training.watch import line, watch
from flowlat.runs.metrics import COLUMNS
from flowlat.utils.errors import ConfigError
from tests.support.run_folders import row, write_multirun, write_summary, write_training


def append(folder, *epochs):
    with (folder / "metrics.csv").open("a", newline="") as file:
        csv.DictWriter(file, COLUMNS).writerows(row(epoch, 0.1) for epoch in epochs)


def test_a_line_has_what_was_measured():
    values = {key: str(value) for key, value in row(2, 0.5).items()}
    expected = "epoch 3/500  loss -6.75  ESS 0.45  acceptance 0.5  log Z 9.3  6.0 s"
    assert line(values, 500) == expected
    values = {key: str(value) for key, value in row(1, 0.5).items()}
    assert line(values, 500) == "epoch 2/500  loss -4.5  4.0 s"


def test_a_finished_run_is_told_and_left(tmp_path):
    folder = write_training(tmp_path / "a", [0.1, 0.2, 0.3])
    assert [text.split()[1] for text in watch(folder)] == ["1/3", "2/3", "3/3"]


def test_epochs_come_as_they_are_written_until_the_summary(tmp_path):
    folder = write_training(tmp_path / "a", [0.1, 0.2], finished=False)

    def train():
        for epoch in (2, 3, 4):
            time.sleep(0.05)
            append(folder, epoch)
        time.sleep(0.05)
        write_summary(folder)

    thread = threading.Thread(target=train)
    thread.start()
    found = [text.split()[1] for text in watch(folder, interval=0.01)]
    thread.join()
    assert found == [f"{n}/2" for n in (1, 2, 3, 4, 5)]


def test_a_row_that_is_being_written_waits(tmp_path):
    folder = write_training(tmp_path / "a", [0.1], finished=False)
    with (folder / "metrics.csv").open("a") as file:
        file.write("1,200,12800,-4.5,0.0")
    lines = watch(folder, interval=0.01)
    assert next(lines).startswith("epoch 1/")
    with (folder / "metrics.csv").open("a") as file:
        file.write("9,0.3,0.1,9.3,0.02,,,0.001,4.0\n")
    write_summary(folder)
    assert [text.split()[1:6] for text in lines] == [["2/1", "loss", "-4.5", "ESS", "0.09"]]


def test_the_summary_of_an_earlier_leg_is_no_end(tmp_path):
    folder = write_training(tmp_path / "a", [0.1])
    before = time.time() - 100
    os.utime(folder / "summary.json", (before, before))
    lines = watch(folder, interval=0.01)
    assert next(lines).startswith("epoch 1/")
    append(folder, 1)
    assert next(lines).startswith("epoch 2/")
    write_summary(folder)
    assert list(lines) == []


def test_a_resumed_run_repeats_its_epochs(tmp_path):
    folder = write_training(tmp_path / "a", [0.1, 0.2, 0.3], finished=False)
    lines = watch(folder, interval=0.01)
    assert [next(lines).split()[1] for _ in range(3)] == ["1/3", "2/3", "3/3"]
    write_training(folder, [0.1], finished=False)
    thread = threading.Timer(0.1, append, [folder, 1])
    thread.start()
    assert next(lines).startswith("epoch 2/")
    thread.join()


def test_the_jobs_of_a_multirun(tmp_path):
    """One has ended, one is written to and fails, one begins later."""
    sweep = write_multirun(tmp_path, "seed=1,2,3")
    write_training(sweep / "0", [0.1])
    second = write_training(sweep / "1", [0.1, 0.2], finished=False)
    found = watch(sweep, interval=0.01)
    begun = [" ".join(next(found).split()[:4]) for _ in range(3)]
    assert begun == ["job 0 epoch 1/1", "job 1 epoch 1/2", "job 1 epoch 2/2"]
    (second / "error.txt").write_text("no memory\nTraceback")
    assert next(found) == "job 1  failed: no memory"
    write_training(sweep / "2", [0.1])
    assert next(found).startswith("job 2  epoch 1/1")
    assert list(found) == []


def test_no_such_folder(tmp_path):
    with pytest.raises(ConfigError, match=f"RUN={tmp_path}/x: no such folder"):
        next(watch(tmp_path / "x"))


def test_ctrl_c_is_clean(tmp_path, monkeypatch, capsys):
    def interrupt(seconds):
        raise KeyboardInterrupt

    folder = write_training(tmp_path / "a", [0.1], finished=False)
    monkeypatch.setattr(time, "sleep", interrupt)
    with pytest.raises(SystemExit) as stop:
        main(["--watch", str(folder)])
    assert stop.value.code == 130
    out, err = capsys.readouterr()
    assert out.startswith("epoch 1/1")
    assert err == "interrupted\n"
