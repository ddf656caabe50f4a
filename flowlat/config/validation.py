"""Plain data against the signature that it will be passed to.

A group's schema is the constructor that its ``_target_`` names: its parameters are the keys, its
annotations the types.
"""

import inspect
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

import hydra

from flowlat.utils.errors import ConfigError

#: hydra's own keywords of a node, which are no parameters
KEYWORDS = {"_target_", "_partial_", "_convert_", "_recursive_", "_args_"}


def check(plain: dict[str, Any], schema: type) -> None:
    """Check keys and types of plain data against the schema and every ``_target_`` within."""
    check_parameters(plain, schema, "")
    _check_nodes(plain, "")


def _check_nodes(node: Any, path: str) -> None:
    """Check every node with a ``_target_`` against the signature it names."""
    if isinstance(node, dict):
        if "_target_" in node:
            check_parameters(node, locate(node["_target_"], path), path)
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


def check_parameters(node: dict[str, Any], target: Any, path: str) -> None:
    """Check the keys and types of a node against the parameters of what it is passed to."""
    parameters = _signature(target, path)
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


def _signature(target: Any, path: str) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(target).parameters
    except (TypeError, ValueError) as error:  # no callable; or one of C, without a signature
        raise ConfigError(f"{path}_target_={target!r}: cannot be configured") from error


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
        # 10^400 is an integer, and no floating-point number
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and (isinstance(value, float) or abs(value) <= sys.float_info.max)
    if origin is dict or hasattr(origin, "__dataclass_fields__"):
        return isinstance(value, dict)
    if origin is tuple and arguments and arguments[-1] is not ...:
        return (
            isinstance(value, list)
            and len(value) == len(arguments)
            and all(accepts(a, item) for a, item in zip(arguments, value, strict=True))
        )
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
        elif (get_origin(member) or member) is dict or hasattr(member, "__dataclass_fields__"):
            names.append("a mapping")
        elif plain_type(member):
            inner = get_args(member)[:1]
            names.append(f"a list, each {describe(inner[0])}" if inner else "a list")
    return " or ".join(dict.fromkeys(names))
