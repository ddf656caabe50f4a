"""What a run folder has in it, and the record of how it came about, written when a run begins.

Hydra would write ``.hydra`` before anything is checked, so that a refused command would leave its
own options beside the results of another one. Here a run writes it when all checks are done.
"""

import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from flowlat.runs.folder.lock import LOCK
from flowlat.utils.errors import ConfigError
from flowlat.utils.files import replacing
from flowlat.utils.formatting import typed

#: why a job of a multirun failed: a line, and perhaps a traceback
ERROR_FILE = "error.txt"
#: what only a run of each kind leaves, in the order in which it is looked for
RESULTS = {
    "training": ("checkpoints/*.ckpt", "metrics.csv"),
    "ensemble": ("ensemble.h5", "parts/*.h5", "parts/*.npz"),
    "scan": ("index.json", "scan.csv"),
    "result": ("summary.json", "training.png"),
}


@dataclass(frozen=True)
class Record:
    """How a run came about, as texts, so that any of its processes can write it.

    folder: of the run.
    option: the folder as it is typed to go on with the run, or the sweep of which it is a job.
    files: name in ``.hydra`` -> content; none of a run without a command line.
    """

    folder: Path
    option: str
    files: Mapping[str, str] = field(default_factory=dict)

    def begin(self) -> None:
        """Write the record, when nothing is left that may refuse the run."""
        (self.folder / ERROR_FILE).unlink(missing_ok=True)
        for name, content in self.files.items():
            path = self.folder / ".hydra" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path, sync=False) as partial:
                partial.write_text(content)


def record_of(cfg: DictConfig) -> Record:
    """The record of the run that Hydra has started in this process."""
    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    sweep = hydra.mode == RunMode.MULTIRUN
    option = typed("hydra.sweep.dir", hydra.sweep.dir) if sweep else typed("hydra.run.dir", folder)
    files = {
        "config.yaml": OmegaConf.to_yaml(cfg),
        "hydra.yaml": OmegaConf.to_yaml(OmegaConf.create({"hydra": hydra})),
        "overrides.yaml": OmegaConf.to_yaml(hydra.overrides.task),
    }
    return Record(folder, option, files)


def record_without_hydra(folder: Path) -> Record:
    """Of a run that Python started: its folder."""
    return Record(folder, typed("hydra.run.dir", folder))


def stamp(folder: Path) -> int | None:
    """Another number after each :meth:`Record.begin`; None before the first."""
    path = folder / ".hydra" / "hydra.yaml"
    return path.stat().st_mtime_ns if path.exists() else None


def results(folder: Path) -> dict[str, list[Path]]:
    """Kind -> what a run of it left in the folder."""
    found = {
        kind: sorted(path for pattern in patterns for path in folder.glob(pattern))
        for kind, patterns in RESULTS.items()
    }
    return {kind: paths for kind, paths in found.items() if paths}


def require_free(folder: Path, kind: str, resume: bool) -> None:
    """Refuse a folder in which there is something that a run would write over.

    Args:
        kind: of the run, a key of ``RESULTS``.
        resume: it goes on with what a run of its own kind left.

    Raises:
        ConfigError: it is not to go on, or what is there is of another kind.
    """
    found = results(folder)
    for there, paths in found.items():
        if resume and (there == kind or (there == "result" and kind in found)):
            continue
        article = "an" if there[0] in "aeiou" else "a"
        goes_on = "resume=true goes on with it, " if there == kind else ""
        raise ConfigError(
            f"hydra.run.dir={folder}: has {article} {there} already "
            f"({paths[0].relative_to(folder)}); {goes_on}another folder starts a new one"
        )


def clear(folder: Path) -> None:
    """Remove what a training left."""
    for kind in ("training", "result"):
        for path in results(folder).get(kind, []):
            path.unlink()


def remove_if_unused(folder: Path) -> None:
    """Remove a run folder that holds nothing but Hydra's own files."""
    own = {".hydra", "train.log", "sample.log", "scan.log", LOCK}
    if folder.is_dir() and all(entry.name in own for entry in folder.iterdir()):
        logging.shutdown()
        shutil.rmtree(folder)
