from flowlat.loggers import MetricsTable, read_metrics


def row(epoch):
    return {"epoch": float(epoch), "loss": -1.0 - epoch, "ess": 0.1 * epoch}


def test_one_row_an_epoch_with_the_columns_of_the_contract(tmp_path):
    table = MetricsTable(tmp_path / "metrics.csv")
    table.log_metrics({"something": 1.0}, step=1)
    for epoch in range(2):
        table.log_metrics(row(epoch), step=50 * (epoch + 1))
    header = (tmp_path / "metrics.csv").read_text().splitlines()[0]
    assert header == "epoch,step,loss,ess,acceptance,log_z,log_z_err,lr,seconds"
    rows = read_metrics(tmp_path / "metrics.csv")
    assert [r["epoch"] for r in rows] == ["0", "1"]
    assert [r["step"] for r in rows] == ["50", "100"]
    assert rows[1]["acceptance"] == ""  # not evaluated


def test_repeated_epochs_are_replaced_after_a_resume(tmp_path):
    path = tmp_path / "metrics.csv"
    first = MetricsTable(path)
    for epoch in range(4):
        first.log_metrics(row(epoch), step=epoch)
    again = MetricsTable(path)
    for epoch in range(2, 5):
        again.log_metrics({**row(epoch), "loss": 0.0}, step=epoch)
    rows = read_metrics(path)
    assert [r["epoch"] for r in rows] == ["0", "1", "2", "3", "4"]
    assert [float(r["loss"]) for r in rows] == [-1.0, -2.0, 0.0, 0.0, 0.0]


def test_no_file_is_no_rows(tmp_path):
    assert read_metrics(tmp_path / "none.csv") == []
