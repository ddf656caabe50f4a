"""Published and independently measured values at m2 = -4, and how they are measured again.

Table of shared measurements: Hybrid Monte Carlo and annealed importance sampling, with statistical
errors. The connected susceptibilities are those of Albergo et al., arXiv:1904.12072.
"""

from collections.abc import Sequence
from typing import NamedTuple

from flowlat.report.compare.columns import Values

M2 = -4.0


class Point(NamedTuple):
    """A theory of the table.

    Drawn to errors no larger than the table's: ``trajectory`` is near
    pi / (2 sqrt(2) m) in the symmetric phase; ``hmc`` counts configurations (``quick`` in a quick
    run), ``annealed`` steps, particles of a population, and of all.
    """

    shape: Sequence[int]
    lam: float
    values: Values
    trajectory: float = 1.0
    hmc: int = 0
    annealed: tuple[int, int, int] | None = None
    quick: int = 0


TABLE = (
    Point(
        (8, 8),
        8.0,
        {
            "abs_magnetization": (0.08717, 0.00016),
            "chi2": (0.7473, 0.0025),
            "log_z": (9.2902, 0.0023),
        },
        trajectory=1.5,
        hmc=500_000,
        quick=40_000,
        annealed=(200, 512, 25_600),
    ),
    Point(
        (6, 6),
        6.975,
        {
            "abs_magnetization": (0.14121, 0.00028),
            "chi2": (1.0594, 0.0035),
            "log_z": (6.9838, 0.0016),
        },
        trajectory=1.7,
        hmc=400_000,
        annealed=(200, 512, 30_720),
    ),
    Point(
        (8, 8),
        6.008,
        {"abs_magnetization": (0.14218, 0.00027), "chi2": (1.8947, 0.0064)},
        trajectory=2.2,
        hmc=540_000,
    ),
    Point(
        (12, 12),
        5.276,
        {
            "abs_magnetization": (0.14043, 0.00037),
            "chi2": (4.128, 0.019),
            "log_z": (43.744, 0.007),
        },
        trajectory=3.3,
        hmc=380_000,
        annealed=(400, 256, 12_800),
    ),
    Point(
        (14, 14),
        5.113,
        {
            "abs_magnetization": (0.13644, 0.00025),
            "chi2": (5.320, 0.017),
            "log_z": (62.310, 0.010),
        },
        trajectory=3.8,
        hmc=880_000,
        annealed=(600, 128, 7_680),
    ),
    Point(
        (20, 20),
        4.807,
        {"abs_magnetization": (0.13507, 0.00033), "chi2": (10.57, 0.05)},
        trajectory=5.5,
        hmc=600_000,
    ),
    Point((6, 6), 6.6458, {"connected_susceptibility": (0.3880, 0.0009)}, 1.7, hmc=720_000),
    Point((12, 12), 5.2396, {"connected_susceptibility": (1.338, 0.009)}, 3.3, hmc=150_000),
    Point((14, 14), 5.098, {"connected_susceptibility": (1.7155, 0.0061)}, 3.8, hmc=600_000),
    Point(
        (8, 8, 8),
        8.0,
        {
            "abs_magnetization": (0.1038, 0.0007),
            "phi2": (0.12023, 0.00008),
            "chi2": (7.52, 0.08),
            "action_density": (0.2484, 0.0003),
            "binder": (0.339, 0.010),
            "log_z": (-33.96, 0.03),
        },
        trajectory=3.0,
        hmc=84_000,
        annealed=(400, 64, 2_560),
    ),
    Point(
        (4, 4, 4),
        5.113,
        {
            "abs_magnetization": (0.47180, 0.00014),
            "phi2": (0.28731, 0.00008),
            "chi2": (14.467, 0.008),
            "action_density": (-0.1597, 0.0004),
            "log_z": (9.266, 0.005),
        },
        hmc=640_000,
        annealed=(200, 128, 5_120),
    ),
    Point(
        (8, 8, 8),
        5.113,
        {
            "abs_magnetization": (0.47387, 0.00020),
            "phi2": (0.28822, 0.00011),
            "chi2": (115.18, 0.10),
            "action_density": (-0.1629, 0.0005),
            "log_z": (69.065, 0.020),
        },
        hmc=48_000,
        annealed=(400, 64, 2_560),
    ),
    Point(
        (4, 4, 4, 4),
        5.113,
        {
            "abs_magnetization": (0.51727, 0.00008),
            "phi2": (0.31200, 0.00006),
            "chi2": (68.63, 0.02),
            "action_density": (-0.2130, 0.0003),
            "log_z": (9.649, 0.007),
        },
        hmc=230_000,
        quick=10_000,
        annealed=(100, 64, 4_480),
    ),
)
