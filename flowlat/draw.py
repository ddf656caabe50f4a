"""A sampling run, from a checked config to the files of its folder."""

import logging
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from flowlat.actions import Action
from flowlat.build import FLOW_GROUPS, build_action, instantiate_all
from flowlat.checkpoint import flow_of, read_checkpoint, sha256
from flowlat.ensemble import EnsembleWriter
from flowlat.errors import CheckpointError, ConfigError
from flowlat.evaluation import proposals
from flowlat.files import write_json
from flowlat.flow import Flow
from flowlat.metrics import acceptance, ess, log_z
from flowlat.observables import Observable
from flowlat.observables.base import mean_field
from flowlat.plots import plot_ensemble
from flowlat.provenance import provenance
from flowlat.rng import Stream, generator
from flowlat.samplers import independence_chain, longest_rejection_run
from flowlat.statistics import gamma_method
from flowlat.threads import set_threads

log = logging.getLogger(__name__)

#: |<sign M>| beyond which an ensemble of an even action is called one-sided
LOPSIDED = 0.5


def draw(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Propose, accept or reject, measure; leave ensemble.h5 and summary.json in ``folder``.

    Returns the summary.
    """
    path, seed = config["ckpt_path"], config["seed"]
    content = read_checkpoint(path)
    flow_config = content["flowlat"]["config"]
    action = build_action(flow_config)
    observables = instantiate_all(config, "observables")
    set_threads(config["threads"], flow_config["lattice"]["shape"], config["batch_size"])
    flow = flow_of(content, path).to(pick_device(config["device"]))
    if config["precision"]:
        flow.to(torch.float64 if config["precision"] == 64 else torch.float32)
    ensemble = EnsembleWriter(
        folder / "ensemble.h5",
        flow.lattice.shape,
        next(flow.parameters()).dtype,
        config["save_configs"],
        config={**config, "flow": {group: flow_config[group] for group in FLOW_GROUPS}},
        convention=action.convention,
        provenance=provenance(),
        seed=seed,
        checkpoint_sha256=sha256(path),
    )
    with ensemble:
        log_w, mean, measured = propose(flow, action, observables, config, ensemble)
        if not torch.isfinite(log_w).all():
            raise CheckpointError(f"ckpt_path={path}: the flow's proposals have no finite weights")
        index, accepted = independence_chain(log_w, generator(seed, Stream.ACCEPT))
        ensemble.finish(accepted)
    magnetization = mean[index]
    summary = {
        "acceptance": acceptance(accepted),
        "ess": ess(log_w),
        "n_samples": config["n_samples"],
        "log_z": dict(zip(("value", "error"), log_z(log_w), strict=True)),
        "longest_rejection_run": longest_rejection_run(accepted),
        "sign_balance": sign_balance(magnetization, action),
        "observables": {
            name: gamma_method(values[index].numpy(), name)._asdict()
            for name, values in measured.items()
        },
    }
    write_json(folder / "summary.json", summary)
    plot_ensemble(magnetization.numpy(), log_w.numpy(), folder / "ensemble.png")
    return summary


def propose(
    flow: Flow,
    action: Action,
    observables: dict[str, Observable],
    config: dict[str, Any],
    ensemble: EnsembleWriter,
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """All proposals into the ensemble; their log weights, M and observables, ``(n,)`` each."""
    n = config["n_samples"]
    log_w: list[Tensor] = []
    mean: list[Tensor] = []
    measured: dict[str, list[Tensor]] = defaultdict(list)
    batches = proposals(flow, action, n, config["batch_size"], config["seed"], Stream.PROPOSALS)
    # disable=None: no bar where the output is no terminal
    with tqdm(total=n, unit="sample", disable=None) as bar:
        for batch in batches:
            ensemble.append(batch)
            log_w.append(batch.log_weight.cpu())
            phi = batch.phi.double()
            mean.append(mean_field(phi).cpu())
            for name, observable in observables.items():
                measured[name].append(observable(phi, batch.action).cpu())
            bar.update(len(batch.phi))
    columns = {name: torch.cat(parts) for name, parts in measured.items()}
    return torch.cat(log_w), torch.cat(mean), columns


def sign_balance(magnetization: Tensor, action: Action) -> float:
    """<sign M> over a chain; a warning where an even action does not have it near zero."""
    balance = magnetization.sign().mean().item()
    if action.even and abs(balance) > LOPSIDED:
        log.warning(
            "<sign M> = %.2f, and the action is even: the flow sits in one mode, log Z is short "
            "by up to log 2 = 0.693; training with recipe=ordered is the exact cure",
            balance,
        )
    return balance


def pick_device(name: str) -> torch.device:
    """The device of a name; "auto" is a GPU if there is one. ConfigError if it is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device={name}: {str(error).splitlines()[0]}") from error
    return device
