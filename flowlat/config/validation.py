"""Plain data against the signature that it will be passed to, checked by pydantic.

A group's schema is the constructor that its ``_target_`` names: its parameters are the keys, its
annotations the types. Nothing is converted: "3" and True are no integers; an integer is a number.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from functools import cache
from inspect import Parameter
from operator import getitem
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NoReturn, Union, get_args, get_origin, get_type_hints

import hydra
from pydantic import ConfigDict, Strict, TypeAdapter, ValidationError

from flowlat.utils.errors import ConfigError

#: hydra's own keywords of a node, which are no parameters
KEYWORDS = {"_target_", "_partial_", "_convert_", "_recursive_", "_args_"}
VARIADIC = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


def check(plain: dict[str, Any], schema: type) -> None:
    """Check keys and values of plain data against the schema and every ``_target_`` within.

    Raises:
        ConfigError: the first that is unknown, of the wrong type or out of range.
    """
    check_parameters(plain, schema, "")
    _check_nodes(plain, "")


def require_complete(plain: dict[str, Any], schema: Any, path: str = "") -> None:
    """Raise ConfigError if a field of a dataclass is missing, or one of those within."""
    for name, hint in get_type_hints(schema).items():
        if name not in plain:
            raise ConfigError(f"{path}{name}: missing")
        if is_dataclass(hint):
            require_complete(plain[name], hint, f"{path}{name}.")


def locate(target: Any, path: str = "") -> Any:
    """The class or function that a dotted name stands for; ConfigError if there is none."""
    try:
        return hydra.utils.get_object(target)
    except Exception as error:
        raise ConfigError(f"{path}_target_={target!r}: no such class or function") from error


def signature(target: Any, path: str = "") -> Mapping[str, Parameter]:
    """The parameters of a class or function; ConfigError if they are not known."""
    try:
        return inspect.signature(target).parameters
    except (TypeError, ValueError) as error:  # no callable; or one of C, without a signature
        raise ConfigError(f"{path}_target_={target!r}: cannot be configured") from error


def check_parameters(node: dict[str, Any], target: Any, path: str) -> None:
    """Check the keys and values of a node against the parameters of what it is passed to."""
    parameters = signature(target, path)
    hints, options = _options(target)
    open_ended = any(p.kind is Parameter.VAR_KEYWORD for p in parameters.values())
    for key, value in node.items():
        if key in options:
            _check_value(options[key], value, f"{path}{key}")
            if is_dataclass(hints.get(key)):
                check_parameters(value, hints[key], f"{path}{key}.")
        elif not (
            open_ended
            or key in KEYWORDS
            or (key in parameters and isinstance(value, dict) and "_target_" in value)
        ):
            known = ", ".join(options)
            raise ConfigError(f"{path}{key}={value!r}: no such option (known: {known})")


def _check_nodes(node: Any, path: str) -> None:
    """Check every node with a ``_target_`` against the signature it names."""
    if isinstance(node, dict) and "_target_" in node:
        check_parameters(node, locate(node["_target_"], path), path)
    children = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in children:
        if isinstance(value, dict | list):
            _check_nodes(value, f"{path}{key}.")


@cache
def _options(target: Any) -> tuple[dict[str, Any], dict[str, TypeAdapter]]:
    """The annotations of what is called, and a validator for each parameter of plain data."""
    function = target.__init__ if inspect.isclass(target) else target
    try:
        hints = get_type_hints(function, include_extras=True)
    except (NameError, TypeError):  # annotations of other packages may not resolve
        hints = {}
    options = {}
    for name, parameter in signature(target).items():
        hint = _plain(hints.get(name, Any))
        if hint is not NoReturn and parameter.kind not in VARIADIC:
            options[name] = TypeAdapter(hint, config=ConfigDict(strict=True))
    return hints, options


def _plain(hint: Any) -> Any:
    """What of an annotation can stand in a yaml; NoReturn if the program has to supply it."""
    origin, arguments = get_origin(hint), get_args(hint)
    if is_dataclass(hint):
        return dict
    if origin is Annotated:
        inner = _plain(arguments[0])
        return inner if inner is NoReturn else getitem(Annotated, (inner, *hint.__metadata__))
    if origin in (Union, UnionType):
        members = [m for m in map(_plain, arguments) if m is not NoReturn]
        return NoReturn if members in ([], [NoneType]) else getitem(Union, tuple(members))
    if origin in (list, dict, tuple, Sequence):
        items = tuple(a if a is ... else _plain(a) for a in arguments)
        if NoReturn in items:
            return NoReturn
        # a yaml has lists only: they are strict, tuples are not
        kind: Any = list if origin is Sequence else origin
        return getitem(Annotated, (kind[items], Strict(kind is not tuple)))
    known = (Any, int, float, bool, str, list, dict, Sequence, NoneType)
    return hint if hint in known or origin is Literal else NoReturn


def _check_value(option: TypeAdapter, value: Any, key: str) -> None:
    try:
        option.validate_python(value)
    except ValidationError as error:
        where, what = zip(*(_explain(e, value, key) for e in error.errors()), strict=True)
        # several at one place: the members of a union
        expected = dict.fromkeys(w for at, w in zip(where, what, strict=True) if at == where[0])
        raise ConfigError(f"{where[0]}: {' or '.join(expected)}") from error


def _explain(error: Any, value: Any, key: str) -> tuple[str, str]:
    """Where and what an error of pydantic is: ("lattice.shape.1=0", "must be ...")."""
    for part in error["loc"]:  # which also names members of unions
        inside = isinstance(value, dict) and part in value
        if inside or (isinstance(value, list) and part in range(len(value))):
            key, value = f"{key}.{part}", value[part]
    return f"{key}={value!r}", error["msg"].replace("Input should be", "must be")
