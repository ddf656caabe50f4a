"""Configs composed by Hydra without a command line, and checked."""

from collections.abc import Iterable
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from flowlat.config.override_errors import COMPOSITION_ERRORS, in_one_line
from flowlat.config.renamed import with_new_names
from flowlat.config.schemas import SampleConfig, TrainConfig
from flowlat.config.sizes import check_sizes
from flowlat.config.validation import check
from flowlat.utils.conf import conf_dir
from flowlat.utils.errors import CheckpointError, ConfigError


def compose(overrides: Iterable[str] = (), config_name: str = "train") -> DictConfig:
    """The config that ``python train.py OVERRIDES`` runs with, without a command line.

    ``config_name="sample"``: that of sample.py.

    Raises:
        ConfigError: an override that does not compose, or a value that the schema refuses.
    """
    overrides = list(overrides)
    if config_name == "sample":
        refuse_theory(overrides)
    try:
        with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
            cfg = hydra.compose(config_name, overrides=overrides)
    except COMPOSITION_ERRORS as error:
        raise ConfigError(in_one_line(error, overrides)) from error
    if config_name == "train":
        refuse_lattice(overrides, cfg)
    validate(cfg, TrainConfig if config_name == "train" else SampleConfig)
    return cfg


def refuse_lattice(overrides: Iterable[str], cfg: DictConfig) -> None:
    """Raise ConfigError if ``lattice=NAME`` was typed, and another dimension has come of it.

    As of "family=phi4_2d lattice=3d": families and experiments say ``lattice.shape`` themselves.

    Args:
        overrides: what was typed.
        cfg: that was composed of it.
    """
    typed = _typed(overrides)
    name = typed.get("lattice", "").partition("=")[2]
    option = conf_dir() / "lattice" / f"{name}.yaml"
    if "lattice.shape" in typed or not option.exists():
        return
    d, shape = len(OmegaConf.load(option).shape), list(cfg.lattice.shape)
    if len(shape) != d:
        whose = " ".join(typed[key] for key in ("experiment", "family", "recipe") if key in typed)
        raise ConfigError(
            f"lattice={name} with {whose}: that has lattice.shape={shape}, d={len(shape)}, and "
            f"lattice={name} is d={d}"
        )


def _typed(overrides: Iterable[str]) -> dict[str, str]:
    """What was typed by its key, such as "action.lam" of "action.lam=5"."""
    return {override.lstrip("+~").partition("=")[0]: override for override in overrides}


def refuse_theory(overrides: Iterable[str]) -> None:
    """Raise ConfigError if a lattice or an action is typed beside a checkpoint, which has both.

    Unless it is that of a family, which has many.

    Args:
        overrides: what was typed, such as "action.lam=5".
    """
    typed = _typed(overrides)
    if typed.get("ckpt_path", "").partition("=")[2] in ("", "null"):
        return
    theory = {key for key in typed if key.partition(".")[0] in ("lattice", "action")}
    if theory and _holds_family(typed["ckpt_path"].partition("=")[2]):
        return
    for key, override in typed.items():
        if key.partition(".")[0] in ("lattice", "action"):
            raise ConfigError(
                f"{override} with {typed['ckpt_path']}: lattice and action are those of the "
                "checkpoint"
            )


def _holds_family(path: str) -> bool:
    """Whether there is a checkpoint of a family; one that cannot be read is refused elsewhere."""
    # here, not above: it builds on this module, and brings PyTorch
    from flowlat.config.checkpoint import is_family, read_checkpoint

    try:
        return is_family(read_checkpoint(path.strip("'\"")))
    except CheckpointError:
        return False


def validate(cfg: DictConfig, schema: type) -> dict[str, Any]:
    """The config as plain data, checked key by key; ConfigError on the first thing amiss."""
    try:
        content: Any = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        raise ConfigError(f"{error.full_key}: has to be given") from error
    except OmegaConfBaseException as error:
        raise ConfigError(str(error).splitlines()[0]) from error
    plain = with_new_names({str(k): value for k, value in content.items() if k != "hydra"})
    check(plain, schema)
    check_sizes(plain)
    return plain
