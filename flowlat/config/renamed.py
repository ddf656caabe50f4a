"""Names that have moved since a file was written: a checkpoint, an ensemble, a yaml."""

from typing import Any

#: what a ``_target_`` began with -> what it begins with now
MOVED = {
    "flowlat.callbacks.": "flowlat.training.callbacks.",
    "flowlat.loggers.": "flowlat.training.loggers.",
    "flowlat.schedulers.": "flowlat.training.schedulers.",
}


def with_new_names(config: Any, depth: int = 3) -> Any:
    """The same config with every ``_target_`` by the name that it has now.

    ``depth``: of the mappings, as in config.sampler.hmc. A file may hold what has no end.
    """
    if not isinstance(config, dict) or not depth:
        return config
    renamed = {key: with_new_names(value, depth - 1) for key, value in config.items()}
    target = renamed.get("_target_")
    for old, new in MOVED.items():
        if isinstance(target, str) and target.startswith(old):
            renamed["_target_"] = new + target.removeprefix(old)
    return renamed
