"""What a config that was read from a file may name: only what flowlat itself defines."""

import inspect
import re
from typing import Any

from flowlat.config import locate
from flowlat.errors import ConfigError


def check_node(node: Any, package: str, path: str) -> None:
    """Raise ConfigError unless ``node`` is plain data with a ``_target_`` within ``package``."""
    if not isinstance(node, dict) or "_target_" not in node:
        raise ConfigError(f"{path}={node!r}: must be a mapping with a _target_")
    for key, value in node.items():
        _check_plain(value, f"{path}.{key}")
    _check_target(node["_target_"], package, path)


def _check_target(target: Any, package: str, path: str) -> None:
    """Only a class or function defined in the package itself: no way through what it imports."""
    name = rf"{re.escape(package)}(\.\w+){{1,2}}"
    if isinstance(target, str) and re.fullmatch(name, target):
        found = locate(target, f"{path}.")
        home = getattr(found, "__module__", "")
        ours = home == package or home.startswith(f"{package}.")
        if ours and (inspect.isclass(found) or inspect.isfunction(found)):
            return
    raise ConfigError(f"{path}._target_={target!r}: not allowed in a file")


def _check_plain(node: Any, path: str) -> None:
    """Numbers, texts and lists of them: nothing to instantiate below a group."""
    if isinstance(node, dict):
        raise ConfigError(f"{path}={node!r}: not allowed in a file")
    if isinstance(node, list):
        for item in node:
            _check_plain(item, path)
