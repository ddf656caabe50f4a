"""What is asked of a search (``hparams_search=optuna``) before its first trial.

The sweeper itself would end in the middle, in an assertion that names no key, or with ``n_jobs=0``
not at all.
"""

from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, ListConfig

from flowlat.utils.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: the end of the name of the class of Hydra's own plugin
SWEEPER = ".OptunaSweeper"


def given(hydra: "Mapping[str, Any]") -> list[str]:
    """``KEY=VALUE`` of all that a sweeper is to vary or to set; what is typed is the last word.

    Args:
        hydra: Hydra's own options of the multirun.
    """
    params = hydra["sweeper"].get("params") or {}
    return [*(f"{key}={value}" for key, value in params.items()), *hydra["overrides"]["task"]]


def require_sound_search(hydra: DictConfig) -> None:
    """Refuse a search that could not begin, or would not end; another sweep is none of its matters.

    Args:
        hydra: Hydra's own options of the multirun.

    Raises:
        ConfigError: a number of ``hydra.sweeper`` out of its range, an unknown direction, a space
            that cannot be searched, a storage that cannot be opened.
    """
    sweeper = hydra.sweeper
    if not sweeper._target_.endswith(SWEEPER):
        return
    for name in ("n_trials", "n_jobs"):
        if sweeper[name] < 1:
            raise ConfigError(f"hydra.sweeper.{name}={sweeper[name]}: it must be 1 or more")
    if not 0 <= sweeper.max_failure_rate <= 1:
        raise ConfigError(
            f"hydra.sweeper.max_failure_rate={sweeper.max_failure_rate}: it must lie in [0, 1]"
        )
    _require_direction(sweeper.direction)
    _require_spaces(hydra)
    if isinstance(sweeper.storage, str):
        _require_storage(sweeper.storage)


def _require_direction(direction: Any) -> None:
    several = isinstance(direction, ListConfig)
    # the sweeper's own default is an enum
    names = [str(getattr(item, "name", item)) for item in (direction if several else [direction])]
    text = ",".join(names)
    said = f"hydra.sweeper.direction={f'[{text}]' if several else text}"
    if unknown := [name for name in names if name not in ("maximize", "minimize")]:
        raise ConfigError(f"{said}: {unknown[0]} is neither maximize nor minimize")
    if len(names) != 1:
        raise ConfigError(f"{said}: one direction, since a training returns one number, its ESS")


def _require_spaces(hydra: DictConfig) -> None:
    # here, not above: it imports optuna, which only a search needs
    from hydra_plugins.hydra_optuna_sweeper._impl import create_optuna_distribution_from_override

    typed, parser = set(hydra.overrides.task), OverridesParser.create()
    for text in given(hydra):
        try:
            (override,) = parser.parse_overrides([text])
            if not override.is_delete():
                create_optuna_distribution_from_override(override)
        except Exception as error:  # of Hydra's parser, of the sweeper or of optuna
            where = "" if text in typed else "hydra.sweeper.params."
            reason = " ".join(str(error).partition("See https:")[0].split()).rstrip(".")
            raise ConfigError(f"{where}{text}: no space to search ({reason})") from error


def _require_storage(url: str) -> None:
    from optuna.storages import get_storage

    try:
        get_storage(url)
    except Exception as error:  # of optuna, of SQLAlchemy or of a driver
        reason = " ".join(str(error).splitlines()[0].split()) if str(error) else ""
        raise ConfigError(
            f"hydra.sweeper.storage={url}: {reason or type(error).__name__}"
        ) from error
