"""The jobs that a multirun was to have."""

import yaml
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser

from flowlat.runs.jobs import planned


def test_the_plan_is_that_of_the_sweeper(tmp_path):
    """Those of its own configuration come first, and what is typed takes their place."""
    params, task = {"seed": "1,2", "arch": "conv"}, ["optimizer.lr=1e-3,1e-4", "seed=3,4"]
    sweeper = {"_target_": "hydra._internal.BasicSweeper", "params": params}
    hydra = {"sweeper": sweeper, "overrides": {"task": task}}
    (tmp_path / "multirun.yaml").write_text(yaml.safe_dump({"hydra": hydra}))
    parsed = OverridesParser.create().parse_overrides(["seed=1,2", "arch=conv", *task])
    (jobs,) = BasicSweeper.split_arguments(parsed, None)
    assert planned(tmp_path) == [dict(override.split("=") for override in job) for job in jobs]
    assert [job["seed"] for job in planned(tmp_path)] == ["3", "3", "4", "4"]
