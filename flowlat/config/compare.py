"""Where two configs differ."""

from collections.abc import Mapping
from typing import Any


def differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Dotted key -> (value in a, value in b), for every key whose values differ.

    Mappings within mappings are compared key by key. A key that is missing counts as None. The
    keys are in the order of ``a``, then of ``b``.
    """
    flat_a, flat_b = flatten(a), flatten(b)
    pairs = {key: (flat_a.get(key), flat_b.get(key)) for key in flat_a | flat_b}
    return {key: (before, now) for key, (before, now) in pairs.items() if before != now}


def flatten(node: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Dotted key -> value, of mappings within mappings; an empty mapping has no keys."""
    flat: dict[str, Any] = {}
    for key, value in node.items():
        nested = isinstance(value, Mapping)
        flat |= flatten(value, f"{path}{key}.") if nested else {f"{path}{key}": value}
    return flat
