"""The families in the package, and small files of one's own.

    python -m flowlat.families                                   what is in the package
    python -m flowlat.families RUN/checkpoints/best_ess.ckpt --output mine.ckpt

The second writes what sampling needs of a trained family, the averaged weights, its map of ESS, the
config and the versions that made it: ``python sample.py ckpt_path=mine.ckpt lattice... action...``.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flowlat.runs.program import Parser, exit_code
from flowlat.utils.errors import ConfigError
from flowlat.utils.files import replacing
from flowlat.utils.formatting import table


@exit_code
def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code."""
    parser = Parser(
        prog="python -m flowlat.families",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("checkpoint", nargs="?", type=Path, help="of a trained family")
    parser.add_argument("--output", type=Path, metavar="FILE", help="the small file; has to be new")
    options = parser.parse_args(arguments)
    if (options.checkpoint is None) != (options.output is None):
        parser.error("a checkpoint and --output FILE belong together")
    print(shrink(options.checkpoint, options.output) if options.output else overview())
    return 0


def overview() -> str:
    """A line for each family in the package: couplings, sides, ESS of its map, how it is made."""
    # here, not above: see flowlat/train.py
    from flowlat.config.build import instantiate
    from flowlat.config.checkpoint import read_checkpoint
    from flowlat.families.shipped import checkpoints
    from flowlat.flows.domain import Domain
    from flowlat.flows.ess_map import map_of

    rows = []
    for path in checkpoints():
        content = read_checkpoint(path)
        config = content["flowlat"]["config"]
        domain: Domain = instantiate(config, "family")
        known = map_of(content, domain.d)
        sides = [side for shape in domain.shapes for side in shape]
        ess = (
            "" if known is None else f"{known.rows[:, 2].min():.2f} to {known.rows[:, 2].max():.2f}"
        )
        where = f"m2 {domain.m2[0]:g} to {domain.m2[1]:g}, L {min(sides)} to {max(sides)}"
        rows.append((path.stem, f"{config['phase']}, {where}, ESS {ess}"))
    return table(rows)


def shrink(checkpoint: Path, output: Path) -> str:
    """Write the small file of a trained family; what was done, in a line."""
    import torch

    from flowlat.config.checkpoint import family_of, flow_weights, read_checkpoint
    from flowlat.flows.ess_map import STATE

    if output.exists():
        raise ConfigError(f"--output {output}: is there already")
    content = read_checkpoint(checkpoint)
    family_of(content, checkpoint)
    record: dict[str, Any] = content["flowlat"]
    small = {
        "state_dict": {f"flow.{name}": w for name, w in flow_weights(content).items()},
        # not where the weights of a former training were
        "flowlat": {
            "config": {**record["config"], "init_from": None},
            "provenance": record["provenance"],
        },
        "callbacks": {STATE: content["callbacks"][STATE]},
    }
    with replacing(output) as partial:
        torch.save(small, partial)
    return f"{output}: {output.stat().st_size / 1000:.0f} kB"


if __name__ == "__main__":
    sys.exit(main())
