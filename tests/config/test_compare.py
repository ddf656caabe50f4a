"""Two configs compared, key by key."""

import pytest

from flowlat.config.compare import differences


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ({"seed": 0}, {"seed": 0}, {}),
        ({"seed": 0}, {"seed": 1}, {"seed": (0, 1)}),
        (
            {"action": {"m2": 1.0, "lam": 0}},
            {"action": {"m2": 1, "lam": 2}},
            {"action.lam": (0, 2)},
        ),
        ({"a": {"b": {"c": 1}}}, {"a": {"b": {"c": 2}}}, {"a.b.c": (1, 2)}),
        ({"lattice": {"shape": [4, 4]}}, {"lattice": {}}, {"lattice.shape": ([4, 4], None)}),
        ({}, {"a": None, "b": {"c": 1}}, {"b.c": (None, 1)}),
        ({"logger": {"csv": 1}}, {"logger": None}, {"logger.csv": (1, None)}),
        (
            {"data": 3},
            {"data": {"batch_size": 4}},
            {"data": (3, None), "data.batch_size": (None, 4)},
        ),
    ],
)
def test_differences(a, b, expected):
    assert differences(a, b) == expected


def test_the_keys_keep_their_order():
    assert list(differences({"z": 1, "a": 1}, {"b": 1, "y": 1})) == ["z", "a", "b", "y"]
