"""The theories of a scan: couplings written as ranges, and several lattices."""

import math
import struct
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from flowlat.flows.domain import Point
from flowlat.utils.errors import ConfigError
from flowlat.utils.rng import Stream, digest

#: what may be a range
COUPLINGS = ("m2", "lam")
#: theories of a scan: each takes seconds at the least
POINTS = 2000


class Grid(NamedTuple):
    """Every lattice with every pair of couplings; an action without lam has 0."""

    shapes: list[tuple[int, ...]]
    m2: list[float]
    lam: list[float]

    @property
    def along(self) -> str:
        """The coupling along which the lines of the scan run."""
        return "lam" if len(self.lam) > 1 else "m2"

    @property
    def is_map(self) -> bool:
        """Whether both couplings vary."""
        return len(self.lam) > 1 < len(self.m2)

    def lines(self, along: str = "") -> list[list[Point]]:
        """The points in lines of one lattice on which nothing but ``along`` varies, upwards."""
        if (along or self.along) == "lam":
            return [[Point(m2, lam, s) for lam in self.lam] for s in self.shapes for m2 in self.m2]
        return [[Point(m2, lam, s) for m2 in self.m2] for s in self.shapes for lam in self.lam]

    def points(self) -> list[Point]:
        """All of them, in the order in which they are drawn."""
        return [point for line in self.lines() for point in line]


def grid_of(config: Mapping[str, Any]) -> Grid:
    """The grid of a composed config: ``action.m2`` and ``action.lam`` each a number or a range.

    Raises:
        ConfigError: a range that is none, none at all, too many points, or an action without these
            couplings.
    """
    action, shape = config["action"], config["lattice"].get("shape")
    for key, value in action.items():
        if key not in COUPLINGS and isinstance(value, str) and value.count(":") == 2:
            raise ConfigError(f"action.{key}={value}: only action.m2 and action.lam are scanned")
    if "m2" not in action:
        raise ConfigError(f"action._target_={action.get('_target_')}: has no m2 to scan")
    m2, lam = (values(f"action.{name}", action.get(name, 0.0)) for name in COUPLINGS)
    several = isinstance(shape, list) and any(isinstance(side, list) for side in shape)
    shapes: Any = shape if several else [shape]
    if not all(isinstance(sides, list) for sides in shapes):
        raise ConfigError(f"lattice.shape={shape}: write lattice.shape=[8,8],[12,12]")
    if len({len(sides) for sides in shapes}) > 1:
        raise ConfigError(f"lattice.shape={shape}: lattices of several dimensions")
    if len(m2) == len(lam) == 1:
        raise ConfigError(
            f"action.lam={action.get('lam')} action.m2={action['m2']}: one of them has to be a "
            "range, such as action.lam=4.6:8:0.2"
        )
    if (n := len(m2) * len(lam) * len(shapes)) > POINTS:
        raise ConfigError(f"action.m2, action.lam, lattice.shape: {n} points, at most {POINTS}")
    return Grid(list(dict.fromkeys(map(tuple, shapes))), m2, lam)


def values(key: str, value: Any) -> list[float]:
    """The numbers a, a + step, ... up to b of "a:b:step", b included if it is one; or the one.

    In decimal arithmetic: 4.6:8:0.2 ends at 8, and has 5.2, not 5.199999999999999.

    Raises:
        ConfigError: not a number, or a range in which there are none, or too many.
    """
    if not isinstance(value, str):
        return [value]  # its type is checked where a point's config is
    try:
        parts = [Decimal(part) for part in value.split(":")]
        if len(parts) != 3 or not all(part.is_finite() for part in parts):
            raise InvalidOperation
    except InvalidOperation:
        raise ConfigError(f"{key}={value}: no range; one is a:b:step, such as 4.6:8:0.2") from None
    first, last, step = parts
    if step <= 0:
        raise ConfigError(f"{key}={value}: a step of {step}; it has to be above 0")
    if last < first:
        raise ConfigError(f"{key}={value}: runs downwards; write {last}:{first}:{step}")
    if first + step > last:
        raise ConfigError(f"{key}={value}: has one point only, {first}")
    if (last - first) / step > POINTS:
        raise ConfigError(f"{key}={value}: more than {POINTS} points")
    n = int((last - first) / step)
    return [float(first + i * step) for i in range(n + 1)]


def name_of(point: Point) -> str:
    """What a point is called, as its folder: 12x12_m2_-4_lam_5.2."""
    return f"{volume_name(point.shape)}_m2_{point.m2:.12g}_lam_{point.lam:.12g}"


def volume_name(shape: Sequence[int]) -> str:
    """12x12."""
    return "x".join(map(str, shape))


def config_of(config: Mapping[str, Any], point: Point) -> dict[str, Any]:
    """The sampling config of a point, with random numbers of its own.

    A point's numbers depend on the seed and on its theory, not on the grid, so that a scan which is
    made longer keeps what it has; and no two points share any: neighbours that did would not be
    independent, which the errors of their differences take them to be.
    """
    action = {**config["action"], "m2": point.m2}
    if "lam" in action:
        action["lam"] = point.lam
    bits = struct.unpack("<2Q", struct.pack("<2d", point.m2, point.lam))
    key = digest(config["seed"], Stream.POINT, *bits, *point.shape, n_bytes=7)
    return {
        **config,
        "lattice": {**config["lattice"], "shape": list(point.shape)},
        "action": action,
        "seed": int.from_bytes(key, "little"),
    }


def volume(point: Point) -> int:
    """The sites of its lattice."""
    return math.prod(point.shape)
