"""Searches by optuna: what is refused before the first trial, and one that goes on another day."""

import copy
import re

import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from flowlat.runs.sweeps.search import require_sound_search
from flowlat.utils.conf import conf_dir
from flowlat.utils.errors import ConfigError

pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")

SEARCH = ("-m", "hparams_search=optuna", "lattice.shape=[4,4]", "trainer=cpu", "phase=symmetric")
#: a trial of a second
TINY = (
    *("trainer.max_epochs=1", "trainer.limit_train_batches=2"),
    *("evaluation.n_samples=64", "evaluation.batch_size=64"),
)


@pytest.fixture(scope="module")
def composed():
    """Hydra's own options of a search."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        names = ["hparams_search=optuna", "hydra.sweep.dir=sweep"]
        return compose("train", names, return_hydra_config=True).hydra


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("n_trials", 0, "n_trials=0: it must be 1 or more"),
        ("n_jobs", 0, "n_jobs=0: it must be 1 or more"),
        ("max_failure_rate", 1.5, "max_failure_rate=1.5: it must lie in [0, 1]"),
        ("direction", "up", "direction=up: up is neither maximize nor minimize"),
        ("direction", ["maximize", "minimize"], "direction=[maximize,minimize]: one direction, si"),
        ("params", {"seed": "interval(1"}, "params.seed=interval(1: no space to search (no viable"),
        ("params", {"seed": "glob(*)"}, "params.seed=glob(*): no space to search ("),
        ("params", {"seed": "tag(log,range(0,4))"}, ""),
        (
            "params",
            {"seed": "interval(3,1)"},
            "params.seed=interval(3,1): no space to sea",
        ),
        ("params", {"seed": "tag(log,interval(0,1))"}, "params.seed=tag(log,interval(0,1)): no sp"),
        ("storage", "nowhere", "storage=nowhere: Could not parse"),
        ("storage", "sqlite:///no/such.db", "storage=sqlite:///no/such.db: (sqlite3.Operational"),
        ("direction", "minimize", ""),
        ("direction", ["maximize"], ""),
        ("params", None, ""),
    ],
)
def test_what_cannot_be_searched(key, value, says, composed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hydra = copy.deepcopy(composed)
    OmegaConf.update(hydra.sweeper, key, value, merge=False)
    if not says:
        require_sound_search(hydra)
        return
    with pytest.raises(ConfigError, match=re.escape(f"hydra.sweeper.{says}")):
        require_sound_search(hydra)


def test_it_is_one_line_before_anything_is_written(command, tmp_path):
    done = command("train.py", *SEARCH, "hydra.sweep.dir=sweep", "optimizer.lr=interval(3,1)")
    assert done.returncode == 2
    assert done.stderr.startswith("error: optimizer.lr=interval(3,1): no space to search (")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "sweep" / "multirun.yaml").exists()


def test_a_search_goes_on_in_another_folder(command, tmp_path):
    """With the same storage and name; a trial that failed is one of the study."""
    import optuna

    url = "sqlite:///search.db"
    study = (f"hydra.sweeper.storage={url}", "hydra.sweeper.study_name=a")
    names = (*SEARCH, *TINY, *study, "hydra.sweeper.n_trials=1", "hydra.sweeper.sampler.seed=1")
    failed = command("train.py", *names, "data.batch_size=0", "hydra.sweep.dir=failed")
    assert failed.returncode == 1
    for folder in ("one", "two"):
        done = command("train.py", *names, f"hydra.sweep.dir={folder}")
        assert done.returncode == 0, done.stderr
    trials = optuna.load_study(study_name="a", storage=url).trials
    assert [trial.state.name for trial in trials] == ["FAIL", "COMPLETE", "COMPLETE"]
    assert set(trials[-1].params) == {"optimizer.lr", "arch.channels", "data.batch_size"}
    best = yaml.safe_load((tmp_path / "two" / "optimization_results.yaml").read_text())
    assert best["best_value"] == max(trial.value for trial in trials[1:])
