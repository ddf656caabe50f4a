"""python -m flowlat.forward_ess CKPT ENSEMBLE: does a flow cover what an ensemble covers?"""

import sys
from collections.abc import Sequence
from pathlib import Path

from flowlat.runs.program import Parser, exit_code
from flowlat.utils.errors import CheckpointError
from flowlat.utils.formatting import fraction, table, with_error

BATCH_SIZE = 1024
#: systematic over statistical error of log Z
TOLERANCE = 0.1


def judge(checkpoint: Path, ensemble: Path, seed: int = 0) -> str:
    """ESS and log Z on as many samples of the flow as the ensemble has, and on the ensemble.

    Raises:
        CheckpointError: a checkpoint that cannot be read, whose log q is not its density, or that
            gives samples or the ensemble log weights of NaN or infinity.
        EnsembleError: an ensemble that cannot be read, or is of another theory.
    """
    # here, not above: see flowlat/train.py
    import torch

    from flowlat.analysis.importance import ess, forward_ess, forward_log_z, log_z
    from flowlat.analysis.pareto import pareto_k
    from flowlat.analysis.trust import warnings
    from flowlat.config.build import build_action
    from flowlat.config.checkpoint import flow_of, read_checkpoint
    from flowlat.ensemble.reference import read_reference, require_theory
    from flowlat.flows.calibration import calibrate
    from flowlat.flows.proposals import proposals
    from flowlat.utils.rng import Stream, generator

    content = read_checkpoint(checkpoint)
    config = content["flowlat"]["config"]
    require_theory(ensemble, config)
    reference, flow = read_reference(ensemble), flow_of(content, checkpoint)
    action = build_action(config)
    n = len(reference.phi)
    try:
        offset = calibrate(flow, action, generator(seed, Stream.START), TOLERANCE, n).offset
    except ValueError as error:
        raise CheckpointError(f"{checkpoint}: {error}") from error
    batches = proposals(flow, action, n, BATCH_SIZE, seed, Stream.FINAL)
    log_w = torch.cat([batch.log_weight for batch in batches]) - offset
    reference_log_w = reference.log_weights(flow, action, BATCH_SIZE, seed) - offset
    for whose, values in (("its samples", log_w), (f"ENSEMBLE={ensemble}", reference_log_w)):
        if not torch.isfinite(values).all():
            raise CheckpointError(f"CKPT={checkpoint}: log weights of NaN or infinity on {whose}")
    forward = [f(reference_log_w, reference.replicas)[:2] for f in (forward_ess, forward_log_z)]
    own = {"ess": ess(log_w), "pareto_k": pareto_k(log_w.numpy())}
    figures = dict(zip(("forward_ess", "forward_ess_err"), forward[0], strict=True))
    figures |= dict(zip(("forward_log_z", "forward_log_z_err"), forward[1], strict=True))
    rows = [
        ("", "samples of the flow", "ensemble (forward)"),
        ("configurations", str(n), str(n)),
        ("ESS", f"{own['ess']:.4g}", fraction(*forward[0])),
        ("log Z", with_error(*log_z(log_w, own["pareto_k"])), with_error(*forward[1])),
    ]
    lines = [f"\nWARNING: {w['text']}" for w in warnings({**own, **figures})]
    return "".join([table(rows), *lines])


@exit_code
def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code."""
    parser = Parser(
        prog="python -m flowlat.forward_ess",
        description="ESS and log Z of a flow on its own samples and on an ensemble of the same "
        "theory, of HMC for instance. A flow that leaves out a mode looks good on its own samples "
        "alone: its forward ESS is far below, and its log Z is short (by log 2 for one of two).",
    )
    parser.add_argument("checkpoint", type=Path, metavar="CKPT", help="a checkpoint of train.py")
    parser.add_argument("ensemble", type=Path, metavar="ENSEMBLE", help="a run of sample.py")
    options = parser.parse_args(arguments)
    print(judge(options.checkpoint, options.ensemble))
    return 0


if __name__ == "__main__":
    sys.exit(main())
