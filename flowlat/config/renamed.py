"""Names that have moved since a file was written: a checkpoint, an ensemble, a yaml."""

from typing import Any

#: what a ``_target_`` began with -> what it begins with now
MOVED = {
    "flowlat.callbacks.": "flowlat.training.callbacks.",
    "flowlat.loggers.": "flowlat.training.loggers.",
    "flowlat.schedulers.": "flowlat.training.schedulers.",
}


def with_new_names(node: Any) -> Any:
    """The same plain data with every ``_target_`` by the name that it has now."""
    if isinstance(node, list):
        return [with_new_names(item) for item in node]
    if not isinstance(node, dict):
        return node
    found = {key: with_new_names(value) for key, value in node.items()}
    target = found.get("_target_")
    for old, new in MOVED.items():
        if isinstance(target, str) and target.startswith(old):
            found["_target_"] = new + target.removeprefix(old)
    return found
