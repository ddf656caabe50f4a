"""The page of trainings, whatever there is of them."""

import pytest

from flowlat.report.build import build
from flowlat.report.page.html import write
from flowlat.report.training.learning_curves import reached
from flowlat.runs.folders import read_run
from flowlat.utils.errors import ConfigError
from tests.support.run_folders import write_training

PICTURES = {"learning_step", "learning_seconds"}


@pytest.mark.parametrize("epochs", [[0.1], [0.1, 0.2], [0.1, 0.2, 0.4, 0.6, 0.7]])
def test_a_training_is_drawn_however_short_it_is(epochs, tmp_path):
    text = write(build([write_training(tmp_path / "a", epochs)]), tmp_path).read_text()
    assert {path.stem for path in tmp_path.glob("*.png")} == PICTURES
    assert text.count("data:image/png") == 2
    assert "9.290(10)" in text


def test_several_trainings_are_drawn_over_each_other(tmp_path):
    folders = [
        write_training(tmp_path / name, [0.1, 0, 0.4], lam=lam)
        for name, lam in (("a", 8), ("b", 5))
    ]
    text = write(build(folders), tmp_path / "out").read_text()
    assert text.count("data:image/png") == 2
    assert str(folders[1]) in text


def test_an_unfinished_training_shows_its_best_epoch(tmp_path):
    folder = write_training(tmp_path / "a", [0.1, 0, 0.7, 0.5], finished=False)
    (row,) = reached([read_run(folder)]).rows
    assert row[1:3] == ["4", "400"]
    assert row[4:6] == ["0.6300", "0.7000"]
    assert row[7] == "not finished: its best epoch"


def test_a_row_that_was_being_written_is_left_out(tmp_path):
    folder = write_training(tmp_path / "a", [0.1], finished=False)
    with (folder / "metrics.csv").open("a") as file:
        file.write("1,200,-4.5,0.3")
    (row,) = reached([read_run(folder)]).rows
    assert row[1:3] == ["1", "100"]


def test_a_damaged_table_is_refused(tmp_path):
    folder = write_training(tmp_path / "a", [0.1])
    text = (folder / "metrics.csv").read_text()
    (folder / "metrics.csv").write_text(text.replace("9.3", "9.x"))
    with pytest.raises(ConfigError, match=f"{folder}/metrics.csv: log_z=9.x is not a number"):
        read_run(folder)


def test_a_training_without_an_epoch_is_refused(tmp_path):
    folder = write_training(tmp_path / "a", [0.1])
    (folder / "metrics.csv").write_text("epoch,step\n")
    with pytest.raises(ConfigError, match=f"RUN={folder}: metrics.csv has no epoch yet"):
        write(build([folder]), tmp_path / "out")
