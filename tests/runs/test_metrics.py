import pytest
import torch

from flowlat.runs.metrics import read_metrics, require_whole, write_metrics
from flowlat.utils.errors import ConfigError


def row(epoch, **more):
    values = {"epoch": epoch, "step": 50 * (epoch + 1), "loss": -1.0 - epoch, "samples": 64 * epoch}
    return {name: torch.tensor(float(value)) for name, value in {**values, **more}.items()}


def test_one_row_an_epoch_with_the_columns_of_the_contract(tmp_path):
    path = tmp_path / "metrics.csv"
    for epoch in range(2):
        write_metrics(path, row(epoch, ess=0.1, something=1.0))
    header = path.read_text().splitlines()[0]
    measured = "ess,pareto_k,acceptance,log_z,log_z_err,forward_ess,forward_ess_err"
    assert header == f"epoch,step,samples,loss,{measured},lr,seconds"
    rows = read_metrics(path)
    assert [r["epoch"] for r in rows] == ["0", "1"]
    assert [r["step"] for r in rows] == ["50", "100"]
    assert [r["samples"] for r in rows] == ["0", "64"]
    assert rows[1]["acceptance"] == ""  # not evaluated


def test_an_epoch_that_is_repeated_replaces_those_from_it_on(tmp_path):
    path = tmp_path / "metrics.csv"
    for epoch in range(4):
        write_metrics(path, row(epoch))
    for epoch in (2, 1, 2):  # resumed, and then taken back
        write_metrics(path, row(epoch, loss=0.0))
        assert [r["epoch"] for r in read_metrics(path)] == list(map(str, range(epoch + 1)))
    assert [float(r["loss"]) for r in read_metrics(path)] == [-1.0, 0.0, 0.0]


def test_a_full_disk_leaves_the_rows_that_are_there(tmp_path, monkeypatch):
    path = tmp_path / "metrics.csv"
    write_metrics(path, row(0))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("flowlat.utils.files.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_metrics(path, row(1))
    assert [r["epoch"] for r in read_metrics(path)] == ["0"]
    assert list(tmp_path.iterdir()) == [path]


def test_no_file_is_no_rows(tmp_path):
    assert read_metrics(tmp_path / "none.csv") == []


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text.replace("0,50", "x,50"), "epoch=x"),
        (lambda text: text.replace("0,50", ",50"), "epoch="),
        (lambda text: text.replace("epoch", "another"), "epoch=None"),
        (lambda text: text[:-2] + ",1,2,3\n", "row 1 has more cells than columns"),
        (lambda text: text + "\xe9", "decode"),
    ],
)
def test_a_damaged_table_is_one_line_and_stays(damage, message, tmp_path):
    path = tmp_path / "metrics.csv"
    write_metrics(path, row(0))
    path.write_bytes(damage(path.read_text()).encode("latin-1"))
    before = path.read_bytes()
    for use in (require_whole, lambda path: write_metrics(path, row(1))):
        with pytest.raises(ConfigError, match=message) as caught:
            use(path)
        assert str(caught.value).startswith(f"{path}: damaged")
    assert path.read_bytes() == before
