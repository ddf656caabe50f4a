"""What a config asks for in all: products of its options, held to the limits.

A single option has its limit in the signature that it is passed to, see ``flowlat.utils.limits``.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from flowlat.archs import combconv
from flowlat.config.compare import flatten
from flowlat.config.validation import locate, signature
from flowlat.utils.limits import BATCH, LAYERS, NUMBERS, SITES, require_at_most

#: options whose product is how many numbers there are on a site, and the limit of those on all
PER_SITE = [
    (("prior.n_coefficients",), NUMBERS),
    (("arch.channels",), NUMBERS),
    (("data.batch_size",), BATCH),
    (("evaluation.batch_size",), BATCH),
    (("batch_size",), BATCH),
    (("sampler.population",), BATCH),
    (("sampler.replicas", "sampler.block"), BATCH),
    (("sampler.hmc.replicas", "sampler.hmc.block"), BATCH),
]


def check_sizes(config: Mapping[str, Any]) -> None:
    """Raise ConfigError if what a checked config, or some groups of one, asks for is too large."""
    family: Any = config.get("family")
    for sides in family["shapes"] if family and "shapes" in family else ():
        lattice = {**config["lattice"], "shape": sides}
        check_sizes({**config, "lattice": lattice, "family": None})
    groups = {key: _with_defaults(node) for key, node in config.items()}
    options = flatten(groups)
    shape = options.get("lattice.shape", [])
    volume, on_lattice = math.prod(shape), f"lattice.shape={shape}"
    require_at_most(SITES, "sites", volume, on_lattice)
    for keys, limit in PER_SITE:
        counts = {key: options[key] for key in keys if isinstance(options.get(key), int)}
        asked = ", ".join([f"{key}={count}" for key, count in counts.items()] + [on_lattice])
        require_at_most(limit, "numbers", math.prod(counts.values()) * volume, asked)
    arch: Any = groups.get("arch")
    if arch and locate(arch["_target_"]) is combconv:
        _check_couplings(arch, shape)


def _check_couplings(arch: Mapping[str, Any], shape: Sequence[int]) -> None:
    """The layers of all nets, and their weights with the masks of the couplings."""
    k, n = min(arch["k"] or len(shape), len(shape)), arch["n_couplings"]
    n_params = 2 if arch["spline_bins"] is None else 3 * arch["spline_bins"] + 1
    channels = [1, *arch["hidden"], n_params]
    pairs = sum(c_in * c_out for c_in, c_out in pairwise(channels))
    weights = math.comb(len(shape), k) * arch["kernel_size"] ** k * pairs
    keys = ("n_couplings", "hidden", "k", "kernel_size", "spline_bins")
    asked = ", ".join(f"arch.{key}={arch[key]}" for key in keys)
    require_at_most(LAYERS, "layers", n * 2 * len(channels), asked)
    require_at_most(NUMBERS, "numbers", n * (weights + math.prod(shape)), asked)


def _with_defaults(node: Any) -> Any:
    """The options of a group, and the defaults of those that it leaves out."""
    if not isinstance(node, dict) or "_target_" not in node:
        return node
    parameters = signature(locate(node["_target_"])).values()
    return {p.name: p.default for p in parameters if p.default is not p.empty} | node
