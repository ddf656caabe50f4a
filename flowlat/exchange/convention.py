"""The normalisations of phi^4 theory, and what becomes of couplings and field in flowlat's."""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from flowlat.utils.errors import ConfigError


class Theory(NamedTuple):
    """m2 and lam of flowlat's action, and the factor by which fields become flowlat's."""

    m2: float
    lam: float
    scale: float


class Convention(NamedTuple):
    """How others write S: the names of their two couplings, and a theory from those and d."""

    formula: str
    couplings: tuple[str, str]
    theory: Callable[[float, float, int], Theory]


def hopping(kappa: float, quartic: float, d: int) -> Theory:
    """m2 = (1 - 2 l)/kappa - 2 d, lam = l/kappa^2, phi = sqrt(kappa) phi_hop."""
    if not kappa > 0:
        raise ConfigError(f"kappa={kappa}: must be above 0")
    m2, lam = (1 - 2 * quartic) / kappa - 2 * d, quartic / kappa**2
    return Theory(m2, lam, math.sqrt(kappa))


def kappa_of(m2: float, lam: float, d: int) -> float:
    """The kappa whose hopping form is this theory: 2 lam kappa^2 + (m2 + 2 d) kappa = 1."""
    linear = m2 + 2 * d
    return 2 / (linear + math.sqrt(linear**2 + 8 * lam))


CONVENTIONS = {
    "flowlat": Convention(
        "sum_mu (phi(x+mu) - phi(x))^2 + m2 phi^2 + lam phi^4",
        ("m2", "lam"),
        lambda m2, lam, d: Theory(m2, lam, 1.0),
    ),
    "hopping": Convention(
        "-2 kappa sum_mu phi(x) phi(x+mu) + (1 - 2 l) phi^2 + l phi^4", ("kappa", "l"), hopping
    ),
    "g/24": Convention(
        "1/2 (d phi)^2 + 1/2 m2 phi^2 + g/4! phi^4",
        ("m2", "g"),
        lambda m2, g, d: Theory(m2, g / 6, math.sqrt(0.5)),
    ),
    "g/4": Convention(
        "1/2 (d phi)^2 + 1/2 mu2 phi^2 + g/4 phi^4",
        ("mu2", "g"),
        lambda mu2, g, d: Theory(mu2, g, math.sqrt(0.5)),
    ),
}


def theory_of(convention: str, couplings: Mapping[str, float], d: int) -> Theory:
    """What couplings of a convention are in flowlat's.

    Raises:
        ConfigError: an unknown convention, other couplings than its own, or some out of range.
    """
    if convention not in CONVENTIONS:
        raise ConfigError(f"convention={convention}: one of {', '.join(CONVENTIONS)}")
    names = CONVENTIONS[convention].couplings
    if couplings.keys() != set(names):
        typed = " ".join(f"{name}={value:g}" for name, value in couplings.items()) or "none"
        raise ConfigError(f"convention={convention}: needs {' and '.join(names)}, not {typed}")
    first, second = (float(couplings[name]) for name in names)
    if not (math.isfinite(first) and math.isfinite(second)):
        raise ConfigError(f"{names[0]}={first} {names[1]}={second}: must be finite")
    return CONVENTIONS[convention].theory(first, second, d)
