"""What a config may hold: composed by Hydra, checked against the signatures it will be passed to.

A group's schema is the constructor that its ``_target_`` names: its parameters are the keys, its
annotations the types. The top level is a dataclass.
"""

import inspect
import re
import types
import typing
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from flowlat.errors import ConfigError

#: hydra's own keywords of a node, which are no parameters
KEYWORDS = {"_target_", "_partial_", "_convert_", "_recursive_", "_args_"}


@dataclass
class DataConfig:
    """batch_size: configurations a training step, over all ranks."""

    batch_size: int

    def __post_init__(self) -> None:
        require_positive("batch_size", self.batch_size)


#: the groups of a training that name what they build
TARGETS = (
    *("lattice", "action", "prior", "arch", "objective"),
    *("optimizer", "scheduler", "evaluation", "trainer"),
)


@dataclass
class TrainConfig:
    """conf/train.yaml."""

    lattice: dict[str, Any]
    action: dict[str, Any]
    prior: dict[str, Any]
    arch: dict[str, Any]
    symmetrize: bool
    objective: dict[str, Any]
    optimizer: dict[str, Any]
    scheduler: dict[str, Any]
    ema_decay: float | None
    data: DataConfig
    evaluation: dict[str, Any]
    trainer: dict[str, Any]
    logger: dict[str, Any] | None
    seed: int
    threads: int | None
    cuda_graphs: bool | None
    ckpt_path: str | None
    init_from: str | None

    def __post_init__(self) -> None:
        for name in TARGETS:
            require_target(name, getattr(self, name))
        require_seed(self.seed)
        if self.threads is not None:
            require_positive("threads", self.threads)
        if self.ema_decay is not None and not 0 < self.ema_decay < 1:
            raise ValueError(f"ema_decay={self.ema_decay}: must be between 0 and 1")
        if self.ckpt_path and self.init_from:
            raise ValueError(
                f"init_from={self.init_from} with ckpt_path={self.ckpt_path}: "
                "start from weights or resume a run, not both"
            )


@dataclass
class SampleConfig:
    """conf/sample.yaml."""

    lattice: dict[str, Any]
    action: dict[str, Any]
    sampler: dict[str, Any]
    observables: dict[str, Any]
    ckpt_path: str | None
    n_samples: int
    resume: bool
    batch_size: int
    save_configs: bool
    precision: Literal[32, 64] | None
    device: str
    seed: int
    threads: int | None

    def __post_init__(self) -> None:
        for name in ("lattice", "action", "sampler"):
            require_target(name, getattr(self, name))
        for name, node in self.observables.items():
            require_target(f"observables.{name}", node)
            if not re.fullmatch(r"\w+", name):
                raise ValueError(f"observables.{name}: a name of letters, digits and _ only")
        flow = inspect.signature(locate(self.sampler["_target_"])).parameters.get("flow")
        if flow and flow.default is flow.empty and self.ckpt_path is None:
            name = sampler_name(self.sampler)
            raise ValueError(f"ckpt_path=null: sampler={name} needs a trained flow")
        require_positive("n_samples", self.n_samples)
        require_positive("batch_size", self.batch_size)
        require_seed(self.seed)
        if self.threads is not None:
            require_positive("threads", self.threads)


def sampler_name(node: dict[str, Any]) -> str:
    """What a sampler is called: its class, as one types it."""
    return node["_target_"].rpartition(".")[2].lower()


def refuse_theory(overrides: Iterable[str]) -> None:
    """Raise ConfigError if a lattice or an action is typed beside a checkpoint, which has both.

    Args:
        overrides: what was typed, such as "action.lam=5".
    """
    typed = {override.lstrip("+~").partition("=")[0]: override for override in overrides}
    if typed.get("ckpt_path", "").partition("=")[2] in ("", "null"):
        return
    for key, override in typed.items():
        if key.partition(".")[0] in ("lattice", "action"):
            raise ConfigError(
                f"{override} with {typed['ckpt_path']}: lattice and action are those of the "
                "checkpoint"
            )


def require_positive(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name}={value}: must be at least 1")


def require_seed(seed: int) -> None:
    if not 0 <= seed < 2**63:
        raise ValueError(f"seed={seed}: must lie between 0 and 2^63 - 1")


def require_target(name: str, node: Any) -> None:
    if not isinstance(node, dict) or "_target_" not in node:
        raise ValueError(f"{name}={node!r}: must be a mapping with a _target_")


