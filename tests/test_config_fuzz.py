"""Overrides at random over all of conf/: they build, or are refused in one line; nothing else.

The examples are the same every time. FLOWLAT_FUZZ=N tries N new ones of each kind.
"""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from flowlat import build_flow, compose
from flowlat.build import build_action, instantiate
from flowlat.config import SampleConfig, TrainConfig, validate
from flowlat.errors import USER_ERRORS
from flowlat.lattice import Lattice
from flowlat.measure import build_observables
from flowlat.schema import locate
from flowlat.theory import Theory, build_sampler
from tests.helpers import CONF, options

FUZZ = os.environ.get("FLOWLAT_FUZZ")
SETTINGS = settings(
    max_examples=int(FUZZ or 60),
    derandomize=FUZZ is None,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
#: what the tests of fit and of the loggers are about: they write, or need a device
LEFT_OUT = {"logger", "trainer", "experiment", "recipe", "hydra"}


def groups(config_name: str) -> list[str]:
    """The groups that a yaml chooses from."""
    defaults = OmegaConf.load(CONF / f"{config_name}.yaml").defaults
    names = [key for entry in defaults if entry != "_self_" for key in entry]
    return [name for name in names if name not in LEFT_OUT and " " not in name]


def keys(config_name: str, group: str, option: str) -> list[str]:
    """The dotted keys of an option."""
    node = OmegaConf.load(CONF / group / f"{option}.yaml")
    found = [str(key) for key in node if key not in ("_target_", "defaults")]
    return [f"{group}.{key}" for key in found]


def top(config_name: str) -> list[str]:
    node = OmegaConf.load(CONF / f"{config_name}.yaml")
    return [str(key) for key in node if key not in ("defaults", "hydra")]


INTEGERS = st.one_of(
    st.integers(-2, 9), st.sampled_from([0, -1, 16, 10**3, 10**9, 2**31, 2**63, -(10**12), 10**40])
)
NUMBERS = st.one_of(
    INTEGERS, st.floats(), st.floats(0, 1), st.sampled_from(["1e300", "1e-300", "-1e155"])
)
TEXTS = st.one_of(
    st.sampled_from(
        [
            *(
                "''",
                "null",
                "true",
                "???",
                "[]",
                "{}",
                "{a:1}",
                "{_target_:os.getcwd}",
                "é",
                "'\"'",
            ),
            *(
                "${action.m2}",
                "${nothing}",
                "${oc.env:HOME}",
                "'\\${nothing}'",
                "a b",
                "'a\nb'",
                "x",
            ),
            *("[[2,2],[2,2]]", "[null]", "[x]", "[[]]", "nan", "inf", "auto", "relu", "tanh", "-"),
        ]
    ),
    st.text(max_size=6),
)
LISTS = st.lists(st.one_of(st.sampled_from([1, 2, 4, 6, 7]), NUMBERS), max_size=4)
VALUES = st.one_of(NUMBERS, LISTS.map(lambda v: str(v).replace(" ", "").replace("'", "")), TEXTS)
PREFIXES = st.sampled_from(["", "", "", "", "", "+", "++", "~"])


@st.composite
def overrides(draw, config_name: str) -> list[str]:
    """A few groups chosen, a few values of what these have, and now and then a key of no sense."""
    found, known = [], top(config_name)
    for group in draw(st.lists(st.sampled_from(groups(config_name)), max_size=3, unique=True)):
        option = draw(st.sampled_from(options(group)))
        found.append(f"{group}={option}")
        known += keys(config_name, group, option)
    known += [f"{group}._target_" for group in groups(config_name)] + ["arch.n_couplings.x", "a.b"]
    for key in draw(st.lists(st.sampled_from(sorted(known)), min_size=1, max_size=3)):
        prefix, value = draw(PREFIXES), draw(VALUES)
        found.append(f"~{key}" if prefix == "~" else f"{prefix}{key}={value}")
    return found


def build_training(names: list[str]) -> None:
    config = validate(compose(names), TrainConfig)
    flow, optimizer = build_flow(config), instantiate(config, "optimizer")
    build_action(config)
    for group in ("objective", "scheduler"):
        instantiate(config, group)
    instantiate(config, "evaluation", seed=0)
    assert callable(optimizer)
    assert flow.lattice.volume > 0


def build_sampling(names: list[str]) -> None:
    config = validate(compose([*names], "sample"), SampleConfig)
    lattice, action = instantiate(config, "lattice"), build_action(config)
    build_observables(config)
    if config["ckpt_path"] is None and lattice.volume < 10**4:
        assert isinstance(lattice, Lattice)
        build_sampler(Theory(lattice, action, None, config, None))


def built_or_refused(build, names: list[str]) -> None:
    try:
        build(names)
    except USER_ERRORS as error:
        message = str(error)
        assert message.isprintable()
        assert 0 < len(message) < 2100


@SETTINGS
@given(names=overrides("train"))
def test_trainings(names):
    built_or_refused(build_training, names)


@SETTINGS
@given(names=overrides("sample"))
def test_samplings(names):
    built_or_refused(build_sampling, names)


@pytest.mark.parametrize("name", ["train", "sample"])
def test_the_strategies_reach_every_key(name):
    """Those of the options, and that each has a target that the schema knows."""
    for group in groups(name):
        for option in options(group):
            node = OmegaConf.load(Path(CONF) / group / f"{option}.yaml")
            if "_target_" in node:
                locate(node["_target_"])
    assert len(top(name)) > 5
