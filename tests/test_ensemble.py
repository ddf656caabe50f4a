import json

import h5py
import pytest
import torch

from flowlat.ensemble import EnsembleWriter
from flowlat.evaluation import Proposals


def batch(n):
    return Proposals(torch.randn(n, 2, 4), torch.randn(n).double(), torch.randn(n).double())


def writer(path, dtype=torch.float32, save_configs=True):
    return EnsembleWriter(path, (2, 4), dtype, save_configs, config={"a": [1]}, seed=3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_batches_are_appended_in_order(tmp_path, dtype):
    batches = [batch(3), batch(2)]
    with writer(tmp_path / "e.h5", dtype) as ensemble:
        for part in batches:
            ensemble.append(part)
        ensemble.finish(torch.tensor([True, False, True, True, False]))
    with h5py.File(tmp_path / "e.h5") as file:
        assert torch.equal(
            torch.from_numpy(file["phi"][:]), torch.cat([b.phi for b in batches]).to(dtype)
        )
        for name in ("log_weight", "action"):
            expected = torch.cat([getattr(b, name) for b in batches])
            assert torch.equal(torch.from_numpy(file[name][:]), expected)
        assert file["accepted"][:].tolist() == [True, False, True, True, False]
        assert json.loads(file.attrs["config"]) == {"a": [1]}
        assert file.attrs["seed"] == 3
        assert file["phi"].chunks


def test_configurations_are_optional(tmp_path):
    with writer(tmp_path / "e.h5", save_configs=False) as ensemble:
        ensemble.append(batch(1))
        ensemble.finish(torch.tensor([True]))
    with h5py.File(tmp_path / "e.h5") as file:
        assert set(file) == {"log_weight", "action", "accepted"}


def test_an_interrupted_run_leaves_no_file(tmp_path):
    def interrupted():
        with writer(tmp_path / "e.h5") as ensemble:
            ensemble.append(batch(3))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []
