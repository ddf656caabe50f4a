import json
import math

import pytest
import torch

from flowlat import schedulers
from flowlat.cli import with_error
from flowlat.files import write_json
from flowlat.observables import AbsMagnetization, ActionDensity, Magnetization, Phi2, Susceptibility
from flowlat.provenance import provenance


def factors(schedule, total, **options):
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=2.0)
    scheduler = schedule(optimizer, total_steps=total, steps_per_epoch=10, **options)
    found = []
    for _ in range(total):
        found.append(optimizer.param_groups[0]["lr"] / 2.0)
        optimizer.step()
        scheduler.step()
    return found


def test_schedules():
    assert factors(schedulers.constant, 5) == [1.0] * 5
    assert factors(schedulers.step, 40, milestones=[2, 3], gamma=0.1)[19:31] == pytest.approx(
        [1.0] + [0.1] * 10 + [0.01]
    )
    cosine = factors(schedulers.warmup_cosine, 101, warmup=0.1, final=0.2)
    assert cosine[0] == pytest.approx(0.1)
    assert max(cosine) == pytest.approx(1.0)
    assert cosine[-1] == pytest.approx(0.2, abs=1e-3)
    cycle = factors(schedulers.one_cycle, 101, rise=0.3)
    assert cycle[0] == pytest.approx(0.04)
    assert cycle.index(max(cycle)) in (30, 31)
    assert cycle[-1] < 2e-3
    with pytest.raises(ValueError, match="rise=2"):
        factors(schedulers.one_cycle, 5, rise=2)


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (9.29021, 0.0023, "9.2902(23)"),
        (382.34, 0.08, "382.340(80)"),
        (87.9, 1.12, "87.9(1.1)"),
        (115.2, 12.3, "115(12)"),
        (0.5, 0.0, "0.5"),
        (0.5, math.nan, "0.5"),
    ],
)
def test_value_with_error(value, error, text):
    assert with_error(value, error) == text


def test_json_has_no_nan(tmp_path):
    write_json(tmp_path / "a.json", {"x": [1.0, math.nan], "y": {"z": math.inf}})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": [1.0, None], "y": {"z": None}}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_provenance_names_the_versions():
    record = provenance()
    assert record["torch"] == torch.__version__
    assert {"python", "git_revision", "date", "flowlat", "lightning"} <= record.keys()


def test_observables_by_hand():
    phi = torch.tensor([[[1.0, -3.0], [0.0, 0.0]]], dtype=torch.float64)
    action = torch.tensor([6.0], dtype=torch.float64)
    expected = {
        Magnetization: -0.5,
        AbsMagnetization: 0.5,
        Phi2: 2.5,
        Susceptibility: 1.0,
        ActionDensity: 1.5,
    }
    for observable, value in expected.items():
        assert observable()(phi, action).tolist() == [value]
