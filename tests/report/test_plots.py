import numpy as np
import pytest

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
    plot_ensemble(numbers.normal(size=n), numbers.normal(size=n), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
