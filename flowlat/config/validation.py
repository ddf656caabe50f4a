"""Plain data against the signature that it will be passed to, checked by pydantic.

A group's schema is the constructor that its ``_target_`` names: its parameters are the keys, its
annotations the types. Nothing is converted: "3" and True are no integers; an integer is a number.
"""

import inspect
from collections.abc import Mapping, Sequence
from functools import cache
from inspect import Parameter
from operator import getitem
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import hydra
from pydantic import ConfigDict, Strict, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from flowlat.config.schemas import Node
from flowlat.utils.errors import ConfigError

#: hydra's own keywords of a node, which are no parameters
KEYWORDS = {"_target_", "_partial_", "_convert_", "_recursive_", "_args_"}
VARIADIC = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


def check(plain: dict[str, Any], schema: type) -> None:
    """Check keys and values of plain data against the schema and every ``_target_`` within.

    Raises:
        ConfigError: the first that is unknown, missing, of the wrong type or out of range.
    """
    _validate(plain, schema, "")
    check_nodes(plain)


def check_nodes(node: Any, path: str = "") -> None:
    """Check every node with a ``_target_`` against the signature it names; ConfigError as above."""
    if isinstance(node, dict) and "_target_" in node:
        check_parameters(node, locate(node["_target_"], path), path)
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        if isinstance(value, dict | list):
            check_nodes(value, f"{path}{key}.")


def check_parameters(node: dict[str, Any], target: Any, path: str) -> None:
    """Check the keys and values of a node against the parameters of what it is passed to."""
    options = {key: value for key, value in node.items() if key not in KEYWORDS}
    _validate(options, _options(target, path), path)


def locate(target: Any, path: str = "") -> Any:
    """The class or function that a dotted name stands for; ConfigError if there is none."""
    try:
        return hydra.utils.get_object(target)
    except Exception as error:
        raise ConfigError(
            f"{path}_target_={target!r}: no such class or function{_why(error)}"
        ) from error


def _why(error: Exception) -> str:
    """Of a module that is there and cannot be imported, what it raised."""
    cause = error.__cause__
    if cause is None or isinstance(cause, ModuleNotFoundError | AttributeError):
        return ""
    return f" that can be imported ({type(cause).__name__}: {cause})"


def signature(target: Any, path: str = "") -> Mapping[str, Parameter]:
    """The parameters of a class or function; ConfigError if they are not known."""
    try:
        return inspect.signature(target).parameters
    except (TypeError, ValueError) as error:  # no callable; or one of C, without a signature
        raise ConfigError(f"{path}_target_={target!r}: cannot be configured") from error


@cache
def _options(target: Any, path: str) -> Any:
    """What can stand in a yaml for the parameters of a class or function."""
    parameters = signature(target, path)
    try:
        function = target.__init__ if inspect.isclass(target) else target
        hints = get_type_hints(function, include_extras=True)
    except (NameError, TypeError):  # annotations of other packages may not resolve
        hints = {}
    names = [name for name, p in parameters.items() if p.kind not in VARIADIC]
    open_ended = any(p.kind is Parameter.VAR_KEYWORD for p in parameters.values())
    config = ConfigDict(strict=True, extra="allow" if open_ended else "forbid")
    types = {name: _plain(hints.get(name, Any)) for name in names}
    return with_config(config)(TypedDict("Options", types, total=False))  # type: ignore[operator]


def _plain(hint: Any) -> Any:
    """What of an annotation can stand in a yaml: for any other object, the node that makes it."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return getitem(Annotated, (_plain(arguments[0]), *hint.__metadata__))
    if origin in (Union, UnionType):
        return getitem(Union, tuple(map(_plain, arguments)))
    if origin in (list, dict, tuple, Sequence):
        items = tuple(a if a is ... else _plain(a) for a in arguments)
        if Node in items:
            return Node
        # a yaml has lists only: they are strict, tuples are not
        kind: Any = list if origin is Sequence else origin
        return getitem(Annotated, (kind[items], Strict(kind is not tuple)))
    known = (Any, int, float, bool, str, list, dict, Sequence, NoneType)
    return hint if hint in known or origin is Literal else Node


_adapter = cache(TypeAdapter)


def _validate(plain: dict[str, Any], schema: Any, path: str) -> None:
    try:
        _adapter(schema).validate_python(plain)
    except ValidationError as error:
        errors = [_explain(one, plain, schema, path) for one in error.errors()]
        where = errors[0][0]
        # several at one place: the members of a union
        what = dict.fromkeys(message for place, message in errors if place == where)
        raise ConfigError(f"{where}: {' or '.join(what)}") from error


def _explain(error: Any, value: Any, schema: Any, path: str) -> tuple[str, str]:
    """Where and what an error of pydantic is: ("lattice.shape.1=0", "must be ...")."""
    keys = []
    for part in error["loc"]:  # which also names members of unions
        inside = isinstance(value, dict) and part in value
        if inside or (isinstance(value, list) and part in range(len(value))):
            value = value[part]
            keys.append(str(part))
    where = f"{path}{'.'.join(keys)}"
    if error["type"] == "missing" and isinstance(value, dict):
        return f"{path}{'.'.join([*keys, str(error['loc'][-1])])}", "missing"
    if error["loc"][-1] == "[key]":  # the only pattern that there is: see Name
        return where, "a name has letters, digits and _ alone"
    if error["type"] == "extra_forbidden":
        for key in keys[:-1]:
            schema = schema.__annotations__[key]
        return f"{where}={value!r}", f"no such option (known: {', '.join(schema.__annotations__)})"
    return f"{where}={value!r}", _must_be(error, value)


def _must_be(error: Any, value: Any) -> str:
    """What is wrong with a value, in words that hold of what is in a yaml."""
    bound, n = "least", 0
    match error["type"]:
        case "too_short":
            n = error["ctx"]["min_length"]
        case "too_long":
            bound, n = "most", error["ctx"]["max_length"]
        case "missing":  # the next item of a tuple
            n = error["loc"][-1] + 1
    if n:
        return f"must have at {bound} {n} item{'s' * (n != 1)}, not {len(value)}"
    message: str = error["msg"].replace("Input should be", "must be")
    return message.replace("a valid dictionary", "a mapping").replace("a valid tuple", "a list")
