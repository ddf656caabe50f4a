"""The jobs that a multirun was to have."""

import pytest
import yaml
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser

from flowlat.runs.jobs import planned, read_jobs, require_same_sweep
from flowlat.utils.errors import ConfigError
from tests.support.run_folders import write_multirun, write_training


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


@pytest.mark.parametrize(
    ("task", "sweeper", "resume", "says"),
    [
        (["arch=a,b", "seed=1"], "basic_sweeper.BasicSweeper", True, ""),
        (["arch=a,b,c", "trainer.max_epochs=9"], "basic_sweeper.BasicSweeper", True, ""),
        (["arch=a,b"], "basic_sweeper.BasicSweeper", False, "has a sweep already; resume=true"),
        (["arch=c,d"], "basic_sweeper.BasicSweeper", True, "its job 0 is arch=a, not arch=c"),
        (["arch=a,c"], "basic_sweeper.BasicSweeper", True, "its job 1 is arch=b, not arch=c"),
        (["arch=a,b"], "OptunaSweeper", True, "has 2 jobs already, and a search numbers its own"),
        (["arch=a,b"], "OptunaSweeper", False, "in another folder it goes on with the same stor"),
    ],
)
def test_a_sweep_in_the_folder_of_another(task, sweeper, resume, says, tmp_path):
    """Goes on with it, or is refused before a job begins: its results would get other names."""
    write_multirun(tmp_path, "arch=a,b")
    for number, arch in enumerate("ab"):
        write_training(tmp_path / str(number), [0.5], overrides=(f"arch={arch}",), number=number)
    write_multirun(tmp_path / "new", *task, sweeper=sweeper)
    hydra = yaml.safe_load((tmp_path / "new" / "multirun.yaml").read_text())["hydra"]
    if not says:
        require_same_sweep(tmp_path, hydra, resume)
        return
    with pytest.raises(ConfigError, match=says):
        require_same_sweep(tmp_path, hydra, resume)


def test_a_folder_in_which_no_job_began_is_free(tmp_path):
    hydra = yaml.safe_load((write_multirun(tmp_path, "arch=a,b") / "multirun.yaml").read_text())
    require_same_sweep(tmp_path, hydra["hydra"], resume=False)


def test_a_job_is_called_what_it_ran_with(tmp_path):
    """Whatever the plan has become."""
    write_multirun(tmp_path, "arch=c")
    write_training(tmp_path / "0", [0.5], overrides=("arch=a", "resume=true"))
    (job,) = read_jobs(tmp_path)
    assert job.overrides == {"arch": "a"}
