"""The ensemble of a case, drawn as sample.py would."""

from pathlib import Path

import torch

from flowlat.config.build import build_flow
from flowlat.config.compose import compose, validate
from flowlat.config.schemas import SampleConfig, TrainConfig
from flowlat.report.compare.columns import Values, flat
from flowlat.sampling.draw import draw
from flowlat.training.fit import fit
from flowlat.utils.rng import Stream, generator
from flowlat.validate.cases import Case
from flowlat.validate.judge import Check

#: the group of the identity that every ensemble is held against
IDENTITY = "Schwinger-Dyson"

#: a flow that costs little, and how far its weights are moved from the identity
SMALL = ("arch=combconv_k1", "arch.n_couplings=2", "arch.hidden=[4]", "arch.final_tanh=true")
MOVED = 0.03


def checks(case: Case, n_samples: int, seed: int, folder: Path) -> list[Check]:
    """Draw the ensemble of a case in a new folder, and compare.

    Proposals of a flow are analysed twice: along the chain, and reweighted; rows by clusters by
    their improved estimators, too.
    """
    overrides = [*case.sampler, f"n_samples={n_samples}", f"seed={seed}", *case.theory]
    if case.flow:
        overrides[-3:] = [f"ckpt_path={flow_for(case, seed, folder)}", "precision=64"]
    overrides += ["save_configs=false", "device=cpu", "threads=1"]
    summary = draw(validate(compose(overrides, "sample"), SampleConfig), folder)
    log_z = {"log_z": summary["log_z"]} if "log_z" in summary else {}
    found = compared(case, flat({**summary["observables"], **log_z}), "")
    for how in ("reweighted", "improved"):
        if how in summary:
            found += compared(case, flat(summary[how]), f", {how}")
    return found


def compared(case: Case, values: Values, how: str) -> list[Check]:
    """The references of a case, and the identity, against values."""
    known = {**case.references, "schwinger_dyson": (1.0, 0.0)}
    return [
        Check(
            IDENTITY if name == "schwinger_dyson" else case.group,
            case.name,
            f"{name}{how}",
            *values[name],
            *reference,
        )
        for name, reference in known.items()
        if name in values
    ]


def flow_for(case: Case, seed: int, folder: Path) -> Path:
    """A checkpoint of the flow that a case asks for."""
    if case.flow == "trained":
        # a fifth of the default training
        overrides = [*case.theory, f"seed={seed}", "trainer=cpu", "threads=1"]
        overrides.append("trainer.max_epochs=5")
        (folder / "training").mkdir()
        summary = fit(validate(compose(overrides), TrainConfig), folder / "training")
        return Path(summary["checkpoint"])
    phi2 = case.references["phi2"][0]
    overrides = [*case.theory, f"prior.mass2={case.m2 + 6 * case.lam * phi2}"]
    config = validate(compose([*overrides, *SMALL]), TrainConfig)
    flow = build_flow(config, seed).double()
    couplings = [p for name, p in flow.named_parameters() if name.startswith("bijection.")]
    numbers = generator(seed, Stream.MOVED_WEIGHTS)
    for parameter in couplings:
        noise = torch.randn(parameter.shape, generator=numbers, dtype=torch.float64)
        parameter.data += MOVED * noise
    path = folder / "moved.ckpt"
    weights = {f"flow.{name}": value for name, value in flow.state_dict().items()}
    torch.save({"flowlat": {"config": config}, "state_dict": weights}, path)
    return path
