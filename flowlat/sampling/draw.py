"""A sampling run, from a checked config to the files of its folder."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from flowlat.config.schemas import sampler_name
from flowlat.ensemble import Ensemble, open_ensemble
from flowlat.ensemble.layout import fields_column
from flowlat.ensemble.state import state_to_arrays
from flowlat.ensemble.summary import summarize
from flowlat.ensemble.writer import EnsembleWriter
from flowlat.report.page.plots import plot_ensemble
from flowlat.samplers.base import Block, IndependentSampler, Sampler, State
from flowlat.sampling.measure import build_observables, measure, with_required
from flowlat.sampling.pool import draw_in_processes
from flowlat.sampling.setup import Theory, build_sampler, build_theory, pick_devices
from flowlat.utils.errors import USER_ERRORS, ConfigError, TooLargeError
from flowlat.utils.files import write_json
from flowlat.utils.memory import out_of_memory
from flowlat.utils.provenance import provenance
from flowlat.utils.rng import Stream, generator
from flowlat.utils.threads import set_threads

#: of each block the state after it, and its columns
Draws = Iterator[tuple[State, dict[str, Tensor]]]


def draw(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Draw blocks and measure on them; leave ensemble.h5, summary.json, ensemble.png in ``folder``.

    Returns the summary.

    Raises:
        ConfigError: an option that cannot be used.
        CheckpointError: a checkpoint that cannot be used.
        EnsembleError: what is in the folder is damaged, or cannot be written.
        TooLargeError: there is too little memory for a block.
    """
    config = {**config, "observables": with_required(config["observables"])}
    devices = pick_devices(config["device"], config["devices"])
    theory = build_theory(config, devices[0])
    sampler = build_sampler(theory)
    name = sampler_name(config["sampler"])
    if len(devices) > 1 and not isinstance(sampler, IndependentSampler):
        raise ConfigError(
            f"devices={len(devices)}: a block of sampler={name} starts from the one before; raise "
            "the replicas instead"
        )
    observables = build_observables(config)
    at_once = sampler.replicas if sampler.kind == "chain" else sampler.rows
    set_threads(config["threads"], theory.lattice.shape, at_once)
    n, blocks = config["n_samples"], -(-config["n_samples"] // sampler.rows)
    if sampler.kind == "weighted":
        n = blocks * sampler.rows  # those of a population depend on each other: it is not cut
    writer = EnsembleWriter(folder, sampler, header(theory, sampler))
    if config["resume"]:
        writer.resume(n)
    else:
        writer.require_empty()
    fields = fields_column(sampler.kind) if config["save_configs"] else None
    measured = partial(measure, observables, theory.action, fields)
    try:
        state = advance(config, sampler, measured, writer, devices, blocks)
    except USER_ERRORS:
        raise
    except (RuntimeError, MemoryError, ValueError) as error:
        if out_of_memory(error):
            raise TooLargeError(
                f"sampler={name}: too little memory on {devices[0]} for blocks of {sampler.rows} "
                f"configurations; halve batch_size={config['batch_size']}, or the replicas or "
                "population of a sampler that has its own"
            ) from error
        if not isinstance(error, ValueError):
            raise
        # of the sampler, or of what it drew
        raise ConfigError(f"sampler={name} ckpt_path={config['ckpt_path']}: {error}") from error
    if n > writer.n_samples:
        writer.merge(n)
    writer.remove_parts()
    with open_ensemble(writer.path) as ensemble:
        summary = summarize(ensemble, observables, theory.action.even)
        # not the acceptance of moves within an ensemble that is no chain
        info = {k: v for k, v in sampler.info(state).items() if summary.get(k, v) is not None}
        summary = {
            "sampler": name,
            **summary,
            **info,
            "seconds": round(writer.seconds, 3),
            "samples_per_second": round(blocks * sampler.rows / writer.seconds, 3),
        }
        with writer.writing():
            write_json(folder / "summary.json", summary)
            plot(ensemble, folder / "ensemble.png")
    return summary


@torch.no_grad()
def advance(
    config: dict[str, Any],
    sampler: Sampler,
    measured: Callable[[Block], dict[str, Tensor]],
    writer: EnsembleWriter,
    devices: list[torch.device],
    blocks: int,
) -> State:
    """Draw until so many blocks are on the disk, with what is measured on them; the last state.

    Raises:
        ValueError: the sampler cannot go on, or what it drew cannot be used.
    """
    clock, seed, device = time.monotonic(), config["seed"], devices[0]
    if writer.n_blocks:
        state = writer.state(device)
    else:
        state = sampler.start(generator(seed, Stream.START, device=device))
    numbers = range(writer.n_blocks, blocks)
    if len(devices) == 1:
        draws = in_turn(sampler, measured, seed, device, state, numbers)
    else:
        draws = in_parallel(sampler, config, devices, state, numbers)
    # disable=None: no bar where the output is no terminal
    with tqdm(total=blocks * sampler.rows, unit="sample", disable=None) as bar:
        bar.update(writer.n_blocks * sampler.rows)
        for state, columns in draws:
            before, clock = clock, time.monotonic()
            writer.append(columns, state, clock - before)
            bar.update(sampler.rows)
    return state


def in_turn(
    sampler: Sampler,
    measured: Callable[[Block], dict[str, Tensor]],
    seed: int,
    device: torch.device,
    state: State,
    numbers: range,
) -> Draws:
    """Each block from the state after the one before."""
    for number in numbers:
        state, block = sampler.step(state, generator(seed, Stream.SAMPLER, number, device=device))
        yield state, measured(block)


def in_parallel(
    sampler: Sampler,
    config: dict[str, Any],
    devices: list[torch.device],
    state: State,
    numbers: range,
) -> Draws:
    """The same blocks, drawn and measured by other processes and joined here."""
    assert isinstance(sampler, IndependentSampler)
    for arrays, extra in draw_in_processes(config, state_to_arrays(state), devices, numbers):
        columns = {name: torch.from_numpy(values) for name, values in arrays.items()}
        state, accepted = sampler.join(state, columns["log_weight"], torch.from_numpy(extra))
        yield state, columns if accepted is None else {**columns, "accepted": accepted}


def header(theory: Theory, sampler: Sampler) -> dict[str, Any]:
    """The attributes of the ensemble file that are known before it is written."""
    return {
        "kind": sampler.kind,
        "replicas": sampler.replicas,
        "population": sampler.rows if sampler.kind == "weighted" else 1,
        "config": theory.config,
        "convention": theory.action.convention,
        "provenance": provenance(),
        "seed": theory.config["seed"],
        "checkpoint_sha256": theory.checkpoint_sha256,
    }


def plot(ensemble: Ensemble, path: Path) -> None:
    """The picture of a chain, replica after replica; a weighted ensemble has no history."""
    if ensemble.kind != "weighted":
        history = np.concatenate(ensemble.chains("magnetization"))
        plot_ensemble(history, ensemble.log_weight, path)