def conf_dir() -> Path:
    """The folder of the yaml files: inside an installed package, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


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
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(" ".join(str(error).split())) from error
    except ValueError as error:  # Hydra's own, of an override such as arch=null
        raise ConfigError(f"{' '.join(overrides)}: {error}") from error
    validate(cfg, TrainConfig if config_name == "train" else SampleConfig)
    return cfg


def validate(cfg: DictConfig, schema: type) -> dict[str, Any]:
    """The config as plain data, checked key by key; ConfigError on the first thing amiss."""
    try:
        content: Any = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(str(error).splitlines()[0]) from error
    plain = {str(key): value for key, value in content.items() if key != "hydra"}
    check(plain, schema)
    parts = {key: _as_dataclass(value, schema, key) for key, value in plain.items()}
    _construct(schema, parts, "")
    return plain


def check(plain: dict[str, Any], schema: type) -> None:
    """Check keys and types of plain data against the schema and every ``_target_`` within."""
    _check_parameters(plain, schema, "")
    _check_nodes(plain, "")


def _as_dataclass(value: Any, schema: type, key: str) -> Any:
    hint = typing.get_type_hints(schema)[key]
    if isinstance(value, dict) and hasattr(hint, "__dataclass_fields__"):
        _check_parameters(value, hint, f"{key}.")
        return _construct(hint, value, f"{key}.")
    return value


def _construct(schema: type, values: dict[str, Any], path: str) -> Any:
    missing = {field.name for field in fields(schema)} - values.keys()
    if missing:
        raise ConfigError(f"{path}{min(missing)}: missing")
    try:
        return schema(**values)
    except ValueError as error:
        raise ConfigError(f"{path}{error}") from error


def _check_nodes(node: Any, path: str) -> None:
    """Check every node with a ``_target_`` against the signature it names."""
    if isinstance(node, dict):
        if "_target_" in node:
            _check_parameters(node, locate(node["_target_"], path), path)
        for key, value in node.items():
            _check_nodes(value, f"{path}{key}.")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            _check_nodes(value, f"{path}{index}.")


def locate(target: Any, path: str = "") -> Any:
    """The class or function that a dotted name stands for; ConfigError if there is none."""
    try:
        return hydra.utils.get_object(target)
    except Exception as error:
        raise ConfigError(f"{path}_target_={target!r}: no such class or function") from error


def _check_parameters(node: dict[str, Any], target: Any, path: str) -> None:
    parameters = inspect.signature(target).parameters
    hints = _type_hints(target)
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for key, value in node.items():
        if key in KEYWORDS:
            continue
        nested = isinstance(value, dict) and "_target_" in value
        if key in parameters and (nested or configurable(parameters[key], hints)):
            if not accepts(hints.get(key, Any), value):
                expected = describe(hints[key])
                raise ConfigError(f"{path}{key}={value!r}: expected {expected}")
        elif not open_ended:
            known = ", ".join(name for name, p in parameters.items() if configurable(p, hints))
            raise ConfigError(f"{path}{key}={value!r}: no such option (known: {known})")


def _type_hints(target: Any) -> dict[str, Any]:
    function = target.__init__ if inspect.isclass(target) else target
    try:
        return typing.get_type_hints(function)
    except (NameError, TypeError):  # annotations of other packages may not resolve
        return {}


def configurable(parameter: inspect.Parameter, hints: dict[str, Any]) -> bool:
    """Whether a parameter can be given in a config, rather than by the program."""
    hint = hints.get(parameter.name, Any)
    return hint is Any or any(
        plain_type(member) or hasattr(member, "__dataclass_fields__") for member in members(hint)
    )


def members(hint: Any) -> tuple[Any, ...]:
    """The alternatives of a union; the type itself if it is none."""
    if get_origin(hint) in (typing.Union, types.UnionType):
        return get_args(hint)
    return (hint,)


def plain_type(hint: Any) -> bool:
    origin = get_origin(hint) or hint
    return origin in (int, float, bool, str, dict, list, tuple, Sequence, Literal) or (
        isinstance(origin, type) and issubclass(origin, Sequence)
    )


def accepts(hint: Any, value: Any) -> bool:
    """Whether a value of a config fits an annotation; annotations of other things accept all."""
    if hint is Any:
        return True
    alternatives = members(hint)
    if len(alternatives) > 1:
        known = [m for m in alternatives if plain_type(m) or m is type(None)]
        return any(accepts(m, value) for m in known) if known else True
    origin, arguments = get_origin(hint) or hint, get_args(hint)
    if origin is Literal:
        return value in arguments
    if origin is type(None):
        return value is None
    if origin is bool or origin is str:
        return isinstance(value, origin)
    if origin is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if origin is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if origin is dict or hasattr(origin, "__dataclass_fields__"):
        return isinstance(value, dict)
    if origin is tuple and arguments and arguments[-1] is not ...:
        return isinstance(value, list) and len(value) == len(arguments)
    if plain_type(hint):
        return isinstance(value, list) and all(
            accepts(arguments[0] if arguments else Any, item) for item in value
        )
    return True


def describe(hint: Any) -> str:
    """An annotation in words."""
    words = {int: "an integer", float: "a number", bool: "true or false", str: "a text"}
    names = []
    for member in members(hint):
        if get_origin(member) is Literal:
            names += [str(value) for value in get_args(member)]
        elif member is type(None):
            names.append("null")
        elif member in words:
            names.append(words[member])
        elif get_origin(member) is tuple and get_args(member)[-1] is not ...:
            names.append(f"a list of {len(get_args(member))}")
        elif member is dict or get_origin(member) is dict:
            names.append("a mapping")
        elif plain_type(member):
            inner = get_args(member)[:1]
            names.append(f"a list, each {describe(inner[0])}" if inner else "a list")
    return " or ".join(dict.fromkeys(names))
