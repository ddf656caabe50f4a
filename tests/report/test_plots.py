import numpy as np
import pytest

from flowlat.report.page import plots
from flowlat.report.page.plots import plot_ensemble, plot_training

ROW = {"step": "50", "loss": "-3", "log_z": "3.1", "ess": "0.2", "acceptance": "0.4"}
UNEVALUATED = {"step": "100", "loss": "-3.2", "log_z": "", "ess": "", "acceptance": ""}


@pytest.mark.parametrize("rows", [[ROW], [ROW, UNEVALUATED], [UNEVALUATED]])
def test_training_is_drawn_however_little_there_is(rows, tmp_path):
    plot_training(rows, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("n", [1, 2, 3000])
def test_ensemble_is_drawn_however_short_it_is(n, tmp_path):
    numbers = np.random.default_rng(1)
    m, log_w = numbers.normal(size=n), numbers.normal(size=n)
    drawn = {"a": ([m], log_w), "b": ([m, m[:1]], None), "c": ([m], log_w, np.exp(log_w))}
    for name, (series, weights, *weight) in drawn.items():
        path = tmp_path / f"{name}.png"
        plot_ensemble(series, weights, path, *weight)
        assert path.read_bytes().startswith(b"\x89PNG")


def test_the_history_is_that_of_a_replica(monkeypatch, tmp_path):
    figures = []
    monkeypatch.setattr(plots, "finish", lambda figure: figures.append(figure) or figure)
    plot_ensemble([np.arange(7.0), np.arange(6.0)], None, tmp_path / "a.png")
    (line,) = figures[0].axes[0].lines
    assert line.get_xydata()[-1].tolist() == [6, 6]


@pytest.mark.parametrize("log_w", [1e200, -1e200, 0.0])
def test_equal_weights_are_drawn(log_w, tmp_path):
    """Their mean is off by rounding: 1e184 of 1e200."""
    plot_ensemble([np.zeros(100)], np.full(100, log_w), tmp_path / "a.png")
