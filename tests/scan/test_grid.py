import pytest
from omegaconf import OmegaConf

from flowlat.config.compose import validate
from flowlat.config.schemas import SampleConfig
from flowlat.flows.domain import Point
from flowlat.scan.grid import POINTS, config_of, grid_of, values
from flowlat.scan.volumes import volumes_as_list
from flowlat.utils.errors import ConfigError
from tests.support.scans import config


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4.6:5.2:0.2", [4.6, 4.8, 5.0, 5.2]),
        ("4.6:5.1:0.2", [4.6, 4.8, 5.0]),
        ("-6:-4.5:0.5", [-6.0, -5.5, -5.0, -4.5]),
        ("0:0.3:0.1", [0.0, 0.1, 0.2, 0.3]),
        ("1e-1:3e-1:1e-1", [0.1, 0.2, 0.3]),
    ],
)
def test_a_range_has_its_end_if_it_is_on_the_grid(text, expected):
    assert values("action.lam", text) == expected


def test_a_number_is_one_point():
    assert values("action.lam", 4.6) == [4.6]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("8:4.6:0.2", r"action\.lam=8:4\.6:0\.2: runs downwards; write 4\.6:8:0\.2"),
        ("4.6:8:0", r"action\.lam=4\.6:8:0: a step of 0; it has to be above 0"),
        ("8:4.6:-0.2", "a step of -0.2"),
        ("4.6:8", "no range; one is a:b:step"),
        ("4.6:8:x", "no range"),
        ("4.6:nan:0.1", "no range"),
        ("inf:8:0.1", "no range"),
        ("", "no range"),
        ("4.6:4.6:0.1", "one point only, 4.6"),
        ("4:5:3", "one point only, 4"),
        ("0:1e9:1e-9", f"more than {POINTS} points"),
    ],
)
def test_what_is_no_range_is_one_line(text, line):
    with pytest.raises(ConfigError, match=line):
        values("action.lam", text)


def test_lines_run_along_a_coupling_on_each_lattice():
    grid = grid_of(config("lattice.shape=[[4,4],[6,6]]", "action.lam=5:6:0.5"))
    assert (grid.along, grid.is_map) == ("lam", False)
    assert grid.lines() == [[Point(-4.0, lam, s) for lam in (5, 5.5, 6)] for s in ((4, 4), (6, 6))]


def test_two_ranges_are_a_map():
    grid = grid_of(config("action.m2=-4:-3:1", "action.lam=5:6:1"))
    assert grid.is_map
    assert grid.lines() == [[Point(m2, lam, (8, 8)) for lam in (5, 6)] for m2 in (-4, -3)]
    assert grid.lines("m2") == [[Point(m2, lam, (8, 8)) for m2 in (-4, -3)] for lam in (5, 6)]


def test_a_range_of_the_mass_alone():
    grid = grid_of(config("action=free", "action.m2=0.5:1.5:0.5"))
    assert (grid.along, grid.lam) == ("m2", [0.0])
    assert "lam" not in config_of(config("action=free"), grid.points()[0])["action"]


@pytest.mark.parametrize(
    ("names", "line"),
    [
        ([], r"action\.lam=8\.0 action\.m2=-4\.0: one of them has to be a range"),
        (["lattice.shape=[[4,4],[4]]", "action.lam=5:6:1"], "several dimensions"),
        (
            ["lattice.shape=[[4,4],6]", "action.lam=5:6:1"],
            r"write lattice\.shape=\[8,8\],\[12,12\]",
        ),
        (["action.m2=-4:0:0.01", "action.lam=5:6:0.01"], "40501 points, at most"),
        (["+action.g=1:2:1"], r"action\.g=1:2:1: only action\.m2 and action\.lam"),
    ],
)
def test_grids_that_cannot_be(names, line):
    with pytest.raises(ConfigError, match=line):
        grid_of(config(*names))


def test_a_point_has_random_numbers_of_its_own_whatever_the_grid():
    long, short = (config(f"action.lam=5:{end}:0.5") for end in (6, 8))
    made = [config_of(long, point) for point in grid_of(long).points()]
    again = {p.lam: config_of(short, p)["seed"] for p in grid_of(short).points()}
    seeds = [own["seed"] for own in made]
    assert len({*seeds}) == 3
    assert seeds == [again[own["action"]["lam"]] for own in made]
    assert config_of(config("seed=1"), Point(-4.0, 5.0, (8, 8)))["seed"] != seeds[0]


def test_the_config_of_a_point_is_one_of_sample():
    whole = config("action.lam=5:6:0.5")
    own = config_of(whole, grid_of(whole).points()[1])
    assert validate(OmegaConf.create(own), SampleConfig)["action"]["lam"] == 5.5


@pytest.mark.parametrize(
    ("typed", "given"),
    [
        ("lattice.shape=[8,8],[12,12]", "lattice.shape=[[8,8],[12,12]]"),
        ("lattice.shape=[8, 8], [12, 12]", "lattice.shape=[[8,8],[12,12]]"),
        ("lattice.shape=[8,8]", "lattice.shape=[8,8]"),
        ("lattice.shape=[8],[x]", "lattice.shape=[8],[x]"),
        ("seed=[1],[2]", "seed=[1],[2]"),
    ],
)
def test_several_lattices_on_the_command_line(typed, given):
    assert volumes_as_list(typed) == given
