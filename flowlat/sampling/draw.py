"""A sampling run, from a checked config to the files of its folder."""

from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from flowlat.analysis.importance import normalised
from flowlat.analysis.mass.windows import require_window
from flowlat.config.schemas import option_name
from flowlat.ensemble import Ensemble, open_ensemble
from flowlat.ensemble.state import state_to
from flowlat.ensemble.summary import summarize
from flowlat.ensemble.writer import EnsembleWriter
from flowlat.kernels.arithmetic import arithmetic
from flowlat.kernels.library import Buffer
from flowlat.report.page.plots import plot_ensemble
from flowlat.runs.console import lines_above
from flowlat.runs.folder.record import Record, record_without_hydra, require_free
from flowlat.runs.signals import Signals
from flowlat.samplers.base import IndependentSampler, State
from flowlat.sampling.measure import REQUIRED, check_derived
from flowlat.sampling.pool import Draws, draw_in_processes
from flowlat.sampling.setup import Setup, build_setup, pick_devices
from flowlat.utils.errors import USER_ERRORS, ConfigError, Interrupted, TooLargeError
from flowlat.utils.files import write_json
from flowlat.utils.memory import out_of_memory
from flowlat.utils.provenance import provenance
from flowlat.utils.rng import Stream, generator
from flowlat.utils.threads import set_threads


def draw(
    config: dict[str, Any], folder: Path, record: Record | None = None, quiet: bool = False
) -> dict[str, Any]:
    """Draw blocks and measure on them; leave ensemble.h5, summary.json, ensemble.png in ``folder``.

    Returns the summary.

    Args:
        record: of how the run came about, which is written when all is checked.
        quiet: one of many, which needs neither a bar on the terminal nor a picture.

    Raises:
        ConfigError: an option that cannot be used; a folder in which there is something that this
            would write over.
        CheckpointError: a checkpoint that cannot be used.
        EnsembleError: what is in the folder is damaged, or cannot be written.
        TooLargeError: there is too little memory for a block.
        Interrupted: a signal ended it between two blocks, which are on the disk.
    """
    require_free(folder, "ensemble", config["resume"])
    nodes = config["observables"]
    config = {**config, "observables": nodes | REQUIRED | nodes}  # a name has the user's own
    devices = pick_devices(config["device"], config["devices"])
    setup = build_setup(config, devices[0])
    check_derived(setup.observables, setup.action, setup.lattice)
    require_window(config["mass_window"], setup.lattice.shape[-1], "mass_window")
    sampler, name = setup.sampler, option_name(config["sampler"])
    if len(devices) > 1 and not isinstance(sampler, IndependentSampler):
        raise ConfigError(
            f"devices={len(devices)}: a block of sampler={name} starts from the one before; raise "
            "the replicas instead"
        )
    at_once = sampler.replicas if sampler.kind == "chain" else sampler.rows
    set_threads(config["threads"], setup.lattice.shape, at_once)
    n, n_blocks = config["n_samples"], -(-config["n_samples"] // sampler.rows)
    if sampler.kind == "weighted":
        n = n_blocks * sampler.rows  # those of a population depend on each other: it is not cut
    header = {
        "config": setup.config,
        "convention": setup.action.convention,
        "provenance": provenance(),
        "arithmetic": arithmetic(devices[0]),
        "checkpoint_sha256": setup.checkpoint_sha256,
    }
    writer = EnsembleWriter(folder, sampler, header, n, config["resume"])
    (record or record_without_hydra(folder)).begin()
    try:
        state = advance(setup, writer, devices, n_blocks, quiet)
    except (RuntimeError, MemoryError, ValueError) as error:
        if isinstance(error, USER_ERRORS):
            raise
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
    finally:
        Buffer.release()
    writer.finish()
    with open_ensemble(writer.path) as ensemble:
        barrier = 0.0 if sampler.crosses else setup.action.barrier
        window = config["mass_window"]
        summary = summarize(ensemble, setup.observables, setup.action.even, barrier, window)
        # not the acceptance of moves within an ensemble that is no chain
        info = {k: v for k, v in sampler.info(state).items() if summary.get(k, v) is not None}
        summary = {
            "sampler": name,
            **summary,
            **info,
            "seconds": round(writer.seconds, 3),
            "samples_per_second": round(n_blocks * sampler.rows / writer.seconds, 3),
        }
        with writer.writing():
            write_json(folder / "summary.json", summary)
            if not quiet:
                plot(ensemble, folder / "ensemble.png")
    return summary


@torch.no_grad()
def advance(
    setup: Setup,
    writer: EnsembleWriter,
    devices: list[torch.device],
    n_blocks: int,
    quiet: bool = False,
) -> State:
    """Draw until so many blocks are in the writer, with what is measured on them; the last state.

    Raises:
        ValueError: the sampler cannot go on, or what it drew cannot be used.
        Interrupted: a signal came; the blocks so far are on the disk.
    """
    sampler, seed, device = setup.sampler, setup.config["seed"], devices[0]
    if writer.state is None:
        state = sampler.start(generator(seed, Stream.START, device=device))
    else:
        state = state_to(writer.state, device)
    numbers = range(writer.n_blocks, n_blocks)
    if isinstance(sampler, IndependentSampler) and len(devices) > 1:
        draws = draw_in_processes(setup.config, sampler, state, devices, numbers)
    else:
        draws = draw_in_turn(setup, state, device, numbers)
    # disable=None: no bar where the output is no terminal
    with tqdm(total=n_blocks * sampler.rows, unit="sample", disable=quiet or None) as bar:
        bar.update(writer.n_blocks * sampler.rows)
        with Signals() as signals, closing(draws), lines_above(bar):
            for state, columns in draws:
                writer.append(columns, state)
                bar.update(sampler.rows)
                if signals.received and writer.n_blocks < n_blocks:
                    writer.flush()
                    raise Interrupted(
                        f"ended by {signals.received.name} after block {writer.n_blocks} of "
                        f"{n_blocks}",
                        signals.received,
                    )
    return state


def draw_in_turn(setup: Setup, state: State, device: torch.device, numbers: range) -> Draws:
    """Each block from the state after the one before."""
    for number in numbers:
        stream = generator(setup.config["seed"], Stream.SAMPLER, number, device=device)
        state, block = setup.sampler.step(state, stream)
        yield state, setup.measure(block)


def plot(ensemble: Ensemble, path: Path) -> None:
    """The picture of a chain, or of weighted rows."""
    if ensemble.kind == "weighted":
        weight, _ = normalised(ensemble.read("log_weight"))
        series = [ensemble.read("measured/magnetization")]
        plot_ensemble(series, ensemble.log_weight, path, weight)
    else:
        plot_ensemble(ensemble.chains("magnetization"), ensemble.log_weight, path)
