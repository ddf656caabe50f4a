"""Where the samplers are compared, and how many chains of each."""

import math
from typing import NamedTuple

M2 = -4.0


class Point(NamedTuple):
    """A theory at m2 = -4. ``line``: one of those with xi = L / 4, from which z is fitted.
    ``trained``: flows that were trained there take part beside the family's."""

    shape: tuple[int, ...]
    lam: float
    line: bool = False
    trained: bool = False

    @property
    def volume(self) -> int:
        return math.prod(self.shape)

    @property
    def replicas(self) -> int:
        """Chains that move together: fewer of large volumes, of which each is work enough."""
        return 64 if self.volume <= 512 else 16


#: lam of L = 16 from the power law of lam - 4.2509 through L = 20 (4.807) and 32; that of L = 128
#: from L = 64 with nu = 1
POINTS = {
    "2d_L8": Point((8, 8), 8.0),
    "2d_L16": Point((16, 16), 4.973, line=True, trained=True),
    "2d_L32": Point((32, 32), 4.572, line=True, trained=True),
    "2d_L64": Point((64, 64), 4.398, line=True, trained=True),
    "2d_L128": Point((128, 128), 4.324, line=True, trained=True),
    "3d_L8": Point((8, 8, 8), 8.0, trained=True),
    "3d_L16": Point((16, 16, 16), 8.0, trained=True),
    "4d_L4": Point((4, 4, 4, 4), 13.0),
    "4d_L4_ordered": Point((4, 4, 4, 4), 5.113),
    "4d_L8": Point((8, 8, 8, 8), 13.0, trained=True),
    "4d_L8_ordered": Point((8, 8, 8, 8), 5.113),
}
#: seconds that the training of a family took by its summary, both legs where there were two: one
#: thread of a machine with other work, hence at most
TRAINING = {
    "phi4_2d": 2918.0,
    "phi4_3d": 548.0,
    "phi4_4d": 473.0,
    "phi4_4d_ordered": 1845.0,
}
