"""What a config from a file may name: what flowlat itself or an installed plugin defines."""

import inspect
import re
import typing
from pathlib import Path
from reprlib import repr as brief
from typing import Any

from flowlat.config.build import CONTRACTS, FLOW_GROUPS
from flowlat.config.plugins import GROUP, plugins
from flowlat.config.sizes import check_sizes
from flowlat.config.validation import check_nodes, locate
from flowlat.utils.errors import ConfigError

#: entries of a list, and lists within lists
LONGEST_LIST, DEEPEST_LIST = 1000, 2
#: names below a package in a _target_, modules and the class: of ours, and of a plugin
DEEPEST_NAME, DEEPEST_PLUGIN = 2, 4


def check_flow_config(config: Any, path: str = "config.") -> None:
    """Raise ConfigError unless what a flow or a family is built from may stand in a file.

    Args:
        path: what stands before the name of a group in the errors.
    """
    if not isinstance(config, dict):
        raise ConfigError("config: not a mapping")
    groups = {group: config.get(group) for group in FLOW_GROUPS}
    if config.get("family") is not None:
        groups["family"] = config["family"]
    for group, (contract, package) in CONTRACTS.items():
        if group == "family" and group not in groups:
            continue
        check_node(groups[group], package, contract, f"{path}{group}")
    if not isinstance(groups["symmetrize"], bool):
        raise ConfigError(f"{path}symmetrize={brief(groups['symmetrize'])}: must be a boolean")
    check_nodes(groups)
    check_sizes(groups)


def check_paths(state: Any, depth: int = 4) -> None:
    """Refuse a callback's path to elsewhere: a resumed run removes the checkpoints it replaces."""
    if isinstance(state, dict) and depth:
        for node in (*state.keys(), *state.values()):
            check_paths(node, depth - 1)
    elif isinstance(state, str):
        if ".." in Path(state).parts or "::" in state or "://" in state:
            raise ConfigError(f"callbacks: the path {state!r} is not allowed in a file")
    elif isinstance(state, dict | list | tuple):
        raise ConfigError("callbacks: not allowed in a file")


def check_node(node: Any, package: str, contract: type, path: str) -> None:
    """Raise ConfigError unless ``node`` is plain data and its ``_target_`` builds a ``contract``.

    That is a class or function which ``package``, or an installed plugin, itself defines at the top
    of a module: no private names, no methods, nothing through what it imports. It is not looked for
    before the rest is known to be numbers, texts without interpolations, and lists of them.
    """
    if not isinstance(node, dict) or "_target_" not in node:
        raise ConfigError(f"{path}={brief(node)}: must be a mapping with a _target_")
    for key, value in node.items():
        # of hydra's keywords only _target_
        if not isinstance(key, str) or not re.fullmatch(r"_target_|[a-zA-Z]\w*", key):
            raise ConfigError(f"{path}: {brief(key)} is not allowed in a file")
        _check_plain(value, f"{path}.{key}", DEEPEST_LIST)
    homes = {package: DEEPEST_NAME} | dict.fromkeys(plugins(), DEEPEST_PLUGIN)
    if not any(_builds(node["_target_"], *home, contract, path) for home in homes.items()):
        raise ConfigError(
            f"{path}._target_={brief(node['_target_'])}: not allowed in a file: no "
            f"{contract.__name__} that {package} or an installed plugin defines (entry point "
            f"{GROUP}, see docs/howto/extend.md)"
        )


def _builds(target: Any, package: str, depth: int, contract: type, path: str) -> bool:
    """Whether it names a class or a function of the package that makes an instance."""
    name = rf"{re.escape(package)}(\.[a-zA-Z]\w*){{1,{depth}}}"
    if not isinstance(target, str) or not re.fullmatch(name, target, re.ASCII):
        return False
    named = locate(target, f"{path}.")
    if not f"{getattr(named, '__module__', '')}.".startswith(f"{package}."):
        return False
    made = typing.get_type_hints(named).get("return") if inspect.isfunction(named) else named
    concrete = made is not named or not inspect.isabstract(made)
    ours = inspect.isclass(made) and issubclass(made, contract)
    return ours and concrete and "." not in named.__qualname__


def _check_plain(value: Any, path: str, depth: int) -> None:
    """Numbers, texts and lists of them: nothing to instantiate below a group."""
    if isinstance(value, list) and depth and len(value) <= LONGEST_LIST:
        for item in value:
            _check_plain(item, path, depth - 1)
    elif not (value is None or type(value) in (bool, int, float, str)) or (
        isinstance(value, str) and ("${" in value or value == "???")
    ):
        raise ConfigError(f"{path}={brief(value)}: not allowed in a file")
