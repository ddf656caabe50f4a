"""Classes of a user: what a file may name, and when it is refused."""

import sys

import pytest

from flowlat import compose
from flowlat.actions import Action
from flowlat.config import trust
from flowlat.config.compose import validate
from flowlat.config.plugins import plugins
from flowlat.config.schemas import TrainConfig
from flowlat.config.trust import check_node
from flowlat.training.launch import train
from flowlat.utils.errors import ConfigError
from tests.support.helpers import build_everything

SOURCE = """
from flowlat.actions import Phi4
import os


class Quartic(Phi4):
    '''Of a user's own.'''
"""
NODE = {"_target_": "mylib.Quartic", "m2": 1.0, "lam": 1.0}
OPTIONS = ["action._target_=mylib.Quartic", "lattice.shape=[4,4]", "trainer=cpu"]


@pytest.fixture
def mylib(tmp_path, monkeypatch):
    """A module in the path; call the fixture to install it as a plugin."""
    (tmp_path / "mylib.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    plugins.cache_clear()

    def install():
        info = tmp_path / "mylib-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mylib\nVersion: 1\n")
        (info / "entry_points.txt").write_text("[flowlat.plugins]\nmylib = mylib\n")
        plugins.cache_clear()

    yield install
    plugins.cache_clear()
    sys.modules.pop("mylib", None)


def test_a_file_makes_no_foreign_module_be_imported(mylib):
    with pytest.raises(ConfigError, match=r"action\._target_='mylib\.Quartic'.*flowlat\.plugins"):
        check_node(NODE, "flowlat.actions", Action, "action")
    assert "mylib" not in sys.modules


def test_of_an_installed_plugin_what_it_defines(mylib):
    mylib()
    assert plugins() == ("mylib",)
    check_node(NODE, "flowlat.actions", Action, "action")
    for other in ("mylib.Phi4", "mylib.os", "mylib.os.system", "mylib.none", "mylibrary.Quartic"):
        with pytest.raises(ConfigError):
            check_node({"_target_": other}, "flowlat.actions", Action, "action")


def test_a_training_is_refused_at_the_start(mylib, tmp_path):
    """And not when the checkpoint is read again that it has written."""
    config = validate(compose(OPTIONS), TrainConfig)
    with pytest.raises(ConfigError, match=r"^action\._target_='mylib\.Quartic': not allowed"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("options", [[], ["action.m2=1", "+action._convert_=all"]])
def test_so_is_all_that_a_checkpoint_cannot_have(options, mylib, tmp_path):
    config = validate(compose([*OPTIONS, *options]), TrainConfig)
    if options:
        config["action"]["_target_"] = "flowlat.actions.Phi4"
    with pytest.raises(ConfigError, match="not allowed in a file"):
        train(config, tmp_path / "run")


def test_a_plugin_is_built(mylib, tmp_path):
    mylib()
    module = build_everything(OPTIONS, tmp_path)
    assert type(module.action).__name__ == "Quartic"
    assert trust.plugins() == ("mylib",)


def test_a_module_that_cannot_be_imported_says_why(mylib, tmp_path):
    (tmp_path / "broken.py").write_text("raise TypeError('states no convention')\n")
    with pytest.raises(ConfigError, match=r"broken\.A.*TypeError: states no convention"):
        compose(["action._target_=broken.A"])
