"""Time series in files: columns, replicas, names."""

import numpy as np
import pytest

from flowlat.analysis.time_series import time_series
from flowlat.exchange.__main__ import main
from flowlat.exchange.series import analyse
from flowlat.utils.errors import ConfigError

A, B = np.random.default_rng(0).normal(size=(2, 100))


@pytest.fixture
def files(tmp_path):
    """A CSV with names, the same as text without, an array."""
    rows = [f"{a},{b}" for a, b in zip(A, B, strict=True)]
    (tmp_path / "a.csv").write_text("\n".join(["# run 7", '"m", chi', *rows]))
    (tmp_path / "b.txt").write_text("\n".join(row.replace(",", "\t") for row in rows[:60]))
    np.save(tmp_path / "c.npy", A)
    return tmp_path


def test_columns_and_replicas(files):
    assert analyse([files / "a.csv"]) == {"m": time_series(A), "chi": time_series(B)}
    assert analyse([files / "a.csv"], ["chi"], discard=10) == {"chi": time_series(B[10:])}
    assert analyse([files / "c.npy"]) == {"1": time_series(A)}
    both = analyse([files / "b.txt", files / "b.txt"], ["2"])
    assert both == {"2": time_series([B[:60], B[:60]])}
    assert analyse([files / "a.csv"], columns_are_replicas=True) == {
        "all columns": time_series([A, B])
    }


def test_the_command(files, capsys):
    assert main(["series", str(files / "a.csv")]) == 0
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split() == ["series", "value", "tau_int"]
    assert first.split()[0] == "m"
    assert second.split()[0] == "chi"
    assert main(["series", str(files / "none.csv")]) == 2
    assert capsys.readouterr().err.endswith("none.csv: no such file\n")


@pytest.mark.parametrize(
    ("names", "options", "text"),
    [
        (["a.csv"], {"columns": ["psi"]}, "columns=psi: SOURCE=.* has m, chi"),
        (["a.csv", "b.txt"], {}, "columns 1, 2, and not m, chi"),
        (["a.csv"], {"discard": 100}, "discard=100: SOURCE=.* has 100 steps"),
        (["a.csv"], {"discard": -1}, "discard=-1"),
        (["nan.txt"], {}, "SOURCE=.*: 1: the chain holds NaN or infinity"),
        (["cube.npy"], {}, r"\[2, 2, 2\], not \(steps,\) or \(steps, columns\)"),
    ],
)
def test_what_cannot_be_analysed(names, options, text, files):
    np.save(files / "cube.npy", np.zeros((2, 2, 2)))
    (files / "nan.txt").write_text("1\nnan\n" * 40)
    with pytest.raises(ConfigError, match=text):
        analyse([files / name for name in names], **options)
