"""What is in a run folder, and what may be written over."""

import pytest

from flowlat.runs.folder.record import Record, remove_if_unused, require_free, stamp
from flowlat.utils.errors import ConfigError


def test_only_an_unused_run_folder_is_removed(tmp_path):
    for name, extra in (("unused", "train.log"), ("used", "metrics.csv")):
        (tmp_path / name / ".hydra").mkdir(parents=True)
        (tmp_path / name / extra).touch()
        remove_if_unused(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["used"]


@pytest.mark.parametrize(
    ("left", "kind", "resume", "says"),
    [
        ("metrics.csv", "training", True, ""),
        ("metrics.csv", "training", False, r"has a training already .*; resume=true"),
        ("checkpoints/best_ess.ckpt", "training", False, "has a training already"),
        ("checkpoints/best_ess.ckpt", "ensemble", True, "has a training already .*; another"),
        ("ensemble.h5", "ensemble", True, ""),
        ("parts/000000.h5", "ensemble", False, "has an ensemble already .*; resume=true"),
        ("ensemble.h5", "training", True, "has an ensemble already"),
        ("summary.json", "ensemble", True, "has a result already"),
        ("summary.json", "training", False, "has a result already"),
        ("notes.txt", "training", False, ""),
    ],
)
def test_nothing_that_is_there_is_written_over(left, kind, resume, says, tmp_path):
    (tmp_path / left).parent.mkdir(exist_ok=True)
    (tmp_path / left).touch()
    if not says:
        require_free(tmp_path, kind, resume)
        return
    with pytest.raises(ConfigError, match=says):
        require_free(tmp_path, kind, resume)


def test_a_record_is_written_when_the_run_begins(tmp_path):
    (tmp_path / "error.txt").touch()
    record = Record(tmp_path, "hydra.run.dir=a", {"hydra.yaml": "hydra: {}\n"})
    assert stamp(tmp_path) is None
    record.begin()
    assert (tmp_path / ".hydra" / "hydra.yaml").read_text() == "hydra: {}\n"
    assert stamp(tmp_path) is not None
    assert not (tmp_path / "error.txt").exists()
