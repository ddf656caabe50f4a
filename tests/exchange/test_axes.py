"""Axes by their names, apart or several in one."""

import numpy as np
import pytest

from flowlat.exchange.axes import arrange
from flowlat.utils.errors import ConfigError

#: (steps, replicas, x0, x1)
FIELDS = np.arange(5 * 3 * 2 * 4).reshape(5, 3, 2, 4)
CHAIN = FIELDS[:, :1]

#: axes, the array, replicas
READ = [
    ("step,replica,x0,x1", FIELDS, None),
    ("replica,step,x0,x1", FIELDS.transpose(1, 0, 2, 3), None),
    ("x1,x0,replica,step", FIELDS.T.transpose(0, 1, 2, 3), None),
    ("step,replica,x0,x1", FIELDS.reshape(15, 2, 4), 3),
    ("step,replica,x0,x1", FIELDS.reshape(15, 8), 3),
    ("step,replica,x0,x1", FIELDS.reshape(-1), 3),
    ("replica,step,x1,x0", FIELDS.transpose(1, 0, 3, 2).reshape(3, 40), 3),
    ("step,replica,x0,x1", FIELDS.reshape(-1, 4), 3),
    ("step,replica,x0,x1", FIELDS.reshape(-1, 1), 3),
]


@pytest.mark.parametrize(("axes", "array", "replicas"), READ)
def test_every_order_gives_the_same_fields(axes, array, replicas):
    found = arrange(np.ascontiguousarray(array), axes.split(","), (2, 4), replicas)
    np.testing.assert_array_equal(found, FIELDS)


@pytest.mark.parametrize("array", [CHAIN[:, 0], CHAIN, CHAIN.reshape(5, 8), CHAIN.reshape(40, 1)])
def test_a_single_chain(array):
    np.testing.assert_array_equal(arrange(array, ["step", "x0", "x1"], (2, 4)), CHAIN)


def test_nothing_is_copied():
    array = np.zeros((3, 40))
    assert np.shares_memory(arrange(array, ["replica", "step", "x1", "x0"], (2, 4), 3), array)


@pytest.mark.parametrize(
    ("axes", "array", "replicas", "text"),
    [
        ("step,x0", FIELDS, None, "has to name step, x0, x1, and replica if there is one"),
        ("step,x0,x1,x1", FIELDS, None, "each once"),
        ("step,x0,x1", CHAIN[:, 0], 2, "replicas=2: axes=step,x0,x1 has no replica"),
        ("step,x1,x0", CHAIN[:, 0], None, r"x0 is 4 long in an array of \[5, 2, 4\], and not 2"),
        ("step,replica,x0,x1", FIELDS, 5, "replica is 3 long"),
        ("step,replica,x0,x1", FIELDS.reshape(15, 8), None, "replicas=N has to say how many"),
        ("step,replica,x0,x1", FIELDS.reshape(15, 8), 4, "does not fall into n x 4 x 2 x 4"),
        ("step,x0,x1", np.zeros((5, 16)), None, r"\[5, 16\] does not fall into n x 2 x 4"),
        ("step,x0,x1", np.zeros((8, 5)), None, "does not fall into"),
        ("step,x0,x1", FIELDS, None, "does not fall into"),
    ],
)
def test_arrays_that_do_not_fit(axes, array, replicas, text):
    with pytest.raises(ConfigError, match=text):
        arrange(array, axes.split(","), (2, 4), replicas)
