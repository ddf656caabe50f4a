"""Overrides at random over all of conf/: they build, or are refused in one line; nothing else.

A training is taken up to its first batch, a sampling to its sampler. The examples are the same
every time. FLOWLAT_FUZZ=N tries N new ones of each kind; FLOWLAT_FUZZ_SEED=N other ones.
"""

import inspect
import math
import os
import re
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from flowlat import compose
from flowlat.config.compose import validate
from flowlat.config.schemas import SampleConfig, TrainConfig
from flowlat.config.validation import KEYWORDS, locate
from flowlat.sampling import draw as drawing
from flowlat.training import fit as fitting
from flowlat.training import launch
from flowlat.training.data import PriorDataModule
from flowlat.utils.errors import USER_ERRORS
from tests.support.helpers import CONF, options
from tests.support.hostile_files import contents, save

FUZZ = os.environ.get("FLOWLAT_FUZZ")
SEED = os.environ.get("FLOWLAT_FUZZ_SEED")
SETTINGS = settings(
    max_examples=int(FUZZ or 60),
    derandomize=FUZZ is None,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
#: options of Hydra and not of a training; what a sweep is made of, which has tests of its own
LEFT_OUT = {"hydra", "hparams_search"}
#: numbers of a flow on a lattice of so many sites are built in no time
SITES = 10**4
#: groups of which one goes without
OPTIONAL = ("recipe", "experiment")
#: what pydantic says by itself, of its own types and of what it did to the input
RAW = r": (List|Tuple|String|Input|Field|Dictionary|Value error)\b|after validation"
#: a checkpoint in the folder of a test
FLOW = "flow.ckpt"


class Reached(Exception):
    """All of it was built: the first batch would be drawn now, or processes started."""


def groups(config_name: str) -> list[str]:
    """The groups that a yaml chooses from."""
    defaults = OmegaConf.load(CONF / f"{config_name}.yaml").defaults
    names = [key for entry in defaults if entry != "_self_" for key in entry]
    return [name for name in names if name not in LEFT_OUT and " " not in name]


def keys(group: str, option: str) -> dict[str, Any]:
    """The dotted keys of an option and their values: its own and those of what it names."""
    node = OmegaConf.load(CONF / group / f"{option}.yaml")
    if group in OPTIONAL:
        return dotted(node, "")
    # trainer=gpu is trainer=auto with a change
    below = [name for name in node.pop("defaults", []) if name in options(group)]
    return {k: v for name in below for k, v in keys(group, name).items()} | dotted(node, group)


def dotted(node: Any, path: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "_target_" in node:
        given = inspect.signature(locate(node._target_)).parameters
        found = {f"{path}.{p.name}": p.default for p in given.values()}
    for key in node:
        own = f"{path}.{key}".lstrip(".")
        if OmegaConf.is_dict(node._get_node(key)):
            found |= dotted(node[key], own)
        elif key not in (*KEYWORDS, "defaults"):
            found[own] = OmegaConf.to_container(node)[key]
    return found


def top(config_name: str) -> dict[str, Any]:
    """The keys beside the groups, and those below them."""
    node = OmegaConf.load(CONF / f"{config_name}.yaml")
    del node["defaults"], node["hydra"]
    whole = {key: None for key in node if OmegaConf.is_dict(node._get_node(key))}
    return dotted(node, "") | whole


INTEGERS = st.one_of(
    st.integers(-2, 9),
    st.sampled_from([0, -1, 16, 10**3, 10**9, 2**31, 2**63, -(10**12), 10**40, 10**400]),
)
NUMBERS = st.one_of(
    INTEGERS, st.floats(), st.floats(0, 1), st.sampled_from(["1e300", "1e-300", "-1e155"])
)
#: no file is named by accident
CHARACTERS = st.characters(exclude_characters="/\\~.$", exclude_categories=["Cs"])
TEXTS = st.one_of(
    st.sampled_from(
        [
            *("''", "null", "true", "???", "[]", "{}", "{a:1}", "{_target_:os.getcwd}", "é"),
            *("'\"'", "${action.m2}", "${nothing}", "${oc.env:HOME}", "'\\${nothing}'", "a b"),
            *("'a\nb'", "x", "[[2,2],[2,2]]", "[null]", "[x]", "[[]]", "nan", "inf", "auto"),
            *("relu", "tanh", "-", "9" * 5000, "cpu", "gpu", "cuda", "ddp", "norm", "value"),
            *("'0'", "'1'", "'-1'", "'1000000000'", "64-true", "bf16", "none", "simple", "epoch"),
        ]
    ),
    st.text(CHARACTERS, max_size=6),
)
LISTS = st.lists(st.one_of(st.sampled_from([1, 2, 4, 6, 7]), NUMBERS), max_size=4)
VALUES = st.one_of(NUMBERS, LISTS.map(lambda v: str(v).replace(" ", "").replace("'", "")), TEXTS)
PREFIXES = st.sampled_from(["", "+", "++", "++", "++", "++", "~"])


def values(like: Any) -> st.SearchStrategy:
    """What may be typed for an option whose value is ``like``: as often of its kind as not."""
    kinds = {
        bool: st.booleans(),
        int: st.integers(1, 9),
        float: st.floats(0, 1),
        list: st.lists(st.sampled_from([1, 2, 4, 6]), max_size=3),
    }
    return st.one_of(kinds.get(type(like), VALUES), VALUES)


@st.composite
def overrides(draw, config_name: str) -> list[str]:
    """A few groups chosen, a few values of what these have, and now and then a key of no sense."""
    found, known = [], top(config_name)
    for group in draw(st.lists(st.sampled_from(groups(config_name)), max_size=3, unique=True)):
        option = draw(st.sampled_from(options(group)))
        found.append(f"{group}={option}")
        known |= keys(group, option)
    if config_name == "sample":  # or nearly all would be refused for want of one
        needed = st.sampled_from([f"ckpt_path={FLOW}", "sampler=hmc", "sampler=annealed"])
        found.append(draw(needed))
    if draw(st.integers(0, 9)) == 0:
        nonsense = [f"{group}._target_" for group in groups(config_name)]
        known |= dict.fromkeys([*nonsense, "arch.n_couplings.x", "a.b"])
    for key in draw(st.lists(st.sampled_from(sorted(known)), max_size=3)):
        prefix, value = draw(PREFIXES), draw(values(known[key]))
        found.append(f"~{key}" if prefix == "~" else f"{prefix}{key}={value}".replace(", ", ","))
    return found


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Trainings stop at their first batch; they write here, start no process and no W&B run."""

    def reached(*_: Any, **__: Any) -> None:
        raise Reached

    monkeypatch.setattr(PriorDataModule, "on_after_batch_transfer", reached)
    monkeypatch.setattr(launch, "spawn_ranks", reached)
    monkeypatch.setattr(drawing, "advance", reached)
    monkeypatch.setattr(fitting, "provenance", dict)
    monkeypatch.setattr(torch, "set_num_threads", int)
    save(contents(), tmp_path / FLOW)
    monkeypatch.chdir(tmp_path)
    for name in ("WANDB_MODE", "CUBLAS_WORKSPACE_CONFIG"):
        monkeypatch.setenv(name, "disabled")
    yield tmp_path
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.benchmark = False


def volume(config: dict[str, Any]) -> int:
    shape = config["lattice"].get("shape", [])
    return math.prod(shape) if all(isinstance(side, int) for side in shape) else 0


def saving(names: list[str], folder: Path) -> list[str]:
    """What makes the loggers write here alone, and W&B not at all."""
    loggers = [name for name in ("tensorboard", "wandb") if f"logger={name}" in names]
    found = [f"++logger.{name}.save_dir={folder}" for name in loggers]
    return [*found, "++logger.wandb.mode=disabled"] if "wandb" in loggers else found


def build_training(names: list[str], folder: Path) -> None:
    config = validate(compose([*names, *saving(names, folder)]), TrainConfig)
    if volume(config) <= SITES:
        with pytest.raises(Reached):
            launch.train(config, folder)


def build_sampling(names: list[str], folder: Path) -> None:
    config = validate(compose(names, "sample"), SampleConfig)
    if volume(config) <= SITES:
        with pytest.raises(Reached):
            drawing.draw(config, folder)


def built_or_refused(build, names: list[str], folder: Path) -> None:
    try:
        build(names, folder)
    except USER_ERRORS as error:
        message = str(error)
        assert message.isprintable()
        assert 0 < len(message) < 2100
        assert not re.search(RAW, message)


def fuzz(name: str):
    """Overrides of train.yaml or sample.yaml, given to a test."""

    def decorate(test):
        decorated = SETTINGS(given(names=overrides(name))(test))
        return hypothesis.seed(int(SEED))(decorated) if SEED else decorated

    return decorate


@fuzz("train")
def test_trainings(names, folder):
    built_or_refused(build_training, names, folder)


@fuzz("sample")
def test_samplings(names, folder):
    built_or_refused(build_sampling, names, folder)


def test_the_strategies_reach_every_group_and_key():
    assert {"trainer", "logger", "recipe", "experiment", "arch"} <= set(groups("train"))
    assert set(groups("sample")) == {"lattice", "action", "sampler", "observables"}
    assert keys("trainer", "ddp")["trainer.devices"] == "auto"
    assert "trainer.max_time" in keys("trainer", "ddp")
    assert keys("recipe", "published")["data.batch_size"] == 64
    assert keys("logger", "wandb")["logger.wandb.offline"] is False
    assert {"threads", "divergence.lr_factor", "evaluation", "seed"} <= set(top("train"))
