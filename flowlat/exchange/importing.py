"""Configurations of another program become an ensemble like any other."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from flowlat.config.compose import compose, validate
from flowlat.config.schemas import SampleConfig, option_name
from flowlat.ensemble import open_ensemble
from flowlat.ensemble.summary import summarize
from flowlat.ensemble.writer import EnsembleWriter
from flowlat.exchange.axes import arrange, default_axes
from flowlat.exchange.convention import CONVENTIONS, Theory, theory_of
from flowlat.exchange.diagnosis import Reading, others, phi4, require_identity
from flowlat.exchange.imported import Imported
from flowlat.exchange.source import open_source
from flowlat.sampling.draw import plot
from flowlat.sampling.measure import build_observables, measure
from flowlat.utils.errors import ConfigError, EnsembleError
from flowlat.utils.files import sha256, write_json
from flowlat.utils.provenance import provenance
from flowlat.utils.rng import Stream, generator


def import_ensemble(
    source: str | Path,
    out: str | Path,
    shape: Sequence[int],
    couplings: Mapping[str, float],
    convention: str = "flowlat",
    axes: Sequence[str] | None = None,
    replicas: int | None = None,
    dataset: str | None = None,
    checked: bool = True,
) -> dict[str, Any]:
    """Make a run folder of the configurations of a file; the summary of what is in it.

    The file is read in blocks, and the folder appears whole or not at all.

    Args:
        source: .npy, .npz, HDF5, or text.
        out: the folder, which is not there yet, or empty.
        shape: of the lattice; flowlat's time is the last axis.
        couplings: by name, as the convention calls them.
        convention: of :data:`flowlat.exchange.convention.CONVENTIONS`; fields are rescaled.
        axes: see :func:`flowlat.exchange.axes.arrange`; by default step, x0, x1, ...
        replicas: how many, where ``axes`` has them and the array does not show it.
        dataset: the name of the array within the file.
        checked: refuse configurations that miss the Schwinger-Dyson identity by five errors.

    Raises:
        ConfigError: an option that cannot be used, a source that cannot be read or does not fit,
            or a folder in which there is something.
        EnsembleError: what was read is not of this theory; or it cannot be written.
    """
    source, out = Path(source), Path(out)
    require_new(out)
    theory = theory_of(convention, couplings, len(shape))
    phi4(theory)  # which refuses what is unbounded below
    config = config_of(shape, theory)
    axes = list(axes or default_axes(len(shape)))
    beside = next(folder for folder in out.absolute().parents if folder.is_dir())
    scratch = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=beside))
    try:
        array = open_source(source, dataset, scratch)
        reading = Reading(arrange(array, axes, shape, replicas), theory)
        if checked:
            ordered = {name: couplings[name] for name in CONVENTIONS[convention].couplings}
            elsewise = others(array, axes, shape, replicas, convention, ordered)
            require_identity(f"SOURCE={source}", reading, elsewise)
        node = {
            "_target_": f"{Imported.__module__}.{Imported.__name__}",
            "source": source.name,
            "source_sha256": sha256(source),
            "dataset": dataset,
            "axes": axes,
            "convention": convention,
            "couplings": {name: float(value) for name, value in couplings.items()},
        }
        made = scratch / "run"
        made.mkdir()
        summary = write(reading, source, {**config, "sampler": node}, made)
        out.parent.mkdir(parents=True, exist_ok=True)
        made.rename(out)  # which fails where another process has made it in the meantime
    except (OSError, EnsembleError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        if not isinstance(cause, OSError):
            raise
        raise EnsembleError(f"out={out}: cannot be written ({cause.strerror})") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return summary


def require_new(out: Path) -> None:
    """Raise ConfigError if there is something that a folder would be written over."""
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise ConfigError(f"out={out}: is there already; nothing is written over")


def config_of(shape: Sequence[int], theory: Theory) -> dict[str, Any]:
    """Lattice, action and observables, as sample.py has them by default."""
    sides = ",".join(map(str, shape))
    options = [f"lattice.shape=[{sides}]"]
    options += [f"action.m2={theory.m2!r}", f"action.lam={theory.lam!r}"]
    config = validate(compose(["sampler=hmc", *options], "sample"), SampleConfig)
    return {key: config[key] for key in ("lattice", "action", "observables")}


@torch.no_grad()
def write(reading: Reading, source: Path, config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """ensemble.h5, summary.json and ensemble.png; the summary."""
    values, theory, _ = reading
    n = values.shape[0] * values.shape[1]
    action = phi4(theory)
    sampler = Imported(values, action, theory.scale, str(source))
    config = {**config, "n_samples": n, "save_configs": True, "ckpt_path": None, "seed": None}
    observables = build_observables(config)
    own = {"source": source.name, "source_sha256": config["sampler"]["source_sha256"]}
    header = {
        "config": config,
        "convention": action.convention,
        "provenance": {**provenance(), **own},
        "checkpoint_sha256": None,
    }
    writer = EnsembleWriter(folder, sampler, header, n, resume=False)
    unused = generator(0, Stream.SAMPLER)
    state = sampler.start(unused)
    while writer.n_blocks * sampler.rows < n:
        state, block = sampler.step(state, unused)
        writer.append(measure(observables, action, "configurations", block), state)
    writer.finish()
    with open_ensemble(writer.path) as ensemble:
        summary = summarize(ensemble, observables, action.even)
        summary = {"sampler": option_name(config["sampler"]), **summary}
        with writer.writing():
            write_json(folder / "summary.json", summary)
            plot(ensemble, folder / "ensemble.png")
    return summary
