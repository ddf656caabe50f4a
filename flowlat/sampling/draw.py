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
from flowlat.ensemble.summary import summarize
from flowlat.ensemble.writer import Store
from flowlat.report.page.plots import plot_ensemble
from flowlat.samplers.base import Block, IndependentSampler, Sampler, State
from flowlat.sampling.measure import build_observables, measure, with_indispensable
from flowlat.sampling.pool import drafts, pick_devices
from flowlat.sampling.setup import Theory, build_sampler, build_theory, pick_device
from flowlat.training.memory import too_little
from flowlat.utils.errors import USER_ERRORS, ConfigError, TooLargeError
from flowlat.utils.files import write_json
from flowlat.utils.provenance import provenance
from flowlat.utils.rng import Stream, generator
from flowlat.utils.threads import set_threads

#: options that may change between the legs of a run; "flow" follows from the checkpoint
FREE = ("n_samples", "resume", "device", "devices", "threads", "ckpt_path", "flow")

#: state, numbers of blocks -> for each of them the state after it, and what was measured
Draws = Callable[[State, range], Iterator[tuple[State, dict[str, Tensor]]]]


def draw(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Draw blocks and measure on them; leave ensemble.h5, summary.json, ensemble.png in ``folder``.

    Returns the summary.

    Raises:
        ConfigError: an option that cannot be used.
        CheckpointError: a checkpoint that cannot be used.
        EnsembleError: what is in the folder is damaged, or cannot be written.
    """
    config = {**config, "observables": with_indispensable(config["observables"])}
    device = pick_device(config["device"])
    devices = pick_devices(device, config["devices"])
    theory = build_theory(config, device)
    sampler = build_sampler(theory)
    observables = build_observables(config)
    at_once = sampler.replicas if sampler.kind == "chain" else sampler.rows
    set_threads(config["threads"], theory.lattice.shape, at_once)
    n, blocks = config["n_samples"], -(-config["n_samples"] // sampler.rows)
    if sampler.kind == "weighted":
        n = blocks * sampler.rows  # those of a population depend on each other: it is not cut
    store = open_store(folder, theory, sampler, n)
    measured = partial(measure, observables, theory.action, config["save_configs"])
    draw_blocks: Draws
    if len(devices) == 1:
        draw_blocks = partial(in_turn, sampler, measured, config["seed"], device)
    elif isinstance(sampler, IndependentSampler):
        draw_blocks = partial(in_parallel, sampler, config, devices)
    else:
        raise ConfigError(
            f"devices={len(devices)}: a block of sampler={sampler_name(config['sampler'])} starts "
            "from the one before; raise the replicas instead"
        )
    try:
        state = advance(sampler, draw_blocks, store, blocks, config["seed"], device)
    except USER_ERRORS:
        raise
    except (RuntimeError, MemoryError) as error:
        if not too_little(error):
            raise
        raise TooLargeError(
            f"sampler={sampler_name(config['sampler'])}: too little memory on {device} for blocks "
            f"of {sampler.rows} configurations"
        ) from error
    except ValueError as error:  # of the sampler, or of what it drew
        name = sampler_name(config["sampler"])
        raise ConfigError(f"sampler={name} ckpt_path={config['ckpt_path']}: {error}") from error
    if n > store.n_rows:
        store.merge(n, header(theory, sampler))
    store.remove_parts()
    with open_ensemble(store.path) as ensemble:
        summary = summarize(ensemble, observables, theory.action.even)
        # not the acceptance of moves within an ensemble that is no chain
        info = {k: v for k, v in sampler.info(state).items() if summary.get(k, v) is not None}
        summary = {
            "sampler": sampler_name(config["sampler"]),
            **summary,
            **info,
            "seconds": round(store.seconds, 3),
            "samples_per_second": round(blocks * sampler.rows / store.seconds, 3),
        }
        with store.writing():
            write_json(folder / "summary.json", summary)
            plot(ensemble, folder / "ensemble.png")
    return summary


def open_store(folder: Path, theory: Theory, sampler: Sampler, n: int) -> Store:
    """The blocks that are in the folder already: none, unless the run is to be resumed."""
    record = {key: value for key, value in theory.config.items() if key not in FREE}
    record["ckpt_path.sha256"] = theory.checkpoint_sha256
    store = Store(folder, record, sampler.kind, sampler.rows, sampler.initial_state()._asdict())
    if theory.config["resume"]:
        store.resume()
        store.require_at_most(n)
    else:
        store.require_empty()
    return store


@torch.no_grad()
def advance(
    sampler: Sampler,
    draw_blocks: Draws,
    store: Store,
    blocks: int,
    seed: int,
    device: torch.device,
) -> State:
    """Draw until the store has so many blocks, and what is measured on them; the last state.

    Raises:
        ValueError: the sampler cannot go on, or what it drew cannot be used.
    """
    clock = time.monotonic()
    # disable=None: no bar where the output is no terminal
    with tqdm(total=blocks * sampler.rows, unit="sample", disable=None) as bar:
        if store.n_blocks:
            state = type(sampler.initial_state())(**store.state(device))
        else:
            state = sampler.start(generator(seed, Stream.START, device=device))
        bar.update(store.n_blocks * sampler.rows)
        draws = draw_blocks(state, range(store.n_blocks, blocks))
        for state, rows in draws:
            before, clock = clock, time.monotonic()
            store.append(rows, state._asdict(), clock - before)
            bar.update(sampler.rows)
    return state


def in_turn(
    sampler: Sampler,
    measured: Callable[[Block], dict[str, Tensor]],
    seed: int,
    device: torch.device,
    state: State,
    numbers: range,
) -> Iterator[tuple[State, dict[str, Tensor]]]:
    """Each block from the state after the one before."""
    for number in numbers:
        state, block = sampler.step(state, generator(seed, Stream.SAMPLER, number, device=device))
        yield state, {name: values.cpu() for name, values in measured(block).items()}


def in_parallel(
    sampler: IndependentSampler,
    config: dict[str, Any],
    devices: list[torch.device],
    state: State,
    numbers: range,
) -> Iterator[tuple[State, dict[str, Tensor]]]:
    """The same blocks, drawn and measured by other processes and joined here."""
    for draft in drafts(config, state, devices, numbers):
        rows = {name: torch.from_numpy(values) for name, values in draft.rows.items()}
        state, accepted = sampler.join(state, rows["log_weight"], torch.from_numpy(draft.notes))
        yield state, rows if accepted is None else {**rows, "accepted": accepted}


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
